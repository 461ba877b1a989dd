"""A connection without a socket, which behaves as asyncio's own do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class MemoryTransport(asyncio.Transport):
    """One end of a connection; the other end is whoever feeds it and hears what is written.

    Args:
        protocol: the end that is fuzzed; it is told that the connection is made.
        hears: called, a turn of the loop later, with what was written.
        slow: the other end has no room after each write, for a turn.

    Attributes:
        written: all that was written.
        closed: done when the protocol has been told that the connection is lost.
        aborted: it was not closed properly.
    """

    def __init__(
        self, protocol: asyncio.Protocol, hears: Callable[[bytes], None] | None = None, *, slow: bool = False
    ) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol = protocol
        self._hears = hears
        self._slow = slow
        self._full = False
        self._paused = self._closing = False
        self._waiting: list[bytes | None] = []
        self.written = bytearray()
        self.aborted = False
        self.said_no_more = False
        self.closed: asyncio.Future[None] = self._loop.create_future()
        protocol.connection_made(self)

    # --- the other end --------------------------------------------------------------------------------

    def feed(self, data: bytes | None) -> None:
        """Send bytes; None is a FIN."""
        self._waiting.append(data)
        self._deliver()

    def reset(self) -> None:
        """End the connection by a RST."""
        self._end(ConnectionResetError("by the other end"))

    def _deliver(self) -> None:
        while self._waiting and not self._paused and not self._closing:
            data = self._waiting.pop(0)
            if data is None:
                if not self._protocol.eof_received():
                    self.close()
            elif data:
                self._protocol.data_received(data)

    # --- asyncio.Transport ----------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Know only a client's address."""
        return ("203.0.113.9", 4711) if name == "peername" else default

    def is_closing(self) -> bool:
        """Tell whether it is closed, or about to be."""
        return self._closing

    def close(self) -> None:
        """Close properly."""
        self._end(None)

    def abort(self) -> None:
        """Close at once."""
        self.aborted = self.aborted or not self._closing
        self._end(None)

    def _end(self, error: Exception | None) -> None:
        if not self._closing:
            self._closing = True
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self._protocol.connection_lost(error)
        self.closed.set_result(None)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Write to the other end."""
        if self._closing or self.said_no_more:
            return
        self.written += data
        if self._hears is not None:
            self._loop.call_soon(self._hears, bytes(data))
        if self._slow and not self._full:
            self._full = True
            self._protocol.pause_writing()
            self._loop.call_soon(self._has_room)

    def _has_room(self) -> None:
        self._full = False
        self._protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: there is room for all, or for one write."""

    def can_write_eof(self) -> bool:
        """Tell that one direction can be closed alone, as with TCP."""
        return True

    def write_eof(self) -> None:
        """Say that no more will be written."""
        self.said_no_more = True

    def pause_reading(self) -> None:
        """Take nothing from the other end."""
        self._paused = True

    def resume_reading(self) -> None:
        """Take from the other end again."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self._deliver)
