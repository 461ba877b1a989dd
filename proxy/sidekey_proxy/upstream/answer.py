"""One answer of upstream as it arrives: a small buffer between its connection and its reader."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from sidekey_proxy.message.exchange import Headers, Tunnel
from sidekey_proxy.message.framing import Framing

from .interface import UpstreamCut, UpstreamInvalid

HIGH_WATER = 128 * 1024
"""Bytes that may wait for the reader before upstream is held; one more read of the socket may come on top."""

_SWITCHING = 101


class Line(Protocol):
    """The connection that an answer comes from."""

    def hold(self) -> None:
        """Read no more until ``go_on``."""

    def go_on(self) -> None:
        """Read again."""

    def stop_sending(self) -> None:
        """Send no more of the request's body."""

    def release(self, answer: Answer) -> None:
        """Take the connection back from an answer that nobody reads any more."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while upstream does not read."""

    def end(self) -> None:
        """Close once everything that was written is sent."""

    def abort(self) -> None:
        """Close at once."""


class Answer:
    """An answer that is on its way (``upstream.UpstreamAnswer``).

    Args:
        line: the connection that it comes from.
        method: the request's: a HEAD request's answer has no body.
        loop: the event loop that it lives in.
    """

    __slots__ = (
        "_arrived",
        "_error",
        "_held",
        "_line",
        "_loop",
        "_on_break",
        "_pieces",
        "_size",
        "_waiter",
        "ended",
        "framing",
        "headers",
        "method",
        "reason",
        "status",
    )

    def __init__(self, line: Line, method: str, loop: asyncio.AbstractEventLoop) -> None:
        self.method = method
        self.status = 0
        self.reason = ""
        self.headers: Headers = ()
        self.framing = Framing.CLOSE
        self.ended = False
        self._line = line
        self._loop = loop  # asking for the running one is a system call, which every event would make
        self._arrived: asyncio.Future[None] = loop.create_future()
        self._pieces: list[bytes] = []
        self._size = 0
        self._held = False
        self._on_break: Callable[[], None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None

    # --- the reader's side ----------------------------------------------------------------------------

    @property
    def until_close(self) -> bool:
        """Whether the body ends where the connection does."""
        return self.framing is Framing.CLOSE

    async def arrived(self) -> None:
        """Return when the head is here.

        Raises:
            UpstreamError: it will not come, for this reason.
        """
        await self._arrived

    async def read(self) -> bytes:
        """Return what has arrived of the body, waiting for some of it; ``b""`` at its end."""
        if not self._pieces and not self.ended and self._error is None:
            self._waiter = self._loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._pieces:
            return self._take()
        if self._error is not None:
            raise self._error
        return b""

    def tunnel(self) -> Tunnel:
        """Return the connection after a 101.

        Raises:
            UpstreamInvalid: the answer is no 101.
        """
        if self.status != _SWITCHING:
            raise UpstreamInvalid("upstream did not switch protocols")
        return _UpstreamTunnel(self, self._line)

    def on_break(self, call: Callable[[], None]) -> None:
        """Call this when upstream breaks off while nobody waits in ``read``."""
        self._on_break = call

    def stop_sending(self) -> None:
        """Send no more of the request's body."""
        self._line.stop_sending()

    def close(self) -> None:
        """Give the connection back if the answer was whole, and close it otherwise."""
        self._line.release(self)

    # --- the connection's side ------------------------------------------------------------------------

    @property
    def begun(self) -> bool:
        """Whether the head is here."""
        return self.status != 0

    def begin(self, status: int, reason: str, headers: Headers, framing: Framing) -> None:
        """Take the head."""
        self.status, self.reason, self.headers, self.framing = status, reason, headers, framing
        if not self._arrived.done():
            self._arrived.set_result(None)

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(data)
        self._size += len(data)
        if self._size > HIGH_WATER and not self._held:
            self._held = True
            self._line.hold()
        self._wake()

    def finish(self) -> None:
        """Take note that the answer is whole."""
        self.ended = True
        if self._held:
            self._held = False
            self._line.go_on()
        self._wake()

    def fail(self, error: Exception) -> None:
        """Take note that no more of the answer will come, and why."""
        if self.ended or self._error is not None:
            return
        self._error = error
        if not self._arrived.done():
            self._arrived.set_exception(error)
            self._arrived.exception()  # it may be that nobody waits for it any more
        self._wake()

    def break_off(self, error: Exception) -> None:
        """Fail, and tell a reader that is busy with something else: what it has not taken may never be."""
        if self.ended or self._error is not None:
            return
        self.fail(error)
        if self._waiter is None and self._on_break is not None:
            self._on_break()

    def _take(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._held:
            self._held = False
            self._line.go_on()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class _UpstreamTunnel:
    """The connection after a 101 (``exchange.Tunnel``)."""

    def __init__(self, answer: Answer, line: Line) -> None:
        self._answer = answer
        self._line = line

    async def read(self) -> bytes:
        try:
            return await self._answer.read()
        except UpstreamCut as error:
            raise ConnectionError(str(error)) from None

    async def write(self, data: bytes) -> None:
        await self._line.write(data)

    def on_break(self, call: Callable[[], None]) -> None:
        self._answer.on_break(call)

    def end(self) -> None:
        self._answer.finish()
        self._line.end()

    def cut(self) -> None:
        self._line.abort()
