"""A client's connection after a 101; see ``listener.py``."""

from __future__ import annotations

import asyncio
import contextlib

from aiohttp.abc import AbstractStreamWriter

_HIGH_WATER = 64 * 1024
"""Bytes from the client that may wait to be read; one more read of the socket may come on top."""


class ClientTunnel:
    """Bytes both ways (``exchange.Tunnel``); aiohttp feeds it as it feeds its own WebSocket parser.

    Args:
        transport: the connection.
        writer: aiohttp's writer on it, which knows when the client does not read.
    """

    def __init__(self, transport: asyncio.Transport, writer: AbstractStreamWriter) -> None:
        self._transport = transport
        self._writer = writer
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes from the client; the answer says that more may come."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._held:
            self._held = True
            with contextlib.suppress(RuntimeError):  # uvloop's, where it is closed
                self._transport.pause_reading()
        self._wake()
        return False, b""

    def feed_eof(self) -> None:
        """Take note that the client has ended."""
        self._ended = True
        self._wake()

    async def read(self) -> bytes:
        """Return the next bytes, or ``b""`` at the end."""
        if not self._pieces and not self._ended:
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._held:
            self._held = False
            with contextlib.suppress(RuntimeError):  # the same
                self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the client does not read."""
        if self._transport.is_closing():
            raise ConnectionResetError("the client is gone")
        self._transport.write(data)
        await self._writer.drain()

    def end(self) -> None:
        """Close once everything that was written is delivered."""
        self.feed_eof()
        self._transport.close()

    def cut(self) -> None:
        """Close at once."""
        self.feed_eof()
        self._transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
