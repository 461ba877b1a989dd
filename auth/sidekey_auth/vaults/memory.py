"""The vault in memory: for programs that use the library for a while, and for tests."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidekey_auth.credential import Credential, checked_profile
from sidekey_auth.errors import VaultBusy
from sidekey_auth.secret import Secret
from sidekey_auth.vault import VaultDescription


class MemoryVault:
    """A ``Vault`` that ends with the process; see ``sidekey_auth.vault`` for what each method promises."""

    def __init__(self) -> None:
        self._stored: dict[str, Credential] = {}
        self._loaded: dict[str, Credential | None] = {}
        self._client_key: Secret | None = None
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._saved = asyncio.Condition()

    async def load(self, profile: str) -> Credential:
        """Return what is stored, or an empty credential where nothing is."""
        stored = self._stored.get(checked_profile(profile))
        self._loaded[profile] = stored
        return stored or Credential(profile=profile)

    async def save(self, credential: Credential) -> None:
        """Keep it."""
        self._stored[checked_profile(credential.profile)] = credential
        async with self._saved:
            self._saved.notify_all()

    @asynccontextmanager
    async def lock(self, profile: str, *, timeout: float = 60.0) -> AsyncIterator[None]:
        """Hold the profile's lock among the tasks of this process."""
        lock = self._locks[checked_profile(profile)]
        try:
            async with asyncio.timeout(timeout):
                await lock.acquire()
        except TimeoutError:
            raise VaultBusy(f"the profile {profile} has been locked for {timeout:g} s") from None
        try:
            yield
        finally:
            lock.release()

    async def changed(self, profile: str) -> None:
        """Return when the stored credential is another one than was last loaded."""
        if checked_profile(profile) not in self._loaded:
            return
        before = self._loaded[profile]
        async with self._saved:
            await self._saved.wait_for(lambda: self._stored.get(profile) is not before)

    async def profiles(self) -> tuple[str, ...]:
        """Return the names of all stored profiles, sorted."""
        return tuple(sorted(self._stored))

    async def load_client_key(self) -> Secret | None:
        """Return the local client key, or None where none was made yet."""
        return self._client_key

    async def save_client_key(self, key: Secret) -> Secret:
        """Store the local client key unless there is one, and return the one that is stored."""
        self._client_key = self._client_key or key
        return self._client_key

    async def describe(self) -> VaultDescription:
        """Say that it is in memory."""
        return VaultDescription(where="this process's memory", sealed_by="nothing: it ends with the process")

    async def close(self) -> None:
        """Forget everything."""
        self._stored.clear()
        self._client_key = None
