"""The seal in a file: one that a person keeps (a container's secret), or one that sidekey makes itself."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

from sidekey_auth.errors import SealError
from sidekey_auth.seal import HOW_TO_MAKE_ONE, Seal, parse_seal
from sidekey_auth.unchained import unchained
from sidekey_auth.vaults.durable import sweep, write_whole
from sidekey_auth.vaults.private import make_private_folder, read_private
from sidekey_auth.vaults.unbroken import unbroken

_MOST = 64 * 1024
_FOR_OTHERS = stat.S_IRGRP | stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH


class FileSeal:
    """A seal in a file: one key a line, the one that encrypts first.

    A file that a person keeps is followed through links and may belong to anybody, as Kubernetes mounts
    its secrets; one that sidekey keeps itself is private to this user.

    Args:
        path: the file's.
        create: sidekey keeps it itself: made (0600) when a vault is made, replaced when the seal is rotated.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path = path
        self.keeps = create

    @property
    def name(self) -> str:
        """The file, for people."""
        return f"the file {self._path}"

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._path

    def open_to_others(self) -> int | None:
        """Return the file's mode where other users can read or change it, else None, also without a file.

        What belongs to another user, as a mounted secret does, may be read through a group: that is how this
        user gets at it.
        """
        try:
            found = self._path.stat()
        except OSError:
            return None
        if os.name != "posix":
            return None
        mode = found.st_mode & 0o777
        open_ways = _FOR_OTHERS if found.st_uid == os.geteuid() else _FOR_OTHERS & ~stat.S_IRGRP
        return mode if mode & open_ways else None

    @unchained
    async def read(self, vault: str) -> Seal | None:  # noqa: ARG002 - one seal, whatever the vault
        """Return the seal in the file, or None where sidekey is to make it and has not yet.

        Raises:
            SealError: there is no such file, it cannot be read, or it holds no seal.
            VaultExposed: sidekey keeps it, and others can read it.
        """
        return await asyncio.to_thread(self._read_own if self.keeps else self._read_given)

    @unchained
    async def store(self, vault: str, seal: Seal) -> None:  # noqa: ARG002 - the same
        """Write the seal, whole or not at all.

        Raises:
            SealError: the file is a person's to keep.
            VaultUnwritable: it was not written.
        """
        if not self.keeps:
            raise SealError(f"{self.name} is kept by you, not by sidekey")
        lines = seal.written().reveal().replace(" ", "\n") + "\n"
        await unbroken(self._write, lines.encode())

    def _write(self, data: bytes) -> None:
        make_private_folder(self._path.parent, through_link=True)
        sweep(self._path)
        write_whole(self._path, data)

    def _read_own(self) -> Seal | None:
        data = read_private(self._path, most=_MOST)
        return None if data is None else self._parsed(data)

    def _read_given(self) -> Seal:
        try:
            # A pipe would be read once and then wait for ever: the seal is read again after a rotation.
            descriptor = os.open(self._path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
            with os.fdopen(descriptor, "rb") as file:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise SealError(f"{self.name} is not a plain file", remedy=HOW_TO_MAKE_ONE)
                return self._parsed(file.read(_MOST + 1))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else type(error).__name__
            raise SealError(
                f"the seal cannot be read from {self.name}: {reason}",
                remedy="Let SIDEKEY_SEAL_KEY_FILE name a file that this user can read.",
            ) from None

    def _parsed(self, data: bytes) -> Seal:
        try:
            return parse_seal(data[: _MOST + 1].decode("ascii"), self.name)
        except UnicodeDecodeError:
            raise SealError(f"what is in {self.name} is not a seal key", remedy=HOW_TO_MAKE_ONE) from None
