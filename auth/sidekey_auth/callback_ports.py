"""The loopback sockets of a callback server: the registered ports in turn, on 127.0.0.1 and ::1."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from .errors import PortsBusy

BACKLOG: Final = 16
_FREE_PORT_TRIES: Final = 5


def bind_first(ports: Sequence[int]) -> list[socket.socket]:
    """Return listening sockets on the first of the ports that is free.

    127.0.0.1 is always among them. A browser may try ``::1`` first for ``localhost``: where there is IPv6
    that is bound too, and a port whose ``::1`` belongs to somebody else counts as busy, since the code
    would go there.

    Args:
        ports: to be tried in turn; 0 is any free one.

    Raises:
        PortsBusy: none of them can be had.
    """
    reasons = []
    for port in ports:
        for _ in range(1 if port else _FREE_PORT_TRIES):
            try:
                return _bind(port)
            except OSError as error:
                reason = error
        reasons.append((port, reason))
    raise _busy(reasons)


def ssh_line(port: int) -> str:
    """Return the command that brings a remote machine's callback port to the browser's machine."""
    return f"ssh -L {port}:localhost:{port} <host>"


def _bind(port: int) -> list[socket.socket]:
    sockets = [_listening(socket.AF_INET, "127.0.0.1", port)]
    try:
        sockets.append(_listening(socket.AF_INET6, "::1", sockets[0].getsockname()[1]))
    except OSError as error:
        if error.errno in {errno.EADDRINUSE, errno.EACCES}:
            sockets[0].close()
            raise
    return sockets


def _listening(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":
            # Otherwise the connections of the last sign-in, in TIME_WAIT, would keep the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        else:
            # There, SO_REUSEADDR would let two programs share the port.
            with suppress(AttributeError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)  # type: ignore[attr-defined,unused-ignore]
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
        sock.setblocking(False)
    except OSError:
        sock.close()
        raise
    return sock


def _busy(reasons: Sequence[tuple[int, OSError]]) -> PortsBusy:
    names = " and ".join(str(port) for port, _ in reasons)
    several = len(reasons) > 1
    if all(error.errno == errno.EADDRINUSE for _, error in reasons):
        why = f"the callback port{'s' if several else ''} {names} {'are' if several else 'is'} in use"
    else:
        each = "; ".join(f"{port}: {error.strerror or 'unknown reason'}" for port, error in reasons)
        why = f"the callback port{'s' if several else ''} {names} cannot be had ({each})"
    return PortsBusy(
        why,
        remedy=(
            "End the program that holds one of them (another sign-in, perhaps), "
            "or run `sidekey login --paste`. "
            f"To sign in on a remote machine, forward the port from yours: {ssh_line(reasons[0][0])}"
        ),
    )
