"""Unix sockets as files: put in place whole, taken over from the dead only, removed by their owner only."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import socket
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.addresses import UnixAddress

BACKLOG: Final = 1024
_NOBODY: Final = frozenset({errno.ECONNREFUSED, errno.ENOENT})


@dataclass(frozen=True, slots=True)
class SocketFile:
    """The file of a Unix socket that sidekey has made.

    Attributes:
        path: where it is.
        device, number: which file it is: another process may have put its own there since.
    """

    path: str
    device: int
    number: int

    @property
    def is_there(self) -> bool:
        """Whether the path still leads to this very socket."""
        try:
            found = os.lstat(self.path)
        except OSError:
            return False
        return (found.st_dev, found.st_ino) == (self.device, self.number)

    def remove(self) -> None:
        """Remove it, unless it is gone or another's."""
        with contextlib.suppress(OSError), _alone_in(Path(self.path).parent):
            if self.is_there:
                Path(self.path).unlink()

    def allow(self, address: UnixAddress) -> None:
        """Change its permissions to an address's.

        Raises:
            ConfigurationError: the system refuses.
        """
        try:
            if self.is_there:
                os.chmod(self.path, address.mode)  # noqa: PTH101 - beside lstat, on a text
        except OSError as error:
            raise ConfigurationError(f"{address}: its mode cannot be set: {error.strerror}") from None


def bind_unix(address: UnixAddress) -> tuple[socket.socket, SocketFile]:
    """Return a listening Unix socket and its file.

    The socket gets its name when it listens and its permissions are right. A file that a killed process has
    left behind is replaced; one behind which somebody answers is not.

    Raises:
        ConfigurationError: it is in use, or cannot be made.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise ConfigurationError(f"{address} cannot be listened on: this system has no Unix sockets")
    try:
        with _alone_in(Path(address.path).parent):
            _insist_on_free(address)
            return _put_in_place(address)
    except OSError as error:
        raise ConfigurationError(
            f"{address} cannot be listened on: {error.strerror or error}",
            remedy="The socket's folder must be there, and this user must be able to write in it.",
        ) from None


def _insist_on_free(address: UnixAddress) -> None:
    try:
        kind = os.lstat(address.path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(kind):
        raise ConfigurationError(
            f"{address} cannot be listened on: the file is there already, and is no socket",
            remedy="Choose another path with --listen or --admin-listen.",
        )
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        found = probe.connect_ex(address.path)
    if found in _NOBODY:
        return
    # Connected, or the queue of whoever listens is full. What cannot be told must not be replaced.
    if found in {0, errno.EAGAIN, errno.EINPROGRESS}:
        raise ConfigurationError(
            f"{address} is in use",
            remedy="Is sidekey running already? Else choose another address with --listen or --admin-listen.",
        )
    raise OSError(found, os.strerror(found))


def _put_in_place(address: UnixAddress) -> tuple[socket.socket, SocketFile]:
    first = Path(address.path).parent / f".{secrets.token_hex(3)}"
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.setblocking(False)
        bound.bind(str(first))
        try:
            first.chmod(address.mode)
            bound.listen(BACKLOG)
            made = first.lstat()
            first.replace(address.path)
        except BaseException:
            first.unlink(missing_ok=True)
            raise
    except BaseException:
        bound.close()
        raise
    return bound, SocketFile(address.path, made.st_dev, made.st_ino)


@contextlib.contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Let no other sidekey look at the folder's sockets and replace them meanwhile."""
    import fcntl  # noqa: PLC0415 - not on Windows

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
