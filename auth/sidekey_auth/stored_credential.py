"""What a person changes in a stored credential by hand: its static key and its mode. No issuer is asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from .aside import load_with_aside
from .clock import Clock, SystemClock
from .credential import DEFAULT_PROFILE, Credential, Mode, next_generation
from .errors import ConfigurationError, NotAnApiKey, NoVault
from .secret import Secret, is_token
from .vault import Vault

_SHORTEST_KEY: Final = 8
_CHOSEN_BY_HAND: Final[tuple[Mode, ...]] = ("chatgpt", "api_key")


async def set_static_key(
    vault: Vault, key: Secret, *, profile: str = DEFAULT_PROFILE, clock: Clock | None = None
) -> Credential:
    """Store a static API key, in the place of the one before; the mode and a sign-in stay.

    Args:
        vault: where the credential is.
        key: the API key.
        profile: whose credential.
        clock: the time.

    Returns:
        The credential as it is stored now.

    Raises:
        NotAnApiKey: no header could carry it; nothing was stored.
        VaultError, SealError: the vault cannot be used; nothing was stored.
    """
    if not _is_key(key.reveal()):
        raise NotAnApiKey
    await vault.create()
    async with vault.lock(profile):
        old = await load_with_aside(vault, profile)
        new = replace(old, static_key=key, generation=_next_generation(old, clock))
        await vault.save(new)
    return new


async def clear_static_key(
    vault: Vault, *, profile: str = DEFAULT_PROFILE, clock: Clock | None = None
) -> Secret | None:
    """Remove the static API key; the mode and a sign-in stay.

    Args:
        vault: where the credential is.
        profile: whose credential.
        clock: the time.

    Returns:
        The key that was removed, or None where there was none.

    Raises:
        VaultError, SealError: the vault cannot be used; nothing was removed.
    """
    try:
        async with vault.lock(profile):
            old = await load_with_aside(vault, profile)
            if old.static_key is not None:
                await vault.save(replace(old, static_key=None, generation=_next_generation(old, clock)))
    except NoVault:
        return None
    return old.static_key


async def switch_mode(
    vault: Vault, mode: str, *, profile: str = DEFAULT_PROFILE, clock: Clock | None = None
) -> Credential:
    """Switch between the sign-in and the static key; nothing is deleted.

    Args:
        vault: where the credential is.
        mode: ``chatgpt`` or ``api_key``; what it serves need not be there yet.
        profile: whose credential.
        clock: the time.

    Returns:
        The credential as it is stored now.

    Raises:
        ConfigurationError: there is no such mode, or nobody chooses it by hand.
        VaultError, SealError: the vault cannot be used; nothing was switched.
    """
    chosen = next((each for each in _CHOSEN_BY_HAND if each == mode), None)
    if chosen is None:
        raise ConfigurationError(f"there is no mode {mode!r}", remedy="It is chatgpt or api_key.")
    async with vault.lock(profile):
        old = await load_with_aside(vault, profile)
        new = replace(old, mode=chosen, generation=_next_generation(old, clock))
        await vault.save(new)
    return new


def _is_key(value: str) -> bool:
    return len(value) >= _SHORTEST_KEY and is_token(value)


def _next_generation(old: Credential, clock: Clock | None) -> int:
    return next_generation(old.generation, (clock or SystemClock()).wall())
