"""Signing out: what is stored goes first, then the issuer is told, as far as it listens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .aside import load_with_aside
from .clock import Clock, SystemClock
from .credential import DEFAULT_PROFILE, Credential, signed_out
from .errors import NoVault, SidekeyError, VaultUnwritable
from .issuer import Issuers
from .vault import Vault

_NAMES: Final = {
    "api_key": "the exchanged API key",
    "id_token": "the id_token",
    "unverified_id_token": "an id_token that was not checked yet",
    "access_token": "the access token",
    "refresh_token": "the refresh token",
    "last_refresh": "the time of the last refresh",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedOut:
    """How a sign-out ended.

    Attributes:
        credential: as it is stored now.
        was_signed_in: there was something to delete.
        had_key: an exchanged API key was among it; it stays valid until it is deleted at the Platform.
        revoked: the issuer has revoked the sign-in; None where there was no refresh token to revoke.
        revoke_problem: why it was not revoked.
        left: what could not be deleted, for people.
        vault_problem: why not.
        spared: there is a refresh token, and the issuer was not asked to revoke it.
    """

    credential: Credential
    was_signed_in: bool
    had_key: bool
    revoked: bool | None
    revoke_problem: SidekeyError | None = None
    left: tuple[str, ...] = ()
    vault_problem: VaultUnwritable | None = None
    spared: bool = False


async def sign_out(
    vault: Vault,
    issuers: Issuers,
    *,
    profile: str = DEFAULT_PROFILE,
    clock: Clock | None = None,
    revoke: bool | None = None,
) -> SignedOut:
    """Delete the exchanged key, all tokens and the last refresh's time, and revoke the sign-in.

    The static key stays, the mode becomes ``api_key``. The credential goes before the issuer is asked, so
    that a sign-out that is broken off there has still happened here.

    Args:
        vault: where the credential is.
        issuers: give the one that the tokens came from.
        profile: whose credential.
        clock: the time.
        revoke: whether the issuer is asked to revoke the refresh token. None: unless it was imported, since
            the program that it came from may still use it.

    Raises:
        VaultError, SealError: the vault cannot be read; nothing was done.
    """
    now = (clock or SystemClock()).wall()
    try:
        before, after, vault_problem = await _delete(vault, profile, now)
    except NoVault:
        before = after = Credential(profile=profile)
        vault_problem = None
    except VaultUnwritable as error:
        # Not even the lock can be had: what stays is named all the same.
        before = after = await vault.load(profile)
        vault_problem = error
    asked = before.imported_from is None if revoke is None else revoke
    revoked, revoke_problem = await _revoke(issuers, before) if asked else (None, None)
    return SignedOut(
        credential=after,
        was_signed_in=before.signed_in,
        had_key=before.api_key is not None,
        revoked=revoked,
        revoke_problem=revoke_problem,
        left=_present(before) if vault_problem else (),
        vault_problem=vault_problem,
        spared=not asked and before.refresh_token is not None,
    )


async def _delete(
    vault: Vault, profile: str, now: float
) -> tuple[Credential, Credential, VaultUnwritable | None]:
    async with vault.lock(profile):
        before = await load_with_aside(vault, profile)
        after = signed_out(before, now)
        try:
            await vault.save(after)
        except VaultUnwritable as error:
            return before, before, error
        return before, after, None


async def _revoke(issuers: Issuers, credential: Credential) -> tuple[bool | None, SidekeyError | None]:
    token = credential.refresh_token
    if token is None:
        return None, None
    try:
        issuer = await issuers.of(credential)
        await issuer.revoke(token, credential.client_id or issuer.settings.client_id)
    except SidekeyError as error:
        return False, error
    return True, None


def _present(credential: Credential) -> tuple[str, ...]:
    return tuple(text for name, text in _NAMES.items() if getattr(credential, name) is not None)
