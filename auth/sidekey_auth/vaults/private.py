"""Files and folders of this user alone: made 0700 and 0600, and refused where they are not.

Owner and mode are looked at where the system has them; links are never followed.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from sidekey_auth.errors import VaultError, VaultExposed, VaultUnreadable, VaultUnwritable

LARGEST = 8 * 1024 * 1024
"""Bytes of a file that is read. More than is written today: older versions wrote what they were given."""

_POSIX = os.name == "posix"
_OTHERS = 0o077
_NO_FOLLOWING = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def make_private_folder(path: Path, *, through_link: bool = False) -> None:
    """Make a folder (0700) with its parents, unless it is there; either way it is this user's alone.

    Args:
        path: the folder's.
        through_link: it may be a link to a folder, as the person's own choice of a place may be.

    Raises:
        VaultUnwritable: it cannot be made.
        VaultExposed: it belongs to somebody else, or others can get at it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
    except FileExistsError:
        raise VaultUnwritable(f"{path} is not a folder", remedy="Move it away.") from None
    except OSError as error:
        raise unwritable(path, error) from None
    folder_is_there(path, through_link=through_link)


def folder_is_there(path: Path, *, through_link: bool = False) -> bool:
    """Look at a folder, and tell whether there is one.

    Args:
        path: the folder's.
        through_link: it may be a link to a folder, as the person's own choice of a place may be.

    Raises:
        VaultUnreadable: it cannot be looked at.
        VaultExposed: it belongs to somebody else, or others can get at it.
    """
    try:
        found = path.stat(follow_symlinks=through_link)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(path, error) from None
    if not stat.S_ISDIR(found.st_mode):
        raise VaultUnreadable(f"{path} is not a folder", remedy="Move it away.")
    _check_owner(path, found)
    if _POSIX and found.st_mode & _OTHERS:
        raise VaultExposed(
            f"others can get at the folder {path} (mode {found.st_mode & 0o777:03o})",
            remedy=f"Run `chmod 700 {path}`; on a shared volume let SIDEKEY_HOME name a folder inside it.",
        )
    return True


def read_private(path: Path, *, most: int = LARGEST) -> bytes | None:
    """Return what stands in a file of this user's own, or None where there is no such file.

    Args:
        path: the file's.
        most: bytes; a larger file is none of ours.

    Raises:
        VaultUnreadable: it cannot be read, is not a plain file, or is too large.
        VaultExposed: it is a link, belongs to somebody else, or others can get at it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOWING)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise VaultExposed(f"{path} is a symbolic link", remedy="Put the file itself there.") from None
        raise unreadable(path, error) from None
    with os.fdopen(descriptor, "rb") as file:
        _check_file(path, os.fstat(descriptor))
        try:
            data = file.read(most + 1)
        except OSError as error:
            raise unreadable(path, error) from None
    if len(data) > most:
        raise VaultUnreadable(f"{path} is larger than {most} bytes")
    return data


def _check_file(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise VaultUnreadable(f"{path} is not a plain file", remedy="Move it away.")
    _check_owner(path, found)
    if _POSIX and found.st_mode & _OTHERS:
        raise VaultExposed(
            f"others can get at the file {path} (mode {found.st_mode & 0o777:03o})",
            remedy=f"Run `chmod 600 {path}`.",
        )


def _check_owner(path: Path, found: os.stat_result) -> None:
    if _POSIX and found.st_uid != os.geteuid():
        raise VaultExposed(
            f"{path} belongs to the user with the id {found.st_uid}, not to this one ({os.geteuid()})",
            remedy="Run sidekey as that user, or let SIDEKEY_HOME name a folder of this user's own.",
        )


def reason_of(error: OSError) -> str:
    """Return what the system says, without the path, which may be a temporary one."""
    return os.strerror(error.errno) if error.errno else type(error).__name__


def unreadable(path: Path, error: OSError) -> VaultError:
    """Return the error for a file or folder that the system would not read."""
    return VaultUnreadable(
        f"{path} cannot be read: {reason_of(error)}", remedy="See that this user can read it."
    )


def unwritable(path: Path, error: OSError) -> VaultUnwritable:
    """Return the error for a file or folder that the system would not write, with what to do about it."""
    if error.errno in (errno.EBUSY, errno.EXDEV):
        return VaultUnwritable(
            f"{path} cannot be replaced: it is a mount of its own",
            remedy=f"Mount the folder {path.parent} instead of the single file.",
        )
    remedies = {
        errno.ENOSPC: "Make room on the disk.",
        errno.EDQUOT: "Make room within the quota.",
        errno.EFBIG: "Raise the limit of the file size (`ulimit -f`).",
        errno.EROFS: "Let SIDEKEY_HOME name a folder on a disk that can be written.",
    }
    remedy = remedies.get(error.errno or 0, "Make the folder writable, or let SIDEKEY_HOME name one that is.")
    return VaultUnwritable(f"{path} cannot be written: {reason_of(error)}", remedy=remedy)
