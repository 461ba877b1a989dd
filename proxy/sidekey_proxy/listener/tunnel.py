"""A client's connection after a 101 (``exchange.Tunnel``)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from .connection import Connection

_HIGH_WATER: Final = 64 * 1024
"""Bytes from the client that may wait to be read; one more read of the socket may come on top."""


class ClientTunnel:
    """Bytes both ways.

    Args:
        connection: the client's; it feeds what comes in.

    Attributes:
        waiting: bytes from the client that nobody has read.
    """

    __slots__ = ("_broken", "_connection", "_ended", "_on_break", "_pieces", "_waiter", "waiting")

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self.waiting = 0
        self._ended = self._broken = False
        self._on_break: Callable[[], None] | None = None
        self._waiter: asyncio.Future[None] | None = None

    def feed(self, data: bytes) -> None:
        """Take bytes from the client."""
        self._pieces.append(data)
        self.waiting += len(data)
        if self.waiting > _HIGH_WATER:
            self._connection.hold()
        self._wake()

    def feed_eof(self) -> None:
        """Take note that the client has ended."""
        self._ended = True
        self._wake()

    def break_off(self) -> None:
        """Take note that the client has broken off: nothing is to be delivered to it, or from it."""
        self._broken = True
        self.feed_eof()
        if self._on_break is not None:
            self._on_break()

    def on_break(self, call: Callable[[], None]) -> None:
        """Call this when the client breaks off."""
        self._on_break = call

    async def read(self) -> bytes:
        """Return the next bytes, or ``b""`` at the end."""
        if not self._pieces and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._broken:
            raise ConnectionResetError("the client is gone")
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        self._connection.go_on()
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client does not read."""
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        transport.write(data)
        if self._connection.room is not None:
            await self._connection.room

    def end(self) -> None:
        """Close once everything that was written is delivered."""
        self.feed_eof()
        if self._connection.transport is not None:
            self._connection.transport.close()

    def cut(self) -> None:
        """Close at once."""
        self.feed_eof()
        self._connection.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
