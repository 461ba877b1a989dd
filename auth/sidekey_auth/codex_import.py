"""Storing what the Codex CLI's auth.json holds, and making it whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from .aside import load_with_aside
from .clock import Clock, SystemClock
from .codex import CodexAuth
from .codex_stored import refreshed_since
from .credential import DEFAULT_PROFILE, Credential, Failure, RefreshNote, next_generation
from .errors import NoRefreshToken, SidekeyError
from .issuer import Issuers
from .journal import Journal
from .signin import trade, unsaved_of
from .vault import Vault

CODEX: Final = "codex"
"""What ``Credential.imported_from`` says of these."""


@dataclass(frozen=True, slots=True)
class Imported:
    """How an import ended.

    Attributes:
        credential: as stored.
        needs_refresh: there is no key, and the id_token has expired: a refresh (``Broker.refresh``) is to
            follow at once, which brings both.
        problem: why there is no key, where a refresh is not what is needed.
        kept: what was stored is the same sign-in, refreshed since, and stays as it was.
    """

    credential: Credential
    needs_refresh: bool = False
    problem: SidekeyError | None = None
    kept: bool = False


def imported(before: Credential, auth: CodexAuth, now: float) -> Credential:
    """Return the credential after an import: mode ``chatgpt``, the static key stays. Pure.

    Args:
        before: what was stored.
        auth: what was read.
        now: Unix time in seconds.
    """
    generation = next_generation(before.generation, now)
    # The sign-in that is stored goes on: a process may hold a refresh of it that it could not save yet.
    again = auth.refresh_token is not None and before.refresh_token == auth.refresh_token
    return Credential(
        profile=before.profile,
        mode="chatgpt",
        generation=generation,
        sign_in=before.sign_in if again else generation,
        refreshes=before.refreshes if again else 0,
        static_key=before.static_key,
        api_key=auth.api_key,
        # A key and an id_token that come together belong together: there is nothing to trade yet.
        key_source=auth.id_token.fingerprint() if auth.api_key and auth.id_token else None,
        id_token=auth.id_token,
        access_token=auth.access_token,
        refresh_token=auth.refresh_token,
        last_refresh=datetime.fromtimestamp(now, UTC),
        # It did not arrive now: its expiry is judged by what it says.
        received_at=None,
        issuer=auth.issuer,
        client_id=auth.client_id,
        # What is remembered of this very token holds on: importing it again does not make it unspent.
        note=before.note if _is_of(before.note, auth) else None,
        refresh_failure=before.refresh_failure if _is_of(before.refresh_failure, auth) else None,
        imported_token=auth.refresh_token.fingerprint() if auth.refresh_token else None,
        imported_from=CODEX,
        keys_made=before.keys_made,
        made_keys=before.made_keys,
    )


def _is_of(record: RefreshNote | Failure | None, auth: CodexAuth) -> bool:
    return record is not None and auth.refresh_token is not None and record.token == auth.token_id


def _with_mode(before: Credential, now: float) -> Credential:
    """Return what was stored, in the mode that an import leaves."""
    if before.mode == "chatgpt":
        return before
    return replace(before, mode="chatgpt", generation=next_generation(before.generation, now))


async def import_codex(
    vault: Vault,
    issuers: Issuers,
    auth: CodexAuth,
    *,
    profile: str = DEFAULT_PROFILE,
    clock: Clock | None = None,
) -> Imported:
    """Store what is present in one write; where the key is missing, exchange the id_token for one at once.

    A file whose sign-in is stored already and was refreshed since changes nothing: its token is spent.

    Args:
        vault: where the credential goes.
        issuers: give the one that the tokens came from.
        auth: what was read and confirmed.
        profile: whose credential.
        clock: the time.

    Raises:
        VaultError, SealError: it cannot be stored; nothing was changed.
        ConfigurationError: the tokens' issuer is not an allowed one; nothing was changed.
    """
    time = clock or SystemClock()
    await vault.create()
    async with vault.lock(profile):
        before = await load_with_aside(vault, profile)
        if refreshed_since(before, auth):
            kept = _with_mode(before, time.wall())
            if kept != before:
                await vault.save(kept)
            return Imported(kept, kept=True)
        credential = imported(before, auth, time.wall())
        issuer = await issuers.of(credential)
        await vault.save(credential)
    if auth.api_key is not None or auth.id_token is None:
        return Imported(credential)
    if _expired(auth, time.wall()):
        if auth.refresh_token is not None:
            return Imported(credential, needs_refresh=True)
        return Imported(credential, problem=NoRefreshToken())
    journal = Journal(vault, profile)
    await journal.read()
    problem = await trade(journal, issuer, time)
    return Imported(journal.credential, problem=await unsaved_of(journal) or problem)


def _expired(auth: CodexAuth, now: float) -> bool:
    return auth.claims is not None and auth.claims.exp is not None and auth.claims.exp <= now
