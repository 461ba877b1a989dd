"""The vault in a folder: one sealed file per profile, for all processes of one user on one machine."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sidekey_auth.aside import load_with_aside
from sidekey_auth.credential import Credential, checked_profile, from_document, to_document
from sidekey_auth.errors import SealError, VaultError, VaultUnreadable, VaultUnwritable
from sidekey_auth.merge import Unsaved, to_plain
from sidekey_auth.seal import Seal, SealSource, new_seal_key
from sidekey_auth.seals import seal_source
from sidekey_auth.secret import Secret
from sidekey_auth.vault import PATIENCE, Claim, VaultDescription

from .aside_folder import AsideFolder
from .document import CLIENT_KEY, credential_of
from .folder import VaultFolder
from .home import home, state_home
from .rotation import Rotation, rotated
from .sealed import SealedFolder
from .unbroken import unbroken

LOOK_EVERY: Final = 0.25
_CLIENT_KEY: Final = "client_key"
_NO_VAULT: Final = "none"
"""An id that no vault has: asking for its seal tells whether the seal's source works."""


def open_vault(environ: Mapping[str, str]) -> FileVault:
    """Return this user's vault, as the environment says; nothing is read or made yet.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError, SealError: the environment makes no sense.
    """
    return FileVault(home(environ), seal_source(environ), aside=state_home(environ) / "unsaved")


class FileVault:
    """A ``Vault`` in a folder; see ``sidekey_auth.vault`` for what each method promises.

    Args:
        folder: where it is, or will be; made (0700) when something is first stored.
        seal: where its seal comes from.
        aside: where records of what could not be saved go; nowhere if left out.
        patience: seconds to wait for the locks that no caller names a time for.
    """

    def __init__(
        self, folder: Path, seal: SealSource, *, aside: Path | None = None, patience: float = PATIENCE
    ) -> None:
        self._folder = VaultFolder(Path(os.path.abspath(folder)))  # noqa: PTH100 - links stay as they are
        self._sealed = SealedFolder(self._folder, seal, patience=patience)
        self._source = seal
        self._aside = AsideFolder(aside) if aside is not None else None
        self._loaded: dict[str, bytes] = {}
        self._saves: Counter[str] = Counter()

    async def create(self) -> None:
        """Make the folder, the vault's id and, where sidekey keeps it, the seal, if there is no vault."""
        await self._sealed.identity()  # first of all: a vault that has gone is not made anew
        await self._sealed.establish()
        # The seal is in memory from here on, so that a record can be put aside whatever happens to the vault.
        await self._sealed.seal()

    # --- credentials ----------------------------------------------------------------------------------

    async def load(self, profile: str) -> Credential:
        """Return what is stored, or an empty credential where nothing ever was; it makes nothing."""
        address = credential_of(checked_profile(profile))
        # Before the reading: what changes between the two is seen as a change, once too often at worst.
        self._loaded[profile] = await asyncio.to_thread(self._glance, profile)
        content = await self._sealed.read(address)
        return Credential(profile=profile) if content is None else from_document(profile, content)

    async def save(self, credential: Credential) -> None:
        """Write it whole or not at all; a cancellation in the middle waits until it is written."""
        self._saves[credential.profile] += 1
        await self._sealed.write(credential_of(credential.profile), to_document(credential))

    @asynccontextmanager
    async def lock(self, profile: str, *, timeout: float = PATIENCE) -> AsyncIterator[None]:
        """Hold the profile's lock across all processes."""
        checked_profile(profile)
        await self._sealed.present()
        async with self._sealed.held(profile, f"the profile {profile}", timeout=timeout):
            yield

    @asynccontextmanager
    async def claim(self, profile: str, what: Claim, *, timeout: float = PATIENCE) -> AsyncIterator[None]:
        """Be the only one, across all processes, that does this for the profile."""
        checked_profile(profile)
        await self._sealed.present()
        async with self._sealed.claim(profile, what, timeout=timeout):
            yield

    async def changed(self, profile: str) -> None:
        """Return when the stored credential is another one than this object last loaded.

        A save through this object counts as a change, too; with nothing loaded it returns at once.
        """
        before = self._loaded.get(checked_profile(profile))
        # Counted, since after a save of ours somebody may bring the content back that was loaded before it.
        saves = self._saves[profile]
        # Compared by content: a file's times and number may come back, and over a network they come
        # late. It is looked at again and again, since other processes set no events here.
        while before is not None and saves == self._saves[profile]:
            if before != await asyncio.to_thread(self._glance, profile):
                return
            await asyncio.sleep(LOOK_EVERY)

    async def profiles(self) -> tuple[str, ...]:
        """Return the names of all stored profiles, sorted."""
        return await asyncio.to_thread(self._folder.profiles)

    # --- what could not be saved ----------------------------------------------------------------------

    async def put_aside(self, unsaved: Unsaved) -> str:
        """Keep a record that the vault cannot take in another folder, sealed with the vault's own seal."""
        known = self._sealed.remembered()  # from memory: the vault's folder may be what is away
        if self._aside is None or known is None:
            raise VaultUnwritable("there is no other place for what cannot be saved")
        vault, seal = known
        profile = unsaved.result.profile
        return str(await unbroken(self._aside.write, vault, profile, to_plain(unsaved), seal))

    async def put_aside_before(self, profile: str) -> tuple[Unsaved, ...]:
        """Return the records that processes have put aside for a profile of this vault, oldest first."""
        vault = await self._sealed.identity()
        if self._aside is None or vault is None:
            return ()
        if not await asyncio.to_thread(self._aside.present, vault, profile):
            return ()
        vault, seal = await self._sealed.seal()
        records = await asyncio.to_thread(self._aside.read, vault, profile, seal)
        return tuple(sorted(records, key=lambda record: (record.result.sign_in, record.result.refreshes)))

    async def forget_aside(self, profile: str) -> None:
        """Delete the records that were last returned, and this object's own."""
        if self._aside is not None:
            await unbroken(self._aside.forget, profile)

    # --- the local client key -------------------------------------------------------------------------

    async def load_client_key(self) -> Secret | None:
        """Return the local client key, or None where none was made yet."""
        content = await self._sealed.read(CLIENT_KEY)
        if content is None:
            return None
        value = content.get(_CLIENT_KEY)
        if not isinstance(value, str) or not value:
            raise VaultUnreadable("the local client key is damaged")
        return Secret(value)

    async def save_client_key(self, key: Secret) -> Secret:
        """Store the local client key unless there is one, and return the one that is stored."""
        await self.create()
        async with self._sealed.client_key_lock():
            stored = await self.load_client_key()
            if stored is None:
                await self._sealed.write(CLIENT_KEY, {_CLIENT_KEY: key.reveal()})
            return stored or key

    # --- the vault as a whole -------------------------------------------------------------------------

    async def check(self) -> None:
        """Find at start what would go wrong later: see that everything can be opened and replaced.

        Makes the folder, the vault's id and, where sidekey keeps it, the seal, if they are missing.

        Raises:
            VaultUnwritable: a save would fail.
            VaultExposed: others can get at it.
            VaultUnreadable, WrongSeal: a document does not open; nothing was overwritten.
            SealError: the seal cannot be had.
        """
        await asyncio.to_thread(self._folder.look)
        await self._sealed.identity()
        await unbroken(self._folder.make)
        await unbroken(self._folder.check_writable)
        await self.create()
        for address in await asyncio.to_thread(self._folder.documents):
            await self._sealed.read(address)

    async def examine(self) -> bool:
        """Look at a vault and its seal as ``check`` does, make none, and tell whether there is one.

        Raises:
            VaultUnwritable, VaultExposed, VaultUnreadable, WrongSeal, SealError: as ``check``.
        """
        await asyncio.to_thread(self._folder.look)
        identity = await asyncio.to_thread(self._folder.identity)
        await self._source.read(identity or _NO_VAULT)
        if identity is None:
            return False
        await unbroken(self._folder.check_writable)
        for address in await asyncio.to_thread(self._folder.documents):
            await self._sealed.read(address)
        return True

    async def rotate(self) -> Rotation:
        """Seal everything anew with a new seal or, where a person keeps it, with the first of its keys.

        A kill at any point leaves a readable vault; running it again finishes. Other processes go on.

        Returns:
            What was done, and what is left to do.

        Raises:
            NoVault: there is no vault.
            SealError: a person keeps the seal and has not put a new key before the old one.
            VaultError: something cannot be opened or written; running it again goes on.
        """
        await self._sealed.present()
        async with self._sealed.rotation_lock():
            await self.check()
            vault, seal = await self._sealed.seal(fresh=True)
            if len(seal.keys) == 1:
                await self._prepend_key(vault, seal)
            async with self._sealed.everything_held():
                # What was put aside is sealed with the old seal: it is taken up, or nobody could open it.
                for profile in await asyncio.to_thread(self._folder.locked_profiles):
                    await load_with_aside(self, profile)
                count = await self._sealed.seal_anew()
                if self._source.keeps:
                    _, both = await self._sealed.seal()
                    await self._source.store(vault, Seal(both.keys[:1]))
                    self._sealed.forget()
            return rotated(count, self._source)

    async def _prepend_key(self, vault: str, seal: Seal) -> None:
        # Several keys in a seal that sidekey keeps are what a killed rotation left: it goes on with those.
        if not self._source.keeps:
            raise SealError(
                f"{self._source.name} holds one key only: there is nothing to rotate to",
                remedy="Put a new key (`sidekey seal new`) before the old one, and run this again.",
            )
        await self._source.store(vault, Seal((new_seal_key(), *seal.keys)))

    async def reset(self) -> Path | None:
        """Move the vault aside, readable or not, so that the next start makes a new one; nothing is deleted.

        The seal stays where it is: what was moved can be opened again if it is moved back.

        Returns:
            The folder with what was moved, or None where there was nothing.

        Raises:
            VaultUnwritable: something could not be moved; running it again goes on.
            VaultBusy: another process is at work on it.
        """
        if not await asyncio.to_thread(os.path.lexists, self._folder.path):
            return None
        await unbroken(self._folder.make)
        async with self._sealed.rotation_lock(), self._sealed.everything_held():
            aside = await unbroken(self._folder.move_aside, datetime.now(UTC))
            self._sealed.forget_vault()
            return aside

    async def describe(self) -> VaultDescription:
        """Say where the vault is and what seals it, without opening it."""
        aside = str(self._aside.path) if self._aside else None
        return VaultDescription(where=str(self._folder.path), sealed_by=self._source.name, aside=aside)

    async def close(self) -> None:
        """Forget the seal."""
        self._sealed.forget()

    def _glance(self, profile: str) -> bytes:
        """Return what tells one state of a document from another: nothing, its content, or its error."""
        try:
            data = self._folder.raw(credential_of(profile))
        except VaultError as error:
            return str(error).encode("utf-8", "surrogateescape")
        return b"" if data is None else hashlib.sha256(data).digest()
