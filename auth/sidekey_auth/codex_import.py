"""Storing what the Codex CLI's auth.json holds, and making it whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from .clock import Clock, SystemClock
from .codex import CodexAuth
from .credential import DEFAULT_PROFILE, Credential, next_generation
from .errors import NoRefreshToken, SidekeyError
from .issuer import Issuers
from .signin import trade_and_save
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
    """

    credential: Credential
    needs_refresh: bool = False
    problem: SidekeyError | None = None


def imported(before: Credential, auth: CodexAuth, now: float) -> Credential:
    """Return the credential after an import: mode ``chatgpt``, the static key stays. Pure.

    Args:
        before: what was stored.
        auth: what was read.
        now: Unix time in seconds.
    """
    return Credential(
        profile=before.profile,
        mode="chatgpt",
        generation=next_generation(before.generation, now),
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
        imported_from=CODEX,
        keys_made=before.keys_made,
        made_keys=before.made_keys,
    )


async def import_codex(
    vault: Vault,
    issuers: Issuers,
    auth: CodexAuth,
    *,
    profile: str = DEFAULT_PROFILE,
    clock: Clock | None = None,
) -> Imported:
    """Store what is present in one write; where the key is missing, exchange the id_token for one at once.

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
    async with vault.lock(profile):
        credential = imported(await vault.load(profile), auth, time.wall())
        issuer = await issuers.of(credential)
        await vault.save(credential)
        if auth.api_key is not None or auth.id_token is None:
            return Imported(credential)
        if _expired(auth, time.wall()):
            if auth.refresh_token is not None:
                return Imported(credential, needs_refresh=True)
            return Imported(credential, problem=NoRefreshToken())
        credential, problem = await trade_and_save(vault, issuer, credential, time)
    return Imported(credential, problem=problem)


def _expired(auth: CodexAuth, now: float) -> bool:
    return auth.claims is not None and auth.claims.exp is not None and auth.claims.exp <= now
