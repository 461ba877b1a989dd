"""A vault's folder together with its seal: documents are read and written here, and a vault begins here.

The seal is read once and kept, since a save must not depend on the keyring. Another process may rotate it
at any time; whoever finds that a document does not open reads the seal again before believing it.

Absence is not information: who has read a vault holds on to its id, and to which documents were there. A
folder that is missing, emptied or another vault's is an error then, and is never written into.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeVar

from sidekey_auth.errors import NoVault, SidekeyError, VaultAway, VaultUnreadable, WrongSeal
from sidekey_auth.seal import Seal, SealSource, new_seal_key
from sidekey_auth.vault import PATIENCE

from .document import SEAL_CHECK, Address
from .folder import VaultFolder
from .locks import POLL, held
from .rereading import Rereading
from .unbroken import unbroken

_READINGS_OF_THE_SEAL: Final = 4

Result = TypeVar("Result")


class SealedFolder:
    """The documents of one vault, opened and closed.

    Locks are taken in this order: the rotation's, a claim, a profile's (several by name), the client key's,
    the vault's own. Nobody waits for one while holding a later one.

    Args:
        folder: where they are.
        source: where the seal comes from.
        patience: seconds to wait for a lock.
    """

    def __init__(self, folder: VaultFolder, source: SealSource, *, patience: float = PATIENCE) -> None:
        self.folder = folder
        self.source = source
        self._patience = patience
        self._known: tuple[str, Seal] | None = None
        self._vault: str | None = None
        self._seen: set[Address] = set()
        self.rereading = Rereading()

    def held(
        self, name: str, what: str, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold a lock by its name.

        Raises:
            VaultBusy, VaultUnwritable: it cannot be had.
        """
        patience = self._patience if timeout is None else timeout
        return held(self.folder.lock_place(name), what, timeout=patience)

    def rotation_lock(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock of whatever concerns all documents together."""
        return self.held("_rotation", "the vault as a whole")

    def client_key_lock(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock of the local client key."""
        return self.held("_client-key", "the local client key")

    def vault_lock(self) -> AbstractAsyncContextManager[None]:
        """Hold the lock of the vault's id and the check of its seal."""
        return self.held("_vault", "the vault")

    def claim(
        self, profile: str, what: str, *, timeout: float | None = None
    ) -> AbstractAsyncContextManager[None]:
        """Hold a claim: a lock beside the profile's own."""
        return self.held(f"_{what}-{profile}", f"the {what} of profile {profile}", timeout=timeout)

    def forget_vault(self) -> None:
        """Forget which vault it was: the caller has moved it away itself."""
        self._known, self._vault = None, None
        self._seen.clear()

    def forget(self) -> None:
        """Forget the seal: it is read again when it is needed."""
        self._known = None

    # --- which vault ----------------------------------------------------------------------------------

    async def identity(self) -> str | None:
        """Return the vault's id, or None where there is no vault and none was ever read.

        Raises:
            VaultAway: it is not the vault that was read before.
            VaultUnreadable, VaultExposed: it cannot be read.
        """
        found = await asyncio.to_thread(self.folder.identity)
        if self._vault is None:
            self._vault = found
        elif found is None:
            raise VaultAway(f"the vault that was in {self.folder.path} is not there now")
        elif found != self._vault:
            raise VaultAway(f"there is another vault in {self.folder.path} than the one that was read")
        return found

    async def present(self) -> str:
        """Return the vault's id, and see that its folders are there.

        Raises:
            NoVault: there is none.
            VaultAway, VaultError: as for ``identity``.
        """
        vault = await self.identity()
        if vault is None:
            raise NoVault(f"there is no vault in {self.folder.path} yet")
        await unbroken(self.folder.make)
        return vault

    def remembered(self) -> tuple[str, Seal] | None:
        """Return the id and the seal of the vault that was read, from memory alone; None before that."""
        return self._known

    # --- documents ------------------------------------------------------------------------------------

    async def read(self, address: Address) -> dict[str, Any] | None:
        """Return a document's content, or None where there is none: that takes no seal.

        Raises:
            VaultUnreadable, WrongSeal, VaultExposed: it is there and cannot be read.
            SealError: the seal cannot be had.
        """
        await self.identity()
        if await asyncio.to_thread(self.folder.raw, address) is None:
            if address in self._seen:
                raise VaultAway(f"{address} was in {self.folder.path}, and is not there now")
            return None
        content = await self._with_seal(lambda vault, seal: self.folder.read(vault, address, seal))
        if content is not None:
            self._seen.add(address)
        return content

    async def write(self, address: Address, content: dict[str, Any]) -> None:
        """Write a document; the caller holds its lock.

        Raises:
            NoVault, VaultAway: there is no vault, or not the one that was read; a write makes none.
            VaultError, SealError: nothing was written.
        """

        def write(vault: str, seal: Seal) -> None:
            # Whoever still has the seal from before a rotation must not seal anything new with it.
            if self.folder.read(vault, SEAL_CHECK, seal) is None:
                raise VaultUnreadable(f"{self.folder.place(SEAL_CHECK)} is gone")
            self.folder.write(vault, address, content, seal)

        await self._with_seal(write)
        self._seen.add(address)

    async def _with_seal(self, work: Callable[[str, Seal], Result]) -> Result:
        for _ in range(_READINGS_OF_THE_SEAL):
            vault, seal = await self.seal()
            try:
                return await unbroken(work, vault, seal)
            except WrongSeal:
                if not await self._has_another_seal(than=seal):
                    raise
        vault, seal = await self.seal()
        return await unbroken(work, vault, seal)

    async def _has_another_seal(self, *, than: Seal) -> bool:
        """Read the seal again if that may help, and tell whether it is another one."""
        content = await asyncio.to_thread(self.folder.fingerprint)
        if self.rereading.begin(content, asyncio.get_running_loop().time()):
            trouble: SidekeyError | None = None
            try:
                await self.seal(fresh=True)
            except SidekeyError as error:
                trouble = error
                raise
            finally:
                self.rereading.end(trouble)
        # By somebody else, perhaps in another event loop.
        while self.rereading.under_way:  # noqa: ASYNC110
            await asyncio.sleep(POLL)
        if (known := self.rereading.trouble) is not None:
            raise type(known)(str(known), remedy=known.remedy)
        return self._known is not None and self._known[1] != than

    async def seal(self, *, fresh: bool = False) -> tuple[str, Seal]:
        """Return the vault's id and its seal.

        Args:
            fresh: read the seal again.

        Raises:
            VaultUnreadable: there is no vault.
            WrongSeal: the seal is not in its source.
            SealError: it cannot be had.
        """
        vault = await self.identity()
        if vault is None:
            raise NoVault(f"there is no vault in {self.folder.path} yet")
        if fresh or self._known is None or self._known[0] != vault:
            seal = await self.source.read(vault)
            if seal is None:
                raise self._seal_is_gone()
            self._known = (vault, seal)
        return self._known

    def _seal_is_gone(self) -> WrongSeal:
        return WrongSeal(f"there is a vault in {self.folder.path}, and its seal is not in {self.source.name}")

    # --- beginning, and sealing anew ------------------------------------------------------------------

    async def establish(self) -> None:
        """Make what is missing of a vault: its folder, its id, its seal and the check of that.

        Raises:
            VaultAway: another vault was read before.
            VaultError, SealError: it cannot be made, or does not fit the documents that are there.
        """
        await self.identity()
        if await asyncio.to_thread(self.folder.raw, SEAL_CHECK) is not None:
            return
        await unbroken(self.folder.make)
        async with self.vault_lock():
            vault = await unbroken(self.folder.make_identity)
            await self._make_seal(vault)
            await self._with_seal(self._write_check)

    async def _make_seal(self, vault: str) -> None:
        if await self.source.read(vault) is not None:
            return
        if await asyncio.to_thread(self.folder.documents):
            raise self._seal_is_gone()
        await self.source.store(vault, Seal((new_seal_key(),)))

    def _write_check(self, vault: str, seal: Seal) -> None:
        for address in self.folder.documents():
            self.folder.read(vault, address, seal)
        self.folder.write(vault, SEAL_CHECK, {}, seal)

    @asynccontextmanager
    async def everything_held(self) -> AsyncIterator[None]:
        """Hold the locks of all documents: nobody is between a note and its answer, and nobody writes.

        Raises:
            VaultBusy, VaultUnwritable: one of them cannot be had.
        """
        async with AsyncExitStack() as locks:
            held: set[str] = set()
            while missing := [
                name for name in await asyncio.to_thread(self.folder.locked_profiles) if name not in held
            ]:
                for profile in missing:
                    await locks.enter_async_context(self.held(profile, f"the profile {profile}"))
                    held.add(profile)
            await locks.enter_async_context(self.client_key_lock())
            await locks.enter_async_context(self.vault_lock())
            yield

    async def seal_anew(self) -> int:
        """Seal everything with the first key of the seal as it stands in its source now.

        The caller holds everything, or a process that has only the old seal could not save the answer to a
        refresh that it has sent. The check goes first: afterwards such a process can write no note, and so
        sends nothing.

        Returns:
            How many documents there are, the check not counted.

        Raises:
            VaultError, SealError: it stopped there; what was done stays readable.
        """
        self.forget()
        await self._with_seal(self._write_check)
        count = 0
        for address in await asyncio.to_thread(self.folder.documents):
            if address != SEAL_CHECK:
                count += await self._reseal(address)
        return count

    async def _reseal(self, address: Address) -> int:
        def reseal(vault: str, seal: Seal) -> int:
            content = self.folder.read(vault, address, seal)
            if content is None:
                return 0
            self.folder.write(vault, address, content, seal)
            return 1

        return await self._with_seal(reseal)
