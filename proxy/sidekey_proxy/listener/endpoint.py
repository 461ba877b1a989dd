"""Listening sockets: bound exclusively, and served through duplicates, so that they can change hands."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.addresses import Address, ListenAddress, UnixAddress

from .unix_socket import BACKLOG, SocketFile, bind_unix

_NO_SUCH_ADDRESS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_HANDSHAKE: Final = 15.0
"""Seconds that a client's TLS handshake may take."""

Protocols = Callable[[], asyncio.BaseProtocol]
"""Makes the protocol of each new connection."""


@dataclass(frozen=True, slots=True)
class Bound:
    """A socket that listens, and what it is bound to.

    Attributes:
        wanted: what was asked for; port 0 stays 0.
        socket: itself.
        file: of a Unix socket that sidekey has made.
        given: somebody else made it for us, such as systemd: it is listened on whatever the settings say.
        lent: another process serves it, too: its file is left as it is.
    """

    wanted: ListenAddress
    socket: socket.socket
    file: SocketFile | None = None
    given: bool = False
    lent: bool = False

    @property
    def address(self) -> ListenAddress:
        """Where it is reached: the port filled in."""
        if isinstance(self.wanted, UnixAddress):
            return self.wanted
        return replace(self.wanted, port=self.socket.getsockname()[1])

    def served_as(self, address: ListenAddress) -> Bound:
        """Return the same socket at an address of the same place: with or without TLS, with another mode."""
        return replace(self, wanted=address)

    def as_given(self) -> Bound:
        """Return the same socket as one that somebody else made: its file is not ours to remove."""
        return replace(self, file=None, given=True)

    @property
    def is_reachable(self) -> bool:
        """Whether clients still find it: a Unix socket's file may have been removed since."""
        return self.file is None or self.file.is_there

    def permit(self) -> None:
        """Give a Unix socket's file the permissions that the address says.

        Raises:
            ConfigurationError: the system refuses.
        """
        if isinstance(self.wanted, UnixAddress) and self.file is not None and not self.lent:
            self.file.allow(self.wanted)

    def close(self) -> None:
        """Close it, and remove the file of a Unix socket that is ours."""
        if self.file is not None and not self.lent:
            self.file.remove()
        self.socket.close()


class Endpoint:
    """A listening socket and whoever serves it now.

    The event loop gets a duplicate of the socket, and closes that. So it can be served in another way, or by
    another process, and nobody who waits in its queue is lost.

    Args:
        bound: the socket; it is closed with the endpoint.
    """

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self._server: asyncio.Server | None = None

    async def serve(self, protocols: Protocols, tls: ssl.SSLContext | None) -> None:
        """Accept connections, from now on with these; connections that are open already stay as they are.

        Args:
            protocols: makes the protocol of each connection.
            tls: for TLS, or None.
        """
        before = self._server
        self._server = await _accepting(self.bound.socket.dup(), protocols, tls)
        if before is not None:
            before.close()

    def stop_accepting(self) -> None:
        """Accept no more; who connects waits in the socket's queue."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def close(self) -> None:
        """Accept no more and close the socket."""
        self.stop_accepting()
        self.bound.close()


async def _accepting(
    duplicate: socket.socket, protocols: Protocols, tls: ssl.SSLContext | None
) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    options: dict[str, Any] = {"sock": duplicate, "backlog": BACKLOG}
    if tls is not None:
        options |= {"ssl": tls, "ssl_handshake_timeout": _HANDSHAKE}
    try:
        if not _is_unix(duplicate):
            return await loop.create_server(protocols, **options)
        if sys.version_info >= (3, 13):
            options["cleanup_socket"] = False  # the file is ours to remove, or systemd's
        return await loop.create_unix_server(protocols, **options)
    except BaseException:
        duplicate.close()
        raise


def _is_unix(listening: socket.socket) -> bool:
    return hasattr(socket, "AF_UNIX") and listening.family == socket.AF_UNIX


# --- binding --------------------------------------------------------------------------------------------


def bind(wanted: ListenAddress, *, needed: bool = True) -> Bound | None:
    """Return a listening socket at an address, which it has for itself.

    Args:
        wanted: where; port 0 takes a free one.
        needed: False returns None where the machine has no such address.

    Raises:
        ConfigurationError: it is in use, or cannot be had.
    """
    if isinstance(wanted, UnixAddress):
        bound, file = bind_unix(wanted)
        return Bound(wanted, bound, file)
    port = _bind_port(wanted, needed=needed)
    return None if port is None else Bound(wanted, port)


def _bind_port(address: Address, *, needed: bool) -> socket.socket | None:
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        _insist(address, error, needed=needed)
        return None
    try:
        bound.setblocking(False)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # On POSIX this only lets a port be had again whose old connections linger.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(place)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        _insist(address, error, needed=needed)
        return None
    return bound


def _insist(address: Address, error: OSError, *, needed: bool) -> None:
    if not needed and (error.errno in _NO_SUCH_ADDRESS or isinstance(error, socket.gaierror)):
        return
    if error.errno == errno.EADDRINUSE:
        raise ConfigurationError(
            f"{address.place} is in use",
            remedy="Is sidekey running already? Else choose another address with --listen or --admin-listen.",
        ) from None
    raise ConfigurationError(
        f"{address} cannot be listened on: {error.strerror}", remedy="Choose another address with --listen."
    ) from None
