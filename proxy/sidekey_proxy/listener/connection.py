"""One connection of a client: heads come in, one request at a time is served, and the end is kept in order.

A connection waits for a head, serves a request, is handed over to a tunnel, or throws away the rest of a
request whose answer is out; then it is closed.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Final, cast

import structlog

from sidekey_proxy.message import failures
from sidekey_proxy.message.exchange import ClientGone, RequestHead
from sidekey_proxy.message.failures import Failure
from sidekey_proxy.message.framing import BadFraming
from sidekey_proxy.message.request_head import (
    END,
    BadHead,
    Head,
    check_beginning,
    parse_head,
    without_leading_lines,
)
from sidekey_proxy.message.request_terms import terms_of
from sidekey_proxy.message.response_head import failure_bytes
from sidekey_proxy.transport import tcp
from sidekey_proxy.transport.hangup import HangUp, Watch, watch

from .served import ServedExchange
from .tunnel import ClientTunnel

if TYPE_CHECKING:
    from .server import Listener

log = structlog.get_logger("sidekey.listener")

NEVER: Final = float("inf")
WRITE_HIGH_WATER: Final = 64 * 1024
"""Bytes that may wait for a client that does not read; TLS would take 512 KiB otherwise."""


class Connection(asyncio.Protocol):
    """One connection of a client.

    Args:
        listener: the server that it belongs to.

    Attributes:
        loop: the event loop that it lives in.
        deadline: the event loop's time at which ``too_late`` is to be called.
        transport: None as soon as the connection is gone.
        room: done when the client has read enough of what was written; None while nothing is in the way.
    """

    __slots__ = (
        "_buffer",
        "_called",
        "_client",
        "_exchange",
        "_head_begun",
        "_left_to_throw",
        "_listener",
        "_scanned",
        "_tunnel",
        "_watch",
        "_worker",
        "deadline",
        "loop",
        "room",
        "transport",
    )

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self.loop = asyncio.get_running_loop()
        self._client = ""
        self._buffer: bytes | bytearray = b""
        self._scanned = 0
        self._head_begun = False
        self._exchange: ServedExchange | None = None
        self._worker: asyncio.Task[None] | None = None
        self._called: asyncio.Future[None] | None = None
        self._tunnel: ClientTunnel | None = None
        self._left_to_throw: int | None = None
        self._watch: Watch | None = None
        self.deadline = NEVER
        self.transport: asyncio.Transport | None = None
        self.room: asyncio.Future[None] | None = None

    @property
    def serving(self) -> bool:
        """Whether a request is being served, or a tunnel is open."""
        return self._exchange is not None

    @property
    def draining(self) -> bool:
        """Whether no further request is to be served."""
        return self._listener.draining

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent any more."""
        return self.transport is None or self.transport.is_closing()

    @property
    def held(self) -> bool:
        """Whether the client is kept from sending on."""
        return self._watch is not None

    # --- the transport's calls ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        self.transport = cast("asyncio.Transport", transport)  # uvloop's is none, but does the same
        self._client = _client_of(self.transport)
        self.transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        tcp.tune(self.transport, silence=self._listener.settings.peer_timeout)
        self._listener.opened(self)
        self._wait_for_head()
        if failure := self._listener.admission.connect(self._client):
            self._refuse(failure)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        if self._tunnel is not None:
            self._tunnel.feed(data)
        elif self._exchange is not None:
            self._put_by(self._exchange.feed(data))
        elif self._left_to_throw is not None:
            self._throw_away(len(data))
        else:
            self._put_by(data)
            self._next_request()

    def eof_received(self) -> None:
        """End the exchange: a client's FIN before the answer is whole counts as gone."""
        if self._tunnel is not None:
            self._tunnel.feed_eof()
        elif self._exchange is not None:
            self._exchange.client_ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol
        self.transport = None
        self.deadline = NEVER
        self._stop_watching()
        self._listener.admission.disconnect(self._client)
        if self._tunnel is not None:
            if exc is not None:
                self._tunnel.break_off()
            self._tunnel.feed_eof()
        elif self._exchange is not None:
            self._exchange.client_ended()
        else:
            self.cancel()
        if self._worker is None:
            self._listener.closed(self)
        self.resume_writing()

    def pause_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self.room = self.loop.create_future()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        room, self.room = self.room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- one request after the other ------------------------------------------------------------------

    def _put_by(self, data: bytes) -> None:
        """Keep bytes that nobody has taken yet: a head's, or a further request's."""
        if not data:
            return
        if self._buffer:
            if isinstance(self._buffer, bytes):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        else:
            self._buffer = data
        if self._exchange is not None and len(self._buffer) > self._listener.settings.read_buffer:
            self.hold()

    def _wait_for_head(self) -> None:
        self._scanned = 0
        self._head_begun = False
        self.expect_within(self._listener.settings.keep_idle)

    def _next_request(self) -> None:
        buffer = self._buffer = without_leading_lines(self._buffer)
        limits = self._listener.settings.head
        try:
            end = buffer.find(END, max(self._scanned - len(END), 0))
            if end < 0:
                if buffer:
                    check_beginning(buffer, limits, self._scanned)
                    self._head_begins()
                self._scanned = len(buffer)
                return
            end += len(END)
            head = parse_head(bytes(buffer[:end]), limits)
            self._buffer = b""
            self._begin(head, bytes(buffer[end:]))
        except (BadHead, BadFraming) as fault:
            self._refuse(failures.bad_request(str(fault), fault.status))

    def _head_begins(self) -> None:
        if not self._head_begun:
            self._head_begun = True
            self.expect_within(self._listener.settings.head_timeout)

    def _begin(self, head: Head, rest: bytes) -> None:
        settings = self._listener.settings
        terms = terms_of(head, settings.body_limit)
        request = RequestHead(
            method=head.method,
            target=head.target,
            headers=head.headers,
            client=self._client,
            version=head.version,
            has_body=terms.has_body,
            websocket=terms.websocket,
        )
        exchange = ServedExchange(self, request, terms, settings)
        rest = exchange.feed(rest)
        if exchange.fault is not None:
            raise BadFraming(str(exchange.fault), exchange.fault.status)
        if failure := self._listener.admission.begin():
            self._refuse(failure)
            return
        self.deadline = NEVER
        self._exchange = exchange
        self._put_by(rest)
        if self._worker is None:
            self._worker = self.loop.create_task(self._work())
            self._worker.add_done_callback(self._worker_ended)
        elif self._called is not None and not self._called.done():
            self._called.set_result(None)

    async def _work(self) -> None:
        """Serve one request after the other: a task for each of them would cost more than parsing it."""
        while True:
            exchange = self._exchange
            if exchange is None:
                self._called = self.loop.create_future()
                await self._called
                continue
            try:
                await self._listener.handle(exchange)
            except ClientGone:
                exchange.cut()
            except Exception:
                log.exception("a request broke")
                exchange.cut()
            self._served(exchange)
            if self.gone:
                return

    def cancel(self) -> None:
        """Cancel what serves the present request; the connection ends with it."""
        if self._worker is not None:
            self._worker.cancel()

    def _worker_ended(self, worker: asyncio.Task[None]) -> None:
        self._worker = None
        if not worker.cancelled() and (error := worker.exception()) is not None:
            log.error("serving a connection broke off", error=type(error).__name__)
        if self._exchange is not None:
            self._exchange.cut()
            self._served(self._exchange)
        if self.transport is None:
            self._listener.closed(self)

    def _served(self, exchange: ServedExchange) -> None:
        self._exchange = self._tunnel = None
        self._listener.admission.end()
        if self.transport is None or self.transport.is_closing():
            return
        if not exchange.answered:
            exchange.cut()
        elif exchange.reusable:
            self._wait_for_head()
            self.go_on()
            if self._buffer:
                self._next_request()
            if self._listener.draining:  # the client was told of a kept connection before that began
                self.close_if_idle(self._listener.idle_grace)
        elif self._buffer or exchange.receiving:
            self._linger()
        else:
            self.transport.close()

    # --- ends -----------------------------------------------------------------------------------------

    def _refuse(self, failure: Failure) -> None:
        """Answer what is no request, or one too many, and close."""
        if self.transport is None:
            return
        log.info(
            "refused", status=failure.status, code=failure.code, why=failure.message, client=self._client
        )
        self.transport.write(failure_bytes(failure, time.time()))
        self._linger()

    def _linger(self) -> None:
        """Close after the client had time to see the answer (RFC 9112 section 9.6)."""
        transport = self.transport
        if transport is None:
            return
        settings = self._listener.settings
        self._buffer = b""
        self._left_to_throw = settings.linger_limit
        self.expect_within(settings.linger)
        self.go_on()
        if transport.can_write_eof():
            transport.write_eof()

    def _throw_away(self, count: int) -> None:
        assert self._left_to_throw is not None  # noqa: S101 - it is what brought us here
        self._left_to_throw -= count
        if self._left_to_throw < 0 and self.transport is not None:
            self.transport.close()

    def close_if_idle(self, idle_grace: float) -> None:
        """Close the connection if nobody uses it, or after that many seconds without a further request."""
        idle = self._exchange is None and not self._head_begun and self._left_to_throw is None
        if not idle or self.transport is None:
            return
        if idle_grace > 0:
            self.deadline = min(self.deadline, self.loop.time() + idle_grace)
        else:
            self.transport.close()

    def cut(self) -> None:
        """End the request that is being served in the middle."""
        if self._exchange is not None:
            self._exchange.cut()
            self._exchange.abandon()

    def abort(self) -> None:
        """Close at once, so that it is seen also by a client that does not read."""
        if self.transport is None:
            return
        if self.room is not None:
            tcp.reset(self.transport)
        else:
            tcp.abort(self.transport)

    # --- time -----------------------------------------------------------------------------------------

    def expect_within(self, seconds: float) -> None:
        """Have ``too_late`` called when this time is over; a second call replaces the first."""
        self.deadline = self.loop.time() + seconds

    def wait_for_body(self, exchange: ServedExchange, seconds: float) -> None:
        """Give the client this long for the next piece of a body, unless that request is over already.

        Whoever reads the body may notice a moment too late that nobody wants it any more.
        """
        if self._exchange is exchange:
            self.expect_within(seconds)

    def too_late(self) -> None:
        """Do what is to be done when the client was too slow."""
        self.deadline = NEVER
        if self._exchange is not None:
            self._exchange.body_is_late()
        elif self._head_begun and self._left_to_throw is None:
            self._refuse(failures.bad_request("The request's headers came too slowly", 408))
        elif self.transport is not None:
            self.transport.close()

    # --- holding the client ---------------------------------------------------------------------------

    def hold(self) -> None:
        """Read no more until ``go_on``; the client's end is seen nevertheless."""
        if self._watch is None and self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()
            self._watch = watch(self.transport, self._hung_up)

    def go_on(self) -> None:
        """Read again, unless too much of a further request waits already."""
        if self._watch is None or len(self._buffer) > self._listener.settings.read_buffer:
            return
        self._stop_watching()
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None

    def _hung_up(self, how: HangUp) -> None:
        if self._tunnel is None:
            if self._exchange is not None:
                self._exchange.client_ended()
        elif how is HangUp.BROKEN:  # after a proper end, what was sent before it still has to be delivered
            self._tunnel.break_off()
            self.abort()

    def switch(self) -> ClientTunnel:
        """Hand the connection over to a tunnel, with what has been sent already.

        Raises:
            ClientGone: there is no connection any more.
        """
        if self.transport is None:
            raise ClientGone
        self._tunnel = ClientTunnel(self)
        early, self._buffer = bytes(self._buffer), b""
        self.go_on()
        if early:
            self._tunnel.feed(early)
        return self._tunnel


def _client_of(transport: asyncio.Transport) -> str:
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) else "unix"
