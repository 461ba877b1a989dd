"""One request through the proxy: guard, bearer, forward, 401, relay.

Written against ``message/exchange.py`` and ``upstream/interface.py``: what stands in front and behind can be
replaced.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

import structlog

from sidekey_auth.credential import Bearer
from sidekey_auth.errors import NoBearer

from .bearers import Bearers
from .guard import Answered, GuardRules, Refused, admit
from .message import cors, failures
from .message.exchange import ClientGone, Exchange, Headers, RequestInvalid, first
from .message.failures import Failure, Reply
from .message.headers import downward, switching, upward
from .message.response_head import date_field
from .record import Ending, Recorder, Replay, RequestRecord
from .replay.body import kept
from .replay.copies import Copies
from .replay.unauthorized import Unauthorized
from .upstream.interface import Upstream, UpstreamAnswer, UpstreamError, UpstreamRequest
from .websocket import Traffic, join

log = structlog.get_logger("sidekey.forward")

_UNAUTHORIZED = 401
_REFUSALS = frozenset({401, 403})
_SWITCHING = 101


class Forward:
    """Takes requests from listeners to upstream and the answers back.

    Args:
        bearers: what requests are sent with.
        upstream: where they go.
        record: is told of each request that is over.
        may_carry: tells whether a bearer may go to this upstream at all.
        copies: keeps request bodies for a second try.
        pass_organization: whether clients may choose the organization and the project.
        foreign_refusals: error codes of further 401 answers that no other bearer would cure.
    """

    def __init__(
        self,
        bearers: Bearers,
        upstream: Upstream,
        record: Recorder,
        *,
        may_carry: Callable[[Bearer], bool],
        copies: Copies | None = None,
        pass_organization: bool = True,
        foreign_refusals: Collection[str] = (),
    ) -> None:
        self.bearers = bearers
        self.upstream = upstream
        self.record = record
        self.may_carry = may_carry
        self.copies = copies or Copies()
        self.pass_organization = pass_organization
        self.unauthorized = Unauthorized(bearers, foreign_refusals)

    async def handle(self, exchange: Exchange, rules: GuardRules) -> None:
        """Serve one request to its end.

        Args:
            exchange: the request.
            rules: who may come in where it came in.
        """
        await _Passage(self, exchange, rules).go()


class _Passage:
    """One request on its way."""

    __slots__ = (
        "_answered",
        "_bearer",
        "_body",
        "_broken",
        "_code",
        "_ending",
        "_exchange",
        "_first_byte",
        "_proxy",
        "_replayed",
        "_rules",
        "_started",
        "_status",
        "_traffic",
    )

    def __init__(self, proxy: Forward, exchange: Exchange, rules: GuardRules) -> None:
        self._proxy = proxy
        self._exchange = exchange
        self._rules = rules
        self._started = time.monotonic()
        self._body = kept(exchange, proxy.copies) if exchange.head.has_body else None
        self._traffic = Traffic()
        self._bearer: Bearer | None = None
        self._answered = self._broken = False
        self._status: int | None = None
        self._code: str | None = None
        self._ending: Ending = "whole"
        self._first_byte: float | None = None
        self._replayed: Replay | None = None

    async def go(self) -> None:
        try:
            await self._answer()
        except (ClientGone, asyncio.CancelledError) as left:
            self._ending = "cut" if self._broken else "gone"
            self._exchange.cut()
            if isinstance(left, asyncio.CancelledError):
                raise
        finally:
            if self._body is not None:
                self._body.close()
            self._proxy.record(self._account())

    async def _answer(self) -> None:
        try:
            await self._travel()
        except Answered as answered:
            await self._say(answered.reply, answered.reply.headers)
        except Refused as refused:
            await self._fail(refused.failure)
        except NoBearer as error:
            await self._fail(failures.no_bearer(error))
        except UpstreamError as error:
            await self._fail(failures.upstream_failed(error))
        except RequestInvalid as error:
            await self._fail(failures.bad_request(str(error), error.status))
        except ClientGone:
            raise
        except Exception:
            log.exception("a request broke")
            await self._fail(failures.internal())

    async def _travel(self) -> None:
        target = admit(self._exchange.head, self._rules)
        bearer = await self._a_bearer()
        answer = await self._send(target, bearer)
        try:
            if answer.status == _UNAUTHORIZED:
                answer = await self._once_more(answer, target, bearer)
            if answer.status not in _REFUSALS and self._bearer is not None:
                self._proxy.bearers.accepted(self._bearer)
            if self._body is not None:
                self._body.let_go()
            await self._relay(answer)
        finally:
            answer.close()

    # --- up -------------------------------------------------------------------------------------------

    async def _a_bearer(self) -> Bearer:
        if self._body is not None and self._body.too_long:
            await self._proxy.bearers.renew_due()  # a 401 could not be cured afterwards
        try:
            return self._proxy.bearers.bearer()
        except NoBearer as error:
            if not error.transient:
                raise
        return await self._proxy.bearers.obtain()

    async def _send(self, target: str, bearer: Bearer, replay: Replay | None = None) -> UpstreamAnswer:
        if not self._proxy.may_carry(bearer):
            raise Refused(failures.bearer_not_allowed_there())
        self._bearer, self._replayed = bearer, replay
        head = self._exchange.head
        headers = upward(head.headers, bearer.value, organization=self._proxy.pass_organization)
        request = UpstreamRequest(
            head.method,
            target,
            headers,
            self._body,
            websocket=head.websocket,
            expect_continue=first(head.headers, b"expect") is not None and head.version == "1.1",
        )
        return await self._proxy.upstream.send(request)

    async def _once_more(self, answer: UpstreamAnswer, target: str, bearer: Bearer) -> UpstreamAnswer:
        """Return the answer to a second try with another bearer, or the refusal where that cannot be.

        A refusal that no other bearer would cure is nobody's business but the client's.
        """
        dealing, body = self._proxy.unauthorized, self._body
        replayable = body is None or body.replayable
        if replayable:
            answer.stop_sending()  # or the copy could outgrow its limit while a bearer is fetched
        answer, refusal = await dealing.judged(answer)
        if refusal.foreign:
            return answer
        if not replayable:
            self._replayed = "not-possible"
            dealing.tell_aside(bearer, refusal)
            return answer
        another = await dealing.another(bearer, refusal)
        if another is None:
            return answer
        if body is not None and not body.again():
            self._replayed = "not-possible"
            return answer
        answer.close()
        answer = await self._send(target, another, replay="done")
        if answer.status == _UNAUTHORIZED:
            answer, still = await dealing.judged(answer)
            if not still.foreign:
                self._proxy.bearers.in_vain(another, refusal.kind)
        return answer

    # --- down -----------------------------------------------------------------------------------------

    async def _relay(self, answer: UpstreamAnswer) -> None:
        exchange = self._exchange
        self._status = answer.status
        if answer.status == _SWITCHING:
            tunnel = await exchange.switch(self._telling(switching(answer.headers)))
            self._sent()
            await join(tunnel, answer.tunnel(), self._traffic)
            return
        headers = self._readable(self._telling(downward(answer.headers)))
        self._sent()
        answer.on_break(self._upstream_broke)
        await exchange.send_head(answer.status, answer.reason, headers, until_close=answer.until_close)
        while data := await answer.read():
            self._traffic.down += len(data)
            await exchange.send_chunk(data)
        await exchange.finish()

    def _upstream_broke(self) -> None:
        """Cut at once: the client does not read, so that it would not learn it from the answer's end."""
        self._broken = True
        self._code = failures.upstream_failed(UpstreamError()).code
        self._exchange.cut()

    async def _fail(self, failure: Failure) -> None:
        """Answer with a failure, or cut where an answer has begun: a cut one must not look whole."""
        self._code = failure.code
        if self._answered:
            self._ending = "cut"
            self._exchange.cut()
            return
        await self._say(failure, self._readable(self._telling(failure.headers())), failure.body())

    async def _say(self, own: Failure | Reply, headers: Headers, body: bytes = b"") -> None:
        """Send an answer of sidekey's own."""
        self._status = own.status
        self._sent()
        headers = (*headers, date_field(time.time()))
        await self._exchange.send_head(own.status, own.reason, headers)
        await self._exchange.send_chunk(body)
        await self._exchange.finish()

    def _telling(self, headers: Headers) -> Headers:
        """Return an answer's headers, with what became of the second try where one was called for."""
        told = () if self._replayed is None else ((b"x-sidekey-replay", self._replayed.encode()),)
        return headers + told

    def _readable(self, headers: Headers) -> Headers:
        return cors.readable(headers, self._exchange.head.headers, self._rules.origins)

    def _sent(self) -> None:
        self._answered = True
        self._first_byte = time.monotonic() - self._started

    # --- afterwards -----------------------------------------------------------------------------------

    def _account(self) -> RequestRecord:
        head = self._exchange.head
        return RequestRecord(
            method=head.method,
            path=head.target.partition("?")[0],
            status=self._status,
            code=self._code,
            ending=self._ending,
            first_byte=self._first_byte,
            total=time.monotonic() - self._started,
            bytes_up=self._traffic.up + (self._body.received if self._body else 0),
            bytes_down=self._traffic.down,
            client=head.client,
            generation=self._bearer.generation if self._bearer else None,
            replayed=self._replayed,
        )
