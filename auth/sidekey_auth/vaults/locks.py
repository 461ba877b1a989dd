"""Locks across processes, waited for without holding up the event loop.

The lock is the operating system's on an open file: it ends with the process that held it, however that
ended. Every ``held`` opens the file anew, so tasks of one process exclude each other just as processes do.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from filelock import FileLock, SoftFileLock, Timeout

from sidekey_auth.errors import VaultBusy, VaultUnwritable

from .private import reason_of

POLL: Final = 0.015


@contextlib.asynccontextmanager
async def held(path: Path, what: str, *, timeout: float) -> AsyncIterator[None]:
    """Hold a lock.

    Args:
        path: the lock's file, in a folder that is there; it stays when the lock is released.
        what: the thing that is locked, for people.
        timeout: seconds to wait before giving up.

    Raises:
        VaultBusy: it could not be had in time.
        VaultUnwritable: there can be no lock at this place.
    """
    lock = FileLock(path, mode=0o600, thread_local=False)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while not _taken(lock, path):
        if loop.time() >= deadline:
            raise VaultBusy(f"{what} has been locked by another process for {timeout:g} s")
        await asyncio.sleep(POLL)
    try:
        yield
    finally:
        lock.release()


def _taken(lock: FileLock, path: Path) -> bool:
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else str(error)
        raise VaultUnwritable(
            f"{path} cannot be locked: {reason}",
            remedy="Make the folder writable, or let SIDEKEY_HOME name one that is.",
        ) from None
    if _outlives_its_process(lock):
        # Where the file system has no locks, filelock makes do with a file that outlives a killed process.
        lock.release()
        raise VaultUnwritable(
            f"{path} cannot be locked: its file system has no locks",
            remedy="Let SIDEKEY_HOME name a folder on a local disk.",
        )
    return True


def _outlives_its_process(lock: object) -> bool:
    return isinstance(lock, SoftFileLock)
