"""Files that are written whole: after a power cut or a kill there is the old content or the new one.

The order is the point: write a temporary file in the same folder, fsync it, rename it, fsync the folder.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sys
from pathlib import Path
from typing import Final

from .private import unwritable

_TEMPORARY: Final = ".tmp"
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file (0600) whole or not at all, durably; its folder is there already.

    Raises:
        VaultUnwritable: it was not written; what was there is still there.
    """
    temporary = temporary_for(path)
    try:
        _write_through(temporary, data)
        os.replace(temporary, path)  # noqa: PTH105 - the one step that matters is the system's own
        _sync_folder(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error) from None


def temporary_for(path: Path) -> Path:
    """Return a fresh name beside a file, one that ``sweep`` removes if it is left over."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}{_TEMPORARY}")


def sweep(path: Path) -> None:
    """Remove what killed processes left of writing this file; the caller holds its lock."""
    with contextlib.suppress(OSError):
        for leftover in path.parent.glob(f".{path.name}.*{_TEMPORARY}"):
            leftover.unlink()


def _write_through(path: Path, data: bytes) -> None:
    descriptor = os.open(path, _FRESH, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        _sync(descriptor)


def _sync(descriptor: int) -> None:
    if sys.platform == "darwin":
        import fcntl  # noqa: PLC0415 - only there does fsync leave the disk's own cache alone

        with contextlib.suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    os.fsync(descriptor)


def _sync_folder(folder: Path) -> None:
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
