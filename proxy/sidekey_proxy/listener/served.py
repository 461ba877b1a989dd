"""One request and its answer on a client's connection (``exchange.Exchange``)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from sidekey_proxy.message.chunked import ChunkedReader
from sidekey_proxy.message.exchange import ClientGone, Headers, RequestHead, RequestInvalid, first
from sidekey_proxy.message.framing import BadFraming, Framing, bodiless
from sidekey_proxy.message.response_head import CONTINUE, head_bytes, switching_bytes
from sidekey_proxy.transport.tcp import reset

if TYPE_CHECKING:
    from sidekey_proxy.message.request_terms import Terms

    from .connection import Connection
    from .server import ListenerSettings
    from .tunnel import ClientTunnel

_WRITTEN_TOGETHER: Final = 64 * 1024
"""Bytes that are not worth waiting for the end of the event loop's turn, to be written with their head."""


class ServedExchange:
    """A request whose head has come, and its answer.

    Args:
        connection: where it came from.
        head: its head.
        terms: how it travels.
        settings: how clients are treated.

    Attributes:
        received: bytes of the body that have come.
        receiving: whether some of the body is still to come.
        fault: why the body will not come to its end.
        answered: whether the answer is out, all of it.
        tunnel: what the connection was handed over to.
        waiting: bytes of the body that have come and that nobody has read.
    """

    __slots__ = (
        "_answer_framing",
        "_begun",
        "_chunks",
        "_connection",
        "_continue_wanted",
        "_flush_soon",
        "_gone",
        "_keep_alive",
        "_left",
        "_left_to_send",
        "_pieces",
        "_settings",
        "_unsent",
        "_waiter",
        "answered",
        "fault",
        "head",
        "received",
        "receiving",
        "tunnel",
        "waiting",
    )

    def __init__(
        self, connection: Connection, head: RequestHead, terms: Terms, settings: ListenerSettings
    ) -> None:
        self.head = head
        self.tunnel: ClientTunnel | None = None
        self._connection = connection
        self._settings = settings
        self._keep_alive = terms.keep_alive
        # the request's body
        self.receiving = head.has_body
        self._continue_wanted = terms.expects_continue
        self._chunks = ChunkedReader() if terms.framing is Framing.CHUNKS else None
        self._left = terms.length
        self.received = 0
        self._pieces: list[bytes] = []
        self.waiting = 0
        self._waiter: asyncio.Future[None] | None = None
        self.fault: RequestInvalid | None = None
        # the answer
        self.answered = self._begun = self._gone = False
        self._answer_framing = Framing.NONE
        self._left_to_send = 0
        self._unsent: list[bytes] = []
        self._flush_soon: asyncio.Handle | None = None

    # --- the request: the connection's side -----------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """Take bytes of the body, and return what is behind its end."""
        if self.fault is not None:
            return b""  # where this body ends, and another request begins, nobody knows any more
        if not self.receiving or not data:
            return data
        rest = self._take_chunks(data) if self._chunks is not None else self._take_length(data)
        if self.waiting > self._settings.read_buffer and self.receiving:
            self._connection.hold()
        self._wake()
        return rest

    def _take_length(self, data: bytes) -> bytes:
        piece, rest = (data, b"") if len(data) <= self._left else (data[: self._left], data[self._left :])
        self._left -= len(piece)
        self.received += len(piece)
        self.receiving = self._left > 0
        self._pieces.append(piece)
        self.waiting += len(piece)
        return rest

    def _take_chunks(self, data: bytes) -> bytes:
        chunks = self._chunks
        assert chunks is not None  # noqa: S101 - it is what brought us here
        try:
            piece = chunks.feed(data)
        except BadFraming as fault:
            self._break(
                RequestInvalid(f"The request's body is not framed as HTTP demands: {fault}", fault.status)
            )
            return b""
        self.received += len(piece)
        if self._settings.body_limit and self.received > self._settings.body_limit:
            limit = self._settings.body_limit
            self._break(RequestInvalid(f"The request's body is longer than {limit} bytes", 413))
            return b""
        if piece:
            self._pieces.append(piece)
            self.waiting += len(piece)
        if not chunks.ended:
            return b""
        self.receiving = False
        self._chunks = None
        return chunks.rest

    def body_is_late(self) -> None:
        """Take note that the body has paused for too long."""
        self._break(RequestInvalid("The request's body came too slowly", 408))

    def _break(self, fault: RequestInvalid) -> None:
        self.fault = fault
        self._pieces.clear()
        self.waiting = 0
        self._wake()

    def client_ended(self) -> None:
        """Take note that the client has closed its side, or all of it."""
        if not self._gone and not self.answered:
            self._gone = True
            self.abandon()

    def abandon(self) -> None:
        """Cancel what serves this exchange."""
        self._connection.cancel()

    @property
    def held(self) -> bool:
        """Whether the client is kept from sending on."""
        return self._connection.held

    @property
    def reusable(self) -> bool:
        """Whether the connection can serve another request now."""
        return self._keep_alive and not self.receiving

    # --- the request: the reader's side ---------------------------------------------------------------

    def whole(self) -> bytes | None:
        """Return the whole body if it has already arrived, and None if some of it is still to come."""
        if self.receiving or self.fault is not None:
            return None
        return self._take()

    async def read(self) -> bytes:
        """Return the next bytes of the body as soon as there are any, or ``b""`` at the end."""
        while not self._pieces and self.receiving and self.fault is None:
            self._ask_for_the_body()
            await self._more()  # what came may have been a chunk's line only
        if self.fault is not None:
            raise self.fault
        return self._take()

    def _ask_for_the_body(self) -> None:
        if self._continue_wanted and not self._begun and not self.received:
            self._write(CONTINUE)
        self._continue_wanted = False

    async def _more(self) -> None:
        connection = self._connection
        connection.wait_for_body(self, self._settings.body_timeout)
        self._waiter = connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
            connection.wait_for_body(self, float("inf"))

    def _take(self) -> bytes:
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self.waiting = 0
        self._connection.go_on()
        return data

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # --- the answer -----------------------------------------------------------------------------------

    async def send_head(
        self, status: int, reason: str, headers: Headers, *, until_close: bool = False
    ) -> None:
        """Send the response's head; see ``Exchange.send_head``."""
        self._begun = True
        length = first(headers, b"content-length")
        framing = self._answer_framing = self._frame(status, length, until_close=until_close)
        if framing is Framing.LENGTH:
            self._left_to_send = int(length or 0)
        self._keep_alive = self._keeps_alive()
        head = head_bytes(self.head.version, status, reason, headers, framing, keep=self._keep_alive)
        self._write_head(head)

    async def send_chunk(self, data: bytes) -> None:
        """Send a piece of the body at once; waits while the client does not read."""
        framing = self._answer_framing
        if not data or framing is Framing.NONE:
            return
        if framing is Framing.CHUNKS:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            if framing is Framing.LENGTH:
                self._left_to_send -= len(data)
            self._write(data)
        room = self._connection.room
        if room is not None:
            await room
        if self._connection.transport is None:
            raise ClientGone

    async def finish(self) -> None:
        """End the response as a whole one."""
        if self._left_to_send:
            self.cut()
            return
        if self._answer_framing is Framing.CHUNKS:
            self._write(b"0\r\n\r\n")
        self._flush()
        self.answered = True

    def cut(self) -> None:
        """Close the connection so that the client sees a cut response, never a whole one."""
        transport = self._connection.transport
        self._keep_alive = False
        if transport is None or self.answered:
            return
        self._flush()
        unread = self._connection.room is not None  # a FIN would wait behind what the client does not read
        if self._answer_framing is Framing.CLOSE or self._gone or unread or not self._begun:
            reset(transport)
        else:
            transport.close()

    async def switch(self, headers: Headers) -> ClientTunnel:
        """Answer 101 with these headers and hand the connection over (RFC 9110 section 7.8)."""
        self._begun = True
        self._keep_alive = False
        self._write(switching_bytes(headers))
        self.answered = True
        self.tunnel = self._connection.switch()
        return self.tunnel

    def _frame(self, status: int, length: bytes | None, *, until_close: bool) -> Framing:
        if bodiless(self.head.method, status):
            return Framing.NONE
        if length is not None:
            return Framing.LENGTH
        return Framing.CLOSE if until_close or self.head.version == "1.0" else Framing.CHUNKS

    def _keeps_alive(self) -> bool:
        """Tell whether the connection can serve another request: not while this one's is still to come."""
        wanted = self._keep_alive and self._answer_framing is not Framing.CLOSE
        return wanted and not self.receiving and not self._connection.draining

    def _write_head(self, head: bytes) -> None:
        """Send a head before this turn of the event loop is over, with what there is of its body by then."""
        if self._gone or self._connection.transport is None:
            raise ClientGone
        self._unsent.append(head)
        self._flush_soon = self._connection.loop.call_soon(self._flush)

    def _write(self, data: bytes) -> None:
        transport = self._connection.transport
        if self._gone or transport is None:
            raise ClientGone
        if self._flush_soon is None:
            if not transport.is_closing():
                transport.write(data)
            return
        self._unsent.append(data)
        if len(data) > _WRITTEN_TOGETHER:
            self._flush()

    def _flush(self) -> None:
        if self._flush_soon is None:
            return
        self._flush_soon.cancel()
        self._flush_soon = None
        transport = self._connection.transport
        if transport is not None and not transport.is_closing():
            transport.write(b"".join(self._unsent))
        self._unsent.clear()
