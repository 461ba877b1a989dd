"""Files that are written whole: after a power cut or a kill there is the old content or the new one.

The order is the point: write a temporary file in the same folder, fsync it, rename it, fsync the folder.
With the rename it is written, for everybody. What comes after can only make it last.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from pathlib import Path
from typing import Final

from sidekey_auth.log import get_logger

from .private import reason_of, unwritable

log = get_logger("sidekey.vault")

_TEMPORARY: Final = ".tmp"
_NOT_SUPPORTED: Final = frozenset(
    {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOTTY, errno.EBADF}
)
"""What systems say that cannot flush a folder, or cannot flush in that way."""
_NOT_ALLOWED: Final = frozenset({errno.EACCES, errno.EPERM, errno.EISDIR})
_FRESH = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file (0600) whole or not at all, durably as far as the system can; its folder is there already.

    A folder that the disk will not flush is logged: the file is written then, and a power cut may undo it.

    Raises:
        VaultUnwritable: it was not written; what was there is still there.
    """
    temporary = temporary_for(path)
    folder: int | None = None
    try:
        # Before the rename: where there is no descriptor to be had, nothing has happened yet.
        folder = _folder_to_sync(path.parent)
        _write_through(temporary, data)
        _rename(temporary, path, data)
        if folder is not None:
            _sync_folder(folder, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise unwritable(path, error) from None
    finally:
        if folder is not None:
            os.close(folder)


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
        sync_file(descriptor)


def sync_file(descriptor: int) -> None:
    """Have an open file or folder written to the disk itself.

    On Darwin fsync leaves the disk's own cache alone; F_FULLFSYNC does not, and some file systems there (SMB)
    know only fsync (fsync(2), fcntl(2)).

    Raises:
        OSError: the disk did not do it.
    """
    if _flushed_in_full(descriptor):
        return
    os.fsync(descriptor)


def _flushed_in_full(descriptor: int) -> bool:
    if os.name != "posix":
        return False
    import fcntl  # noqa: PLC0415 - not on Windows

    command = getattr(fcntl, "F_FULLFSYNC", None)
    if command is None:
        return False
    try:
        fcntl.fcntl(descriptor, command)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED:
            return False
        raise
    return True


def _rename(temporary: Path, path: Path, data: bytes) -> None:
    try:
        os.replace(temporary, path)  # noqa: PTH105 - the one step that matters is the system's own
    except OSError:
        # Over NFS a rename may happen and its answer get lost: then its repetition finds no file any more.
        if not _stands(path, data):
            raise


def _stands(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _folder_to_sync(folder: Path) -> int | None:
    """Return a descriptor of the folder, or None where folders are not opened or not flushed."""
    if os.name != "posix":
        return None
    try:
        return os.open(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno in _NOT_SUPPORTED | _NOT_ALLOWED:
            return None
        raise


def _sync_folder(descriptor: int, path: Path) -> None:
    try:
        sync_file(descriptor)
    except OSError as error:
        if error.errno not in _NOT_SUPPORTED:
            # An error for the person at the terminal, but none for the caller: it is written.
            log.error(  # noqa: TRY400 - the traceback would tell nobody anything
                "written, but a power cut may undo it", path=str(path), reason=reason_of(error)
            )
