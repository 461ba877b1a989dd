"""One connection to upstream that speaks HTTP/1.1 (RFC 9112), one request at a time.

httptools parses; what it leaves open is decided here: it waits for a body after the answer to a HEAD request,
and it takes Transfer-Encoding in HTTP/1.0 and versions that do not exist.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import httptools

from .exchange import Fields, Headers, first
from .framing import BadFraming, Framing, answer_framing
from .upstream import (
    Body,
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamRequest,
    UpstreamTimedOut,
)
from .upstream_answer import Answer
from .upstream_request import chunk, is_chunked

_SWITCHING = 101
_LOWEST_STATUS = 100
_FIRST_FINAL_STATUS = 200
HEAD_LIMIT = 256 * 1024
"""Bytes of an answer's status line and headers; what is longer is no answer of an API."""


class Stale(UpstreamCut):
    """A connection that had been used before ended without a byte of an answer: it had been idle too long."""


def ended_cleanly(transport: asyncio.Transport) -> bool:
    """Tell whether the end of a connection is one that the other side said, and nobody else can have made.

    Over TLS a FIN without a close_notify is none (RFC 8446 section 6.1); asyncio does not tell them apart.
    """
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return tls.read(1) == b""
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False


class Connection(asyncio.Protocol):
    """A connection to upstream.

    Args:
        silence: seconds that upstream may stay silent in the middle of an answer.
        patience: seconds that an answer may take to begin, counted anew with each piece of the body sent.
        done: called with True when the connection can be used again, and False when it is of no more use.
    """

    def __init__(self, *, silence: float, patience: float, done: Callable[[Connection, bool], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence = silence
        self._patience = patience
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._answer: Answer | None = None
        self._pump: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._deadline = float("inf")
        self._watch: asyncio.TimerHandle | None = None
        self._requests = 0
        self._heard = 0
        self._reusable = False
        self._surplus = False
        self._switched = self._may_switch = False
        self._clean_end = False
        self._reason = b""
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._answer is None and not self._closing

    @property
    def _closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def exchange(self, head: bytes, request: UpstreamRequest) -> Answer:
        """Send a request and return its answer when the answer's head is here.

        Args:
            head: the request's head as it goes on the wire.
            request: its method and body.

        Raises:
            Stale, UpstreamError, ClientGone, RequestInvalid: see ``Upstream.send``.
        """
        answer = self._answer = Answer(self, request.method)
        self._requests += 1
        self._heard = 0
        self._switched = self._surplus = False
        self._may_switch = request.websocket
        self._expect(self._patience)
        try:
            self._write_request(head, request)
            await answer.arrived()
        except BaseException:
            self.abort()
            raise
        return answer

    def abort(self) -> None:
        """Close at once."""
        self._stop_pump()
        if self._transport is not None:
            self._transport.abort()

    # --- writing --------------------------------------------------------------------------------------

    def _write_request(self, head: bytes, request: UpstreamRequest) -> None:
        transport = self._transport
        if transport is None:
            raise self._cut_short()
        if request.body is None:
            transport.write(head)
            return
        chunked = is_chunked(request)
        whole = request.body.whole()
        if whole is None:
            transport.write(head)
            self._pump = self._loop.create_task(self._send(request.body, chunked=chunked))
        elif chunked:
            transport.write(head + (chunk(whole) if whole else b"") + b"0\r\n\r\n")
        else:
            transport.write(head + whole)

    async def _send(self, body: Body, *, chunked: bool) -> None:
        try:
            while piece := await body.read():
                await self.write(chunk(piece) if chunked else piece)
                self._expect(self._silence if self._begun else self._patience)
            if chunked:
                await self.write(b"0\r\n\r\n")
        except ConnectionError:
            pass  # whoever waits for the answer learns it from the connection's end
        except Exception as error:  # noqa: BLE001 - the request's body failed: that ends the exchange
            if self._answer is not None:
                self._answer.fail(error)
            self.abort()

    @property
    def _begun(self) -> bool:
        return self._answer is not None and self._answer.begun

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while upstream does not read.

        Raises:
            ConnectionError: there is nobody to send them to.
        """
        if self._transport is None or self._closing:
            raise ConnectionResetError("upstream is gone")
        self._transport.write(data)
        if self._room is not None:
            await self._room

    def stop_sending(self) -> None:
        """Send no more of the request's body; what is left unsent makes the connection useless."""
        if self._pump is not None and not self._pump.done():
            self._pump.cancel()
            self._reusable = False

    def end(self) -> None:
        """Close once everything that was written is sent."""
        if self._transport is not None:
            self._transport.close()

    def pause_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._room = self._loop.create_future()

    def resume_writing(self) -> None:  # noqa: D102 - asyncio.Protocol
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # --- reading --------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Read no more until ``go_on``: the time until then is not upstream's."""
        self._deadline = float("inf")
        if self._transport is not None and not self._closing:
            self._transport.pause_reading()

    def go_on(self) -> None:
        """Read again."""
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()
            self._expect(self._silence)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none, but does the same

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        answer = self._answer
        if answer is None:
            self.abort()  # nobody asked: what is said between two requests must not answer the next
            return
        self._heard += len(data)
        if self._switched:
            answer.feed(data)
            return
        if answer.begun:
            self._expect(self._silence)
        elif self._heard > HEAD_LIMIT:
            self._fault("the answer's head is too long")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switch(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            self._fault(f"the answer is not HTTP ({error})")

    def eof_received(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._clean_end = self._transport is not None and ended_cleanly(self._transport)
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002, D102 - asyncio.Protocol
        self._ended()
        self._transport = None
        self._forget_watch()
        self._stop_pump()
        self.resume_writing()
        del self._parser  # it holds on to this object's methods, and so to all of it
        self._done(self, False)

    def _ended(self) -> None:
        answer = self._answer
        if answer is None:
            return
        if self._clean_end and (self._switched or (answer.begun and answer.framing is Framing.CLOSE)):
            answer.finish()
        elif not answer.ended:
            answer.fail(self._cut_short())

    def _cut_short(self) -> UpstreamError:
        if self._begun:
            return UpstreamCut("upstream closed the connection in the middle of its answer")
        if self._heard == 0 and self._requests > 1:
            return Stale("upstream closed an idle connection")
        return UpstreamCut("upstream closed the connection before it answered")

    def _switch(self, surplus: bytes) -> None:
        self._deadline = float("inf")
        self._switched = True
        if surplus and self._answer is not None:
            self._answer.feed(surplus)

    def _fault(self, why: str) -> None:
        if self._answer is not None:
            self._answer.fail(UpstreamInvalid(f"upstream's answer is invalid: {why}"))
        self._reusable = False
        self.abort()

    # --- what httptools calls -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Another answer begins: there must be none after the one that was asked for."""
        self._surplus = self._answer is None or self._answer.ended
        self._reason = b""
        self._headers = []

    def on_status(self, reason: bytes) -> None:
        """Take a piece of the reason phrase."""
        self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; those that come after the body (trailers) become none."""
        if not self._begun:
            self._headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        """Take the head, unless it is an interim one (RFC 9110 section 15.2)."""
        answer = self._answer
        if answer is None or self._surplus:
            return
        status = self._parser.get_status_code()
        if _LOWEST_STATUS <= status < _FIRST_FINAL_STATUS and status != _SWITCHING:
            return
        headers = Fields(self._headers)
        try:
            self._check_status(status, headers)
            framing = answer_framing(self._parser.get_http_version(), answer.method, status, headers)
        except BadFraming as fault:
            answer.fail(UpstreamInvalid(f"upstream's answer is invalid: {fault}"))
            return
        self._reusable = self._parser.should_keep_alive() and framing is not Framing.CLOSE
        answer.begin(status, self._reason.decode("latin-1"), headers, framing)
        self._expect(self._silence)
        if framing is Framing.NONE and status != _SWITCHING:
            self._whole(answer)

    def _check_status(self, status: int, headers: Headers) -> None:
        if status < _LOWEST_STATUS:
            raise BadFraming("there is no such status code")
        if status != _SWITCHING:
            return
        if not self._may_switch or (first(headers, b"upgrade") or b"").lower() != b"websocket":
            raise BadFraming("it switches to a protocol that nobody asked for")

    def on_body(self, data: bytes) -> None:
        """Take a piece of the body."""
        answer = self._answer
        if answer is None or answer.ended:
            self._surplus = True
        elif self._begun:
            answer.feed(data)

    def on_message_complete(self) -> None:
        """Take note of the answer's end."""
        answer = self._answer
        if answer is not None and answer.begun and not answer.ended and answer.status != _SWITCHING:
            self._whole(answer)

    def _whole(self, answer: Answer) -> None:
        answer.finish()
        self._deadline = float("inf")

    # --- giving the connection back -------------------------------------------------------------------

    def release(self, answer: Answer) -> None:
        """Take the connection back from an answer that nobody reads any more."""
        if self._answer is not answer:
            return
        self._answer = None
        self._deadline = float("inf")
        pumped = self._pump is None or self._pump.done()
        if answer.ended and pumped and self._reusable and not self._surplus and self.usable:
            self._pump = None
            if answer.method == "HEAD":
                self._parser = httptools.HttpResponseParser(self)
            self._done(self, True)
        elif not (self._switched and self._closing):  # what was written to a tunnel is still to be sent
            self.abort()

    def _stop_pump(self) -> None:
        if self._pump is not None and self._pump is not asyncio.current_task():
            self._pump.cancel()
        self._pump = None

    # --- time -----------------------------------------------------------------------------------------

    def _expect(self, seconds: float) -> None:
        """Give upstream this long from now; one timer serves a connection's whole life."""
        self._deadline = self._loop.time() + seconds
        if self._watch is None or self._watch.when() > self._deadline:
            self._forget_watch()
            self._watch = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._watch = None
        if self._deadline == float("inf") or self._answer is None:
            return
        if self._loop.time() < self._deadline:
            self._watch = self._loop.call_at(self._deadline, self._look)
            return
        what = "in the middle of its answer" if self._begun else "before its answer"
        self._answer.fail(UpstreamTimedOut(f"upstream was silent for too long {what}"))
        self.abort()

    def _forget_watch(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
