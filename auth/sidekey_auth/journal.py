"""The written side of one profile's credential: what is stored, what this process holds, what is unsaved.

A change is made under the profile's lock, to the credential as it is stored then. What cannot be written is
held in memory as a record (``merge.Unsaved``), is put aside where that is possible, and is written as soon as
it can be. Whatever is read later is merged with it by one pure rule.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from .aside import load_with_aside
from .credential import DEFAULT_PROFILE, Credential
from .errors import CredentialUnsaved, SealError, SidekeyError, VaultError
from .log import get_logger
from .merge import Unsaved, base_of, merge, precious
from .vault import PATIENCE, Vault

log = get_logger("sidekey.vault")

SAVING: Final = 10.0
"""Seconds for which a process that ends goes on trying to save what it got."""

_PAUSE: Final = 0.5

Change = Callable[[Credential], Credential]
"""Gets the credential as it is stored, and returns what it becomes; the same one where nothing changes."""


class Journal:
    """The credential of one profile, as one process reads and writes it.

    Args:
        vault: where it is stored.
        profile: whose.
        watch: is told of the credential each time it may have changed.
    """

    def __init__(
        self,
        vault: Vault,
        profile: str = DEFAULT_PROFILE,
        watch: Callable[[Credential], None] | None = None,
    ) -> None:
        self.vault = vault
        self.profile = profile
        self.credential = Credential(profile=profile)
        self.unsaved: Unsaved | None = None
        self.aside: str | None = None
        self._watch = watch or (lambda _: None)
        self._known = False
        self._reading = asyncio.Lock()
        self._writes = 0

    # --- reading --------------------------------------------------------------------------------------

    async def read(self) -> None:
        """Read the vault again.

        Raises:
            VaultError, SealError: it cannot be read; what is in memory stays.
        """
        async with self._reading:
            while True:
                writes = self._writes
                loaded = await self.vault.load(self.profile)
                if writes == self._writes:  # else it may be older than what was written meanwhile
                    break
            self._reconcile(loaded)

    async def inspect(self) -> None:
        """Read the vault and what was put aside for it, and write nothing.

        Raises:
            VaultError, SealError: it cannot be read; what is in memory stays.
        """
        await self.read()
        merged = self.credential
        for record in await self.vault.put_aside_before(self.profile):
            merged = merge(merged, record)
        if merged != self.credential:
            aside = (await self.vault.describe()).aside
            self.take(merged, Unsaved(base_of(self.credential), merged), aside)

    @asynccontextmanager
    async def locked(self, *, timeout: float = PATIENCE) -> AsyncIterator[None]:
        """Hold the profile's lock, with the credential just read, and what was put aside taken up.

        Raises:
            VaultError, SealError: the vault cannot be locked, or not be read.
        """
        async with self.vault.lock(self.profile, timeout=timeout):
            self._writes += 1
            self._reconcile(await load_with_aside(self.vault, self.profile))
            yield

    def _reconcile(self, loaded: Credential) -> None:
        record = self.unsaved or Unsaved(base_of(self.credential), self.credential)
        merged = merge(loaded, record) if self._known else loaded
        self._known = True
        if merged == loaded:
            self._saved(loaded)
        else:
            if self.unsaved is None:
                log.warning("the vault holds an older credential than this process: it is written again")
            self.unsaved = Unsaved(base_of(loaded), merged)
            self._hold(merged)

    # --- writing --------------------------------------------------------------------------------------

    async def change(self, make: Change, *, timeout: float = PATIENCE) -> None:
        """Apply a change to the credential as it is stored now; hold it in memory where that cannot be done.

        Args:
            make: is called again with what is in memory if the vault cannot be used.
            timeout: seconds to wait for the lock.
        """
        try:
            async with self.locked(timeout=timeout):
                await self._write(make(self.credential))
        except (VaultError, SealError) as error:
            await self.hold(make(self.credential), error)

    async def hold(self, result: Credential, error: SidekeyError) -> None:
        """Hold in memory what could not be written, and put it aside if it must not be lost.

        Args:
            result: what came out.
            error: why it could not be written.
        """
        if result == self.credential and self.unsaved is None:
            return
        base = self.unsaved.base if self.unsaved else base_of(self.credential)
        record = Unsaved(base, result)
        aside = await put_aside(self.vault, record) if precious(record) else None
        self.take(result, record, aside)
        log.error("the refreshed credential could not be saved", reason=str(error))

    def take(self, credential: Credential, unsaved: Unsaved | None, aside: str | None) -> None:
        """Take over what a critical section has come to.

        Args:
            credential: as it stands now.
            unsaved: what it could not write.
            aside: where it has put that, for people.
        """
        self._writes += 1
        self.unsaved, self.aside = unsaved, aside
        self._known = True
        self._hold(credential)

    @property
    def must_save(self) -> bool:
        """Whether tokens or a key are not in the vault."""
        return self.unsaved is not None and precious(self.unsaved)

    async def save_unsaved(self, *, timeout: float = PATIENCE) -> None:
        """Write what is unsaved, if anything is.

        Raises:
            VaultError, SealError: it cannot be written yet.
        """
        if self.unsaved is None:
            return
        async with self.locked(timeout=timeout):
            if self.unsaved is not None:
                await self._write(self.credential)
        log.info("the refreshed credential is saved now")

    async def settle(self) -> None:
        """Write what is unsaved before the process ends, or find another place for it.

        Raises:
            CredentialUnsaved: it is not in the vault; ``aside`` says where it is kept instead, if anywhere.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + SAVING
        if not self.must_save:
            with contextlib.suppress(VaultError, SealError):
                await self.save_unsaved(timeout=_PAUSE)
            return
        while self.unsaved is not None:
            try:
                await self.save_unsaved(timeout=max(_PAUSE, deadline - loop.time()))
            except (VaultError, SealError) as error:
                if self.aside is None:
                    self.aside = await put_aside(self.vault, self.unsaved)
                if self.aside is not None or loop.time() >= deadline:
                    raise unsaved_error(error, self.aside) from None
                await asyncio.sleep(_PAUSE)

    async def _write(self, credential: Credential) -> None:
        self._writes += 1
        if credential != self.credential or self.unsaved is not None:
            await self.vault.save(credential)
            self._writes += 1
        if self.aside is not None:
            await self.vault.forget_aside(self.profile)
        self._saved(credential)

    def _saved(self, credential: Credential) -> None:
        self.unsaved, self.aside = None, None
        self._hold(credential)

    def _hold(self, credential: Credential) -> None:
        self.credential = credential
        self._watch(credential)


async def put_aside(vault: Vault, unsaved: Unsaved) -> str | None:
    """Put a record aside, and return where, for people; None where there is no other place."""
    try:
        return await vault.put_aside(unsaved)
    except Exception as error:  # noqa: BLE001 - it is the last resort: nothing that it meets may get further
        log.warning("the refreshed credential could not be put aside either", reason=str(error))
        return None


def unsaved_error(error: SidekeyError, aside: str | None) -> CredentialUnsaved:
    """Return what is said of a credential that could not be saved before the end.

    Args:
        error: why.
        aside: the file where it is kept, or None where it is lost.
    """
    if aside is not None:
        return CredentialUnsaved(
            f"the credential could not be saved in the vault ({error}); it is kept, sealed, in {aside}",
            aside=aside,
            remedy=f"{error.remedy} The next sidekey command then takes it over.".strip(),
        )
    return CredentialUnsaved(
        f"the credential could not be saved ({error}): the new tokens of the sign-in are lost",
        aside=None,
        remedy=f"{error.remedy} Then run `sidekey login`.".strip(),
    )
