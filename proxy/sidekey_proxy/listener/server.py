"""The HTTP/1.1 server in front: its connections all together, their time, and how they end.

One connection is ``listener/connection.py``, one request on it ``listener/served.py``. What is read off the
wire is decided by ``message/request_head.py``, ``message/framing.py`` and ``message/chunked.py``.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from sidekey_proxy.message.exchange import Exchange
from sidekey_proxy.message.request_head import HeadLimits

from .admission import Admission
from .connection import Connection

Handle = Callable[[Exchange], Awaitable[None]]
"""Serves one request to its end."""

_LOOK_EVERY: Final = 0.25
"""Seconds between two looks at the clock: one look for all connections instead of a timer for each."""
_LAST_WAIT: Final = 5.0
"""Seconds that what was cut may take to come to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """How clients' connections are treated.

    Attributes:
        keep_idle: seconds that a connection without a request is kept.
        head_timeout: seconds from the first byte of a request's head to its last.
        body_timeout: seconds that a request's body may pause while it is waited for.
        peer_timeout: seconds after which a client that has fallen silent below HTTP is given up.
        linger: seconds for which the rest of a refused request is thrown away before its connection is
            closed, so that a client in the middle of an upload sees the answer.
        linger_limit: bytes that are thrown away at most.
        body_limit: the longest request body, in bytes; 0 is no limit.
        head: how long a request's head may be.
        read_buffer: bytes that wait to be read before the client is held; one more read of the socket may
            come on top.
    """

    keep_idle: float = 75.0
    head_timeout: float = 30.0
    body_timeout: float = 60.0
    peer_timeout: float = 60.0
    linger: float = 2.0
    linger_limit: int = 1024 * 1024
    body_limit: int = 0
    head: HeadLimits = field(default_factory=HeadLimits)
    read_buffer: int = 64 * 1024


class Listener:
    """Serves HTTP on any number of sockets: an instance is the protocol factory of ``loop.create_server``.

    Args:
        handle: serves one request to its end; its task is cancelled when the client goes away.
        settings: how connections are treated; they may be replaced at any time.
        admission: counts what there is at once, for all listeners that share it.
    """

    def __init__(
        self, handle: Handle, settings: ListenerSettings | None = None, admission: Admission | None = None
    ) -> None:
        self.handle = handle
        self.settings = settings or ListenerSettings()
        self.admission = admission or Admission()
        self.draining = False
        self.idle_grace = 0.0
        self._connections: set[Connection] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._look_again: asyncio.TimerHandle | None = None

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return Connection(self)

    @property
    def open_exchanges(self) -> int:
        """How many requests are being served."""
        return sum(connection.serving for connection in self._connections)

    async def drain(self, seconds: float, *, idle_grace: float = 0.0) -> int:
        """Let open requests finish, take no further ones on their connections, and cut what is left.

        The listening sockets are to be closed before.

        Args:
            seconds: how long the open requests may take.
            idle_grace: seconds for which connections without a request stay open, for one more: their
                clients may be about to send it, and would find them closed.

        Returns:
            How many had to be cut.
        """
        self.draining, self.idle_grace = True, idle_grace
        for connection in list(self._connections):
            connection.close_if_idle(idle_grace)
        await self._all_gone(seconds)
        left = [connection for connection in self._connections if connection.serving]
        for connection in left:
            connection.cut()
        if left:
            await self._all_gone(_LAST_WAIT)
        for connection in list(self._connections):
            connection.abort()
        await self._all_gone(_LAST_WAIT)
        return len(left)

    async def _all_gone(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._empty.wait()

    # --- what connections tell ------------------------------------------------------------------------

    def opened(self, connection: Connection) -> None:
        """Take note of a new connection."""
        self._connections.add(connection)
        self._empty.clear()
        if self._look_again is None:
            self._look_later()

    def closed(self, connection: Connection) -> None:
        """Take note that a connection is gone."""
        self._connections.discard(connection)
        if not self._connections:
            self._empty.set()

    def _look_later(self) -> None:
        self._look_again = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look)

    def _look(self) -> None:
        self._look_again = None
        now = asyncio.get_running_loop().time()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.too_late()
        if self._connections:
            self._look_later()
