"""A vault's folder together with its seal: documents are read and written here, and a vault begins here.

The seal is read once and kept, since a save must not depend on the keyring. Another process may rotate it
at any time; whoever finds that a document does not open reads the seal again before believing it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

from sidekey_auth.errors import SidekeyError, VaultUnreadable, WrongSeal
from sidekey_auth.seal import Seal, SealSource, new_seal_key

from .document import CLIENT_KEY, SEAL_CHECK, Address, credential_of
from .folder import VaultFolder
from .locks import POLL, held
from .rereading import Rereading
from .unbroken import unbroken

PATIENCE: Final = 60.0
_READINGS_OF_THE_SEAL: Final = 4

Result = TypeVar("Result")


class SealedFolder:
    """The documents of one vault, opened and closed.

    Locks are taken in this order: the rotation's, a profile's (several by name), the client key's, the
    vault's own. Nobody waits for one while holding a later one.

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

    def forget(self) -> None:
        """Forget the seal: it is read again when it is needed."""
        self._known = None

    # --- documents ------------------------------------------------------------------------------------

    async def read(self, address: Address) -> dict[str, Any] | None:
        """Return a document's content, or None where there is none: that takes no seal.

        Raises:
            VaultUnreadable, WrongSeal, VaultExposed: it is there and cannot be read.
            SealError: the seal cannot be had.
        """
        if await asyncio.to_thread(self.folder.raw, address) is None:
            return None
        return await self._with_seal(lambda vault, seal: self.folder.read(vault, address, seal))

    async def write(self, address: Address, content: dict[str, Any]) -> None:
        """Write a document; the caller holds its lock.

        Raises:
            VaultError, SealError: nothing was written.
        """

        def write(vault: str, seal: Seal) -> None:
            # Whoever still has the seal from before a rotation must not seal anything new with it.
            if self.folder.read(vault, SEAL_CHECK, seal) is None:
                raise VaultUnreadable(f"{self.folder.place(SEAL_CHECK)} is gone")
            self.folder.write(vault, address, content, seal)

        await self.establish()
        await self._with_seal(write)

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
        vault = await asyncio.to_thread(self.folder.identity)
        if vault is None:
            raise VaultUnreadable(f"there is no vault in {self.folder.path}")
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
            VaultError, SealError: it cannot be made, or does not fit the documents that are there.
        """
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

    async def seal_anew(self) -> int:
        """Seal everything with the first key of the seal as it stands in its source now.

        Other processes go on meanwhile: the check is sealed anew first, and from then on nobody who has
        only the old seal writes anything (see ``write``); whoever was about to holds a lock that is
        waited for here.

        Returns:
            How many documents there are, the check not counted.

        Raises:
            VaultError, SealError: it stopped there; what was done stays readable.
        """
        self.forget()
        async with self.vault_lock():
            await self._with_seal(self._write_check)
        count = 0
        for profile in await asyncio.to_thread(self.folder.locked_profiles):
            async with self.held(profile, f"the profile {profile}"):
                count += await self._reseal(credential_of(profile))
        async with self.client_key_lock():
            return count + await self._reseal(CLIENT_KEY)

    async def _reseal(self, address: Address) -> int:
        def reseal(vault: str, seal: Seal) -> int:
            content = self.folder.read(vault, address, seal)
            if content is None:
                return 0
            self.folder.write(vault, address, content, seal)
            return 1

        return await self._with_seal(reseal)
