"""Taking up what earlier processes could not save in the vault and have put aside."""

from __future__ import annotations

from .credential import Credential
from .log import get_logger
from .merge import merge
from .vault import Vault

log = get_logger("sidekey.vault")


async def load_with_aside(vault: Vault, profile: str) -> Credential:
    """Return what is stored, after what was put aside for the profile has been merged and saved.

    The caller holds the profile's lock.

    Args:
        vault: where the credential is.
        profile: whose.

    Raises:
        VaultError, SealError: the vault cannot be read; or it cannot be written, and what was put aside
            stays where it is.
    """
    stored = await vault.load(profile)
    records = await vault.put_aside_before(profile)
    if not records:
        return stored
    merged = stored
    for record in records:
        merged = merge(merged, record)
    if merged != stored:
        await vault.save(merged)
        log.warning("saved what an earlier process could not", profile=profile, generation=merged.generation)
    await vault.forget_aside(profile)
    return merged
