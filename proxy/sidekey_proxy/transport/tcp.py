"""How TCP is to treat a connection: small pieces at once, silent peers given up, ends that are seen."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from typing import Final

_IDLE_SHARE: Final = 2
"""The first probe is sent after this fraction (one half) of the time that a peer may be silent."""
_PROBES: Final = 3
_LONGEST: Final = 32767
"""Seconds that Linux allows before and between probes."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})


def tune(transport: asyncio.BaseTransport, silence: float) -> None:
    """Let small pieces go at once, and let a peer that has fallen silent be found.

    A peer is silent that acknowledges nothing: neither data nor, while there is none, the probes of
    keep-alive (RFC 9293 section 3.8.4). The kernel then ends the connection with ETIMEDOUT. Linux counts a
    peer as silent, too, that is there but has had no room for waiting bytes for as long (TCP_USER_TIMEOUT).

    Unix sockets are left alone, and so is an option that the system does not have.

    Args:
        transport: a connection's.
        silence: seconds, at least 1, until a silent peer is given up.
    """
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in _INTERNET:
        return
    for level, option, value in _options(silence):
        try:
            sock.setsockopt(level, option, value)
        except OSError:
            continue  # it has just been closed, or the system has the name only


def reset(transport: asyncio.WriteTransport) -> None:
    """Close a connection at once by a RST, which is seen whatever the other side has not yet read.

    A FIN would stand behind all that, and where only the connection's end ends a message, make it whole.
    A Unix socket knows none: it is closed.
    """
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family in _INTERNET:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    abort(transport)


def _options(silence: float) -> Iterator[tuple[int, int, int]]:
    first_probe = min(max(1, round(silence / _IDLE_SHARE)), _LONGEST)
    between = min(max(1, round((silence - first_probe) / _PROBES)), _LONGEST)
    yield socket.IPPROTO_TCP, socket.TCP_NODELAY, 1
    yield socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
    for name, value in (
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", first_probe),
        ("TCP_KEEPINTVL", between),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", min(round(silence * 1000), 2**31 - 1)),
    ):
        option = getattr(socket, name, None)
        if option is not None:
            yield socket.IPPROTO_TCP, option, value


def abort(transport: asyncio.WriteTransport) -> None:
    """Close a connection at once; harmless where it is closed already.

    In some releases of Python 3.11 a TLS transport whose closing has come to its end raises here.
    """
    with contextlib.suppress(AttributeError):
        transport.abort()
