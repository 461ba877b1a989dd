"""Where credentials are kept: the interface that every store fulfils (see ``vaults/``)."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from .credential import Credential
from .merge import Unsaved
from .secret import Secret


@dataclass(frozen=True, slots=True)
class VaultDescription:
    """Where a vault is and what seals it, for status.

    Attributes:
        where: a path, or a database's name without its password.
        sealed_by: such as ``the OS keyring``, ``SIDEKEY_SEAL_KEY`` or ``the file /run/secrets/seal``.
        aside: where records of what could not be saved are kept, or None where there is no such place.
    """

    where: str
    sealed_by: str
    aside: str | None = None


LONGEST_HOLD: Final = 45.0
"""Seconds for which anybody may hold a profile's lock: the issuer's answer to a refresh, and the saving."""

PATIENCE: Final = LONGEST_HOLD + 15.0
"""Seconds to wait for a lock: longer than its longest holder, so that nobody who waits gives up too early."""

Claim = Literal["refresh", "exchange"]
"""What only one process at a time may be about; unlike the lock, it keeps nobody from reading or storing."""


class Vault(Protocol):
    """A store of sealed credentials, one document per profile, shared by any number of processes.

    A change is always: ``lock``, ``load`` again, decide, act, ``save``, leave the lock. Its methods may be
    called from any thread and event loop: a refresh runs in its own (see ``critical_section``).

    Absence is not information. An object that has read a vault treats a missing, foreign or emptied one as
    unreadable (``VaultAway``), and writes into no other.
    """

    async def create(self) -> None:
        """Make the vault, if there is none; only a sign-in, an import, a stored key or a first start do that.

        Raises:
            VaultAway: this object has read another vault, or this one is gone.
            VaultError, SealError: it cannot be made, or does not fit what is there.
        """

    async def load(self, profile: str) -> Credential:
        """Return what is stored, or an empty credential (generation 0) where nothing was ever stored.

        Raises:
            VaultAway: something was stored, and it is not there now.
            VaultUnreadable, WrongSeal, VaultExposed: it is there and cannot be read.
            SealError: the seal cannot be had.
        """

    async def save(self, credential: Credential) -> None:
        """Write it whole or not at all, durably; the caller holds the profile's lock.

        A cancellation in the middle is passed on when it is written.

        Raises:
            VaultUnwritable: it was not written; what was there is still there.
            VaultUnreadable, WrongSeal: the same, since there is no vault, or it does not open now.
            SealError: the seal cannot be had.
        """

    def lock(self, profile: str, *, timeout: float = PATIENCE) -> AbstractAsyncContextManager[None]:
        """Hold the profile's lock across all processes; it ends with the process that held it.

        Args:
            profile: whose.
            timeout: seconds to wait before giving up.

        Raises:
            VaultBusy: it could not be had in time.
            VaultAway, VaultUnreadable: there is no vault, or not the one that was read.
            VaultUnwritable: the lock cannot be made here.
        """

    def claim(
        self, profile: str, what: Claim, *, timeout: float = PATIENCE
    ) -> AbstractAsyncContextManager[None]:
        """Be the only one, across all processes, that does this for the profile; the lock stays free.

        Args:
            profile: whose.
            what: a claim is never waited for by who holds the lock.
            timeout: seconds to wait before giving up.

        Raises:
            VaultBusy, VaultAway, VaultUnreadable, VaultUnwritable: as for ``lock``.
        """

    async def changed(self, profile: str) -> None:
        """Return when the stored credential may have changed since this object last loaded it.

        The wait is never longer than 2 seconds after the change. A save through this object counts as a
        change, too; where nothing was loaded yet, it returns at once.
        """

    async def profiles(self) -> tuple[str, ...]:
        """Return the names of all stored profiles, sorted."""

    # --- what could not be saved ----------------------------------------------------------------------

    async def put_aside(self, unsaved: Unsaved) -> str:
        """Keep a record that cannot be saved in the vault at another place, sealed; return where, for people.

        The profile's next record takes the place of this object's last one.

        Raises:
            VaultError, SealError: it could not be kept there either.
        """

    async def put_aside_before(self, profile: str) -> tuple[Unsaved, ...]:
        """Return the records that processes have put aside for a profile of this vault, oldest first.

        The caller holds the profile's lock.

        Raises:
            VaultError, SealError: one is there and cannot be read.
        """

    async def forget_aside(self, profile: str) -> None:
        """Delete what ``put_aside_before`` last returned, and this object's own; the caller has merged it."""

    # --- the rest -------------------------------------------------------------------------------------

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
