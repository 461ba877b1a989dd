"""Where credentials are kept: the interface that every store fulfils (see ``vaults/``)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from .credential import Credential
from .secret import Secret


@dataclass(frozen=True, slots=True)
class VaultDescription:
    """Where a vault is and what seals it, for status.

    Attributes:
        where: a path, or a database's name without its password.
        sealed_by: such as ``the OS keyring``, ``SIDEKEY_SEAL_KEY`` or ``the file /run/secrets/seal``.
    """

    where: str
    sealed_by: str


class Vault(Protocol):
    """A store of sealed credentials, one document per profile, shared by any number of processes.

    A change is always: ``lock``, ``load`` again, decide, act, ``save``, leave the lock.
    """

    async def load(self, profile: str) -> Credential:
        """Return what is stored, or an empty credential (generation 0) where nothing is.

        Raises:
            VaultUnreadable, WrongSeal, VaultExposed: it is there and cannot be read.
            SealError: the seal cannot be had.
        """

    async def save(self, credential: Credential) -> None:
        """Write it whole or not at all, durably; the caller holds the profile's lock.

        A cancellation in the middle is passed on when it is written.

        Raises:
            VaultUnwritable: it was not written; what was there is still there.
            VaultUnreadable, WrongSeal: the same, since what is there does not open with the present seal.
            SealError: the seal cannot be had.
        """

    def lock(self, profile: str, *, timeout: float = 60.0) -> AbstractAsyncContextManager[None]:
        """Hold the profile's lock across all processes; it ends with the process that held it.

        Args:
            profile: whose.
            timeout: seconds to wait before giving up.

        Raises:
            VaultBusy: it could not be had in time.
            VaultUnwritable: the lock cannot be made here.
        """

    async def changed(self, profile: str) -> None:
        """Return when the stored credential may have changed since this object last loaded it.

        The wait is never longer than 2 seconds after the change. A save through this object counts as a
        change, too; where nothing was loaded yet, it returns at once.
        """

    async def profiles(self) -> tuple[str, ...]:
        """Return the names of all stored profiles, sorted."""

    async def load_client_key(self) -> Secret | None:
        """Return the local client key, sealed like the rest, or None where none was made yet."""

    async def save_client_key(self, key: Secret) -> Secret:
        """Store the local client key unless there is one, and return the one that is stored.

        Raises:
            VaultUnwritable: as for ``save``.
        """

    async def describe(self) -> VaultDescription:
        """Say where the vault is and what seals it, without opening it."""

    async def close(self) -> None:
        """Let go of what it holds."""
