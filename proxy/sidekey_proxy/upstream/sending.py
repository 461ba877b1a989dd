"""A request's body on its way to upstream, as it comes."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from .interface import Body
from .request import chunk

CONTINUE_PATIENCE: Final = 1.0
"""Seconds that upstream may take to ask for a body by a 100. Not every server does: then it is sent."""


class Outlet(Protocol):
    """The connection that a body goes to."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while upstream does not read."""

    def body_moved(self) -> None:
        """Take note that a piece of the body is out."""

    def body_failed(self, error: Exception) -> None:
        """Take note that the rest of the body will not come, and why."""


class Sending:
    """Sends a body, a piece at a time, in a task of its own.

    Args:
        outlet: the connection.
        body: what is sent.
        chunked: send it in chunks; else its length has been said.
        expects: wait until upstream asks for it, ``CONTINUE_PATIENCE`` at most (RFC 9110 section 10.1.1).

    Attributes:
        sent: all of the body is out.
    """

    __slots__ = ("_body", "_chunked", "_outlet", "_task", "_wanted", "sent")

    def __init__(self, outlet: Outlet, body: Body, *, chunked: bool, expects: bool) -> None:
        loop = asyncio.get_running_loop()
        self._outlet = outlet
        self._body = body
        self._chunked = chunked
        self.sent = False
        self._wanted: asyncio.Future[None] | None = loop.create_future() if expects else None
        self._task = loop.create_task(self._send())

    @property
    def waiting(self) -> bool:
        """Whether upstream has not yet asked for the body."""
        return self._wanted is not None

    def go_ahead(self) -> None:
        """Send the body: upstream has asked for it."""
        if self._wanted is not None and not self._wanted.done():
            self._wanted.set_result(None)

    def stop(self) -> None:
        """Send no more of it."""
        if self._task is not asyncio.current_task():
            self._task.cancel()

    async def _send(self) -> None:
        try:
            if self._wanted is not None:
                await asyncio.wait([self._wanted], timeout=CONTINUE_PATIENCE)
                self._wanted = None
            while piece := await self._body.read():
                await self._outlet.write(chunk(piece) if self._chunked else piece)
                self._outlet.body_moved()
            if self._chunked:
                await self._outlet.write(b"0\r\n\r\n")
            self.sent = True
        except ConnectionError:
            pass  # whoever waits for the answer learns it from the connection's end
        except Exception as error:  # noqa: BLE001 - the request's body failed: that ends the exchange
            self._outlet.body_failed(error)
