"""The vault in memory: for programs that use the library for a while, and for tests."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from sidekey_auth.credential import Credential, checked_profile
from sidekey_auth.errors import VaultBusy, VaultUnwritable
from sidekey_auth.merge import Unsaved
from sidekey_auth.secret import Secret
from sidekey_auth.vault import PATIENCE, Claim, VaultDescription

_POLL: Final = 0.005


class MemoryVault:
    """A ``Vault`` that ends with the process; see ``sidekey_auth.vault`` for what each method promises."""

    def __init__(self) -> None:
        self._stored: dict[str, Credential] = {}
        self._loaded: dict[str, Credential | None] = {}
        self._client_key: Secret | None = None
        # Not asyncio's: a vault is used from several event loops.
        self._locks: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)

    async def create(self) -> None:
        """Do nothing: it is there."""

    async def load(self, profile: str) -> Credential:
        """Return what is stored, or an empty credential where nothing is."""
        stored = self._stored.get(checked_profile(profile))
        self._loaded[profile] = stored
        return stored or Credential(profile=profile)

    async def save(self, credential: Credential) -> None:
        """Keep it."""
        self._stored[checked_profile(credential.profile)] = credential

    @asynccontextmanager
    async def lock(self, profile: str, *, timeout: float = PATIENCE) -> AsyncIterator[None]:
        """Hold the profile's lock among the tasks of this process."""
        async with self._held(checked_profile(profile), timeout):
            yield

    @asynccontextmanager
    async def claim(self, profile: str, what: Claim, *, timeout: float = PATIENCE) -> AsyncIterator[None]:
        """Be the only one in this process that does this for the profile."""
        async with self._held(f"_{what}-{checked_profile(profile)}", timeout):
            yield

    @asynccontextmanager
    async def _held(self, name: str, timeout: float) -> AsyncIterator[None]:
        lock, loop = self._locks[name], asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while not lock.acquire(blocking=False):
            if loop.time() >= deadline:
                raise VaultBusy(f"{name} has been locked for {timeout:g} s")
            await asyncio.sleep(_POLL)
        try:
            yield
        finally:
            lock.release()

    async def changed(self, profile: str) -> None:
        """Return when the stored credential is another one than was last loaded."""
        if checked_profile(profile) not in self._loaded:
            return
        before = self._loaded[profile]
        # Looked at again and again: a save may come from another event loop.
        while self._stored.get(profile) is before:  # noqa: ASYNC110
            await asyncio.sleep(_POLL)

    async def profiles(self) -> tuple[str, ...]:
        """Return the names of all stored profiles, sorted."""
        return tuple(sorted(self._stored))

    async def put_aside(self, unsaved: Unsaved) -> str:  # noqa: ARG002 - memory is never full
        """Refuse: there is no other place than this process.

        Raises:
            VaultUnwritable: always.
        """
        raise VaultUnwritable("a vault in memory has no place to put anything aside")

    async def put_aside_before(self, profile: str) -> tuple[Unsaved, ...]:  # noqa: ARG002 - the interface's
        """Return nothing: there is no such place."""
        return ()

    async def forget_aside(self, profile: str) -> None:
        """Do nothing: there is no such place."""

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
