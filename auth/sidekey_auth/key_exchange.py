"""The key exchange: an id_token is traded for an API key, once, whoever wants it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from .clock import Clock
from .credential import Credential
from .errors import IssuerRefused
from .journal import Journal
from .log import get_logger
from .made_keys import NewKey, remembered
from .secret import Secret
from .signed_in import with_key, without_key
from .vault import PATIENCE

log = get_logger("sidekey.renewal")


class KeyIssuer(Protocol):
    """What a key exchange asks of the issuer; see ``issuer.Issuer``."""

    async def exchange_key(self, id_token: Secret, client_id: str, *, name: str | None = None) -> NewKey:
        """Trade an id_token for an API key."""

    def key_name(self, profile: str) -> str | None:
        """Return what a key that is made now is called."""


async def exchange_key(
    journal: Journal,
    issuer: KeyIssuer,
    client_id: str,
    clock: Clock,
    *,
    wanted: Callable[[Credential], bool],
    refused: Callable[[IssuerRefused], None] = lambda _: None,
    timeout: float = PATIENCE,
) -> bool:
    """Trade the stored id_token for an API key, and store that, or the refusal; tell whether it was done.

    A no of the issuer's is no exception: it stands in the credential (``exchange_failure``).

    The lock is not held meanwhile, so that nobody waits for a slow issuer; a claim keeps the same id_token
    from being traded twice.

    Args:
        journal: the credential, and where it is written.
        issuer: whom the id_token came from.
        client_id: the id_token's audience.
        clock: the time.
        wanted: is asked once the claim is held and the vault read again: nothing happens where it says no.
        refused: is told of the issuer's no.
        timeout: seconds to wait for the claim.

    Raises:
        IssuerUnavailable: not for now.
        VaultError, SealError: the claim cannot be had.
    """
    if journal.unsaved is not None:
        # Nobody else has this id_token, and a claim could not be made on a full disk.
        return await _exchange(journal, issuer, client_id, clock, refused)
    async with journal.vault.claim(journal.profile, "exchange", timeout=timeout):
        await journal.read()
        return wanted(journal.credential) and await _exchange(journal, issuer, client_id, clock, refused)


async def _exchange(
    journal: Journal,
    issuer: KeyIssuer,
    client_id: str,
    clock: Clock,
    refused: Callable[[IssuerRefused], None],
) -> bool:
    token = journal.credential.id_token
    if token is None:
        return False
    again = journal.credential.key_source == token.fingerprint()
    try:
        name = issuer.key_name(journal.profile)
        key = await issuer.exchange_key(token, client_id, name=name)
    except IssuerRefused as error:
        log.warning("key exchange refused", code=error.error_code, status=error.status)
        refusal, now = error, clock.wall()
        await journal.change(
            lambda stored: without_key(stored, refusal, now) if stored.id_token == token else stored
        )
        refused(error)
        return True
    at = clock.wall()
    await journal.change(lambda stored: _traded(stored, token, key, at, again=again))
    log.info("key exchanged", generation=journal.credential.generation)
    return True


def _traded(stored: Credential, token: Secret, key: NewKey, at: float, *, again: bool) -> Credential:
    """Return the credential with a new key; it is only remembered where another id_token is stored by now."""
    if stored.id_token != token:
        made = remembered(stored.made_keys, key, at)
        return replace(stored, keys_made=stored.keys_made + 1, made_keys=made)
    traded = with_key(stored, key, at)
    return replace(traded, traded_again=token.fingerprint()) if again else traded
