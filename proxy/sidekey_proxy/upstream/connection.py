"""One connection to upstream that speaks HTTP/1.1 (RFC 9112), one request at a time.

``upstream/reading.py`` takes apart what comes, ``upstream/sending.py`` sends the body; here are the
transport, the time, and the ends.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import Final, cast

from sidekey_proxy.transport.hangup import HangUp, Watch, watch
from sidekey_proxy.transport.tcp import abort, reset, tune

from .answer import Answer
from .interface import UpstreamCut, UpstreamError, UpstreamInvalid, UpstreamRequest, UpstreamTimedOut
from .reading import AnswerReader
from .request import chunk, is_chunked
from .sending import Sending

WRITE_HIGH_WATER: Final = 64 * 1024
"""Bytes that may wait to be sent before whoever sends is held; TLS would take 512 KiB otherwise."""
_LAST_STATUS_WITH_BODY_WANTED: Final = 299
_NEVER: Final = float("inf")


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
        peer_timeout: seconds that upstream may acknowledge nothing.
        done: called with True when the connection can be used again, and False when it is of no more use.
    """

    def __init__(
        self,
        *,
        silence: float,
        patience: float,
        peer_timeout: float,
        done: Callable[[Connection, bool], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._silence = silence
        self._patience = patience
        self._peer_timeout = peer_timeout
        self._done = done
        self._transport: asyncio.Transport | None = None
        self._reader = AnswerReader(self._go_ahead)
        self._answer: Answer | None = None
        self._sending: Sending | None = None
        self._room: asyncio.Future[None] | None = None
        self._held: Watch | None = None
        self._deadline = _NEVER
        self._timer: asyncio.TimerHandle | None = None
        self._requests = 0
        self._heard = False
        self._clean_end = False

    @property
    def usable(self) -> bool:
        """Whether a request can be sent now."""
        return self._answer is None and not self._closing

    @property
    def _closing(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    async def exchange(self, head: bytes, request: UpstreamRequest, whole: bytes | None) -> Answer:
        """Send a request and return its answer when the answer's head is here.

        Args:
            head: the request's head as it goes on the wire.
            request: its method and body.
            whole: all of the body, if it is here.

        Raises:
            Stale, UpstreamError, ClientGone, RequestInvalid: see ``Upstream.send``.
        """
        answer = self._answer = Answer(self, request.method, self._loop)
        self._requests += 1
        self._heard = False
        self._reader.begin(answer, may_switch=request.websocket)
        self._expect(self._patience)
        try:
            self._write_request(head, request, whole)
            await answer.arrived()
        except BaseException:
            self.abort()
            raise
        return answer

    def abort(self) -> None:
        """Close at once, so that it is seen also by an upstream that does not read."""
        self._stop_sending()
        if self._transport is None:
            return
        if self._room is not None:
            reset(self._transport)
        else:
            abort(self._transport)

    # --- writing --------------------------------------------------------------------------------------

    def _write_request(self, head: bytes, request: UpstreamRequest, whole: bytes | None) -> None:
        transport = self._transport
        if transport is None:
            raise self._cut_short()
        if request.body is None:
            transport.write(head)
            return
        chunked = is_chunked(request)
        if whole is None:
            transport.write(head)
            self._sending = Sending(self, request.body, chunked=chunked, expects=request.expect_continue)
        elif chunked:
            transport.write(head + (chunk(whole) if whole else b"") + b"0\r\n\r\n")
        else:
            transport.write(head + whole)

    def _go_ahead(self) -> None:
        if self._sending is not None:
            self._sending.go_ahead()

    def body_moved(self) -> None:
        """Take note that a piece of the body is out: upstream's time begins anew."""
        self._expect(self._silence if self._begun else self._patience)

    def body_failed(self, error: Exception) -> None:
        """End the exchange: the rest of the request's body will not come."""
        if self._answer is not None:
            self._answer.fail(error)
        self.abort()

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
        if self._sending is not None:
            self._sending.stop()

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
        """Read no more until ``go_on``: the time until then is not upstream's.

        That upstream breaks off is seen nevertheless. A FIN is not acted on: what was sent before it still
        waits in the kernel, and is read first.
        """
        self._deadline = _NEVER
        if self._transport is not None and not self._closing:
            self._transport.pause_reading()
            self._held = watch(self._transport, self._hung_up)

    def go_on(self) -> None:
        """Read again."""
        self._stop_watching()
        if self._transport is not None and not self._closing:
            self._transport.resume_reading()
            self._expect(self._silence)

    def _hung_up(self, how: HangUp) -> None:
        if how is HangUp.BROKEN:
            if self._answer is not None:
                self._answer.break_off(self._cut_short())
            self.abort()

    def _stop_watching(self) -> None:
        if self._held is not None:
            self._held.cancel()
            self._held = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # noqa: D102 - asyncio.Protocol
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none, but does the same
        self._transport.set_write_buffer_limits(high=WRITE_HIGH_WATER)
        tune(transport, self._peer_timeout)

    def data_received(self, data: bytes) -> None:  # noqa: D102 - asyncio.Protocol
        answer = self._answer
        if answer is None:
            self.abort()  # nobody asked: what is said between two requests must not answer the next
            return
        self._heard = True
        begun = answer.begun
        try:
            self._reader.feed(data)
        except UpstreamInvalid as fault:
            answer.fail(fault)
            self.abort()
            return
        if not begun and answer.begun and answer.status > _LAST_STATUS_WITH_BODY_WANTED:
            self._refused()
        if answer.ended or self._reader.switched:
            self._deadline = _NEVER
        elif answer.begun and self._held is None:
            self._expect(self._silence)

    def _refused(self) -> None:
        """Do not send a body that upstream was asked about, and does not want."""
        if self._sending is not None and self._sending.waiting:
            self._sending.stop()

    def eof_received(self) -> None:  # noqa: D102 - asyncio.Protocol
        self._clean_end = self._transport is not None and ended_cleanly(self._transport)
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: D102 - asyncio.Protocol
        if exc is not None and self._answer is not None:
            self._answer.break_off(self._cut_short())
        self._ended()
        self._transport = None
        self._forget_timer()
        self._stop_watching()
        self._stop_sending()
        self.resume_writing()
        self._reader.forget()
        self._done(self, False)

    def _ended(self) -> None:
        answer = self._answer
        if answer is None:
            return
        if self._clean_end and self._reader.until_close:
            answer.finish()
        elif not answer.ended:
            answer.fail(self._cut_short())

    def _cut_short(self) -> UpstreamError:
        if self._begun:
            return UpstreamCut("upstream closed the connection in the middle of its answer")
        if not self._heard and self._requests > 1:
            return Stale("upstream closed an idle connection")
        return UpstreamCut("upstream closed the connection before it answered")

    @property
    def _begun(self) -> bool:
        return self._answer is not None and self._answer.begun

    # --- giving the connection back -------------------------------------------------------------------

    def release(self, answer: Answer) -> None:
        """Take the connection back from an answer that nobody reads any more."""
        if self._answer is not answer:
            return
        self._answer = None
        self._deadline = _NEVER
        all_sent = self._sending is None or self._sending.sent
        if all_sent and self._reader.reusable and self.usable:
            self._sending = None
            self._done(self, True)
        elif not (
            self._reader.switched and self._closing
        ):  # what was written to a tunnel is still to be sent
            self.abort()

    def _stop_sending(self) -> None:
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.stop()

    # --- time -----------------------------------------------------------------------------------------

    def _expect(self, seconds: float) -> None:
        """Give upstream this long from now; one timer serves a connection's whole life."""
        self._deadline = self._loop.time() + seconds
        if self._timer is None or self._timer.when() > self._deadline:
            self._forget_timer()
            self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._deadline == _NEVER or self._answer is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._look)
            return
        what = "in the middle of its answer" if self._begun else "before its answer"
        self._answer.fail(UpstreamTimedOut(f"upstream was silent for too long {what}"))
        self.abort()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
