"""Sends an answer of the API, whole or in chunks, and lets the faults of sending strike it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aiohttp import web

from .answers import compact
from .faults import ApiCut, ApiFault, ApiHang, ApiSlow, Faults
from .refusal import Refusal
from .wire import Hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer before it is sent.

    Attributes:
        chunks: the body's pieces.
        length: of the body in bytes; None sends it in chunks (RFC 9112 section 7.1).
        content_type: with its parameters.
        status: the HTTP status.
        headers: besides the usual ones.
        error: the error's code, for the record.
    """

    chunks: Iterable[bytes]
    length: int | None = None
    content_type: str = "application/json"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


def whole(value: object) -> Answer:
    """Return a JSON answer."""
    data = compact(value)
    return Answer(chunks=(data,), length=len(data))


def event_stream(chunks: Iterable[bytes]) -> Answer:
    """Return an answer of server-sent events."""
    return Answer(
        chunks=chunks,
        content_type="text/event-stream; charset=utf-8",
        headers={"Cache-Control": "no-cache"},
    )


def refused(refusal: Refusal, *, retry_after: float | None = None) -> Answer:
    """Return the answer that says no.

    Args:
        refusal: why.
        retry_after: seconds, or None for no such header.
    """
    data = refusal.body()
    headers = {} if retry_after is None else {"Retry-After": f"{retry_after:g}"}
    return Answer(
        chunks=(data,), length=len(data), status=refusal.status, headers=headers, error=refusal.code
    )


class Cut(Exception):
    """The connection must go now; ``reset`` asks for a TCP reset."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__("cut")
        self.reset = reset


@dataclass(frozen=True, slots=True)
class Conduct:
    """How one answer is sent: slowly, to a point, or as it should be.

    Attributes:
        slow, hang, cut: the faults that strike it.
        hold: where a hung answer waits.
        request: what it answers.
    """

    slow: ApiSlow | None
    hang: ApiHang | None
    cut: ApiCut | None
    hold: Hold
    request: web.Request

    @property
    def smooth(self) -> bool:
        """Whether nothing strikes it."""
        return self.slow is None and self.hang is None and self.cut is None

    @property
    def silent(self) -> bool:
        """Whether not even its head will be sent."""
        return (self.hang is not None and self.hang.after_chunks is None) or (
            self.cut is not None and self.cut.after_chunks is None
        )

    async def before_head(self) -> None:
        """Wait, or cut, before the head.

        Raises:
            Cut: the connection must go.
        """
        if self.slow:
            await asyncio.sleep(self.slow.before_head)
        await self._strike(None)

    async def before_chunk(self, number: int) -> None:
        """Wait, or cut, before a chunk.

        Args:
            number: how many chunks have been sent.

        Raises:
            Cut: the connection must go.
        """
        if self.slow:
            await asyncio.sleep(self.slow.between_chunks)
        await self._strike(number)

    async def _strike(self, number: int | None) -> None:
        if self.hang and self.hang.after_chunks == number:
            await self.hold.wait(self.request)
            raise Cut
        if self.cut and self.cut.after_chunks == number:
            raise Cut(reset=self.cut.reset)


def conduct_of(faults: Faults, request: web.Request, path: str, hold: Hold) -> Conduct:
    """Take the faults of sending that concern a request.

    Args:
        faults: those that wait.
        request: which is to be answered.
        path: its path.
        hold: where a hung answer waits.
    """

    def concerns(fault: ApiFault) -> bool:
        return path.startswith(fault.path)

    return Conduct(
        slow=faults.take(ApiSlow, concerns),
        hang=faults.take(ApiHang, concerns),
        cut=faults.take(ApiCut, concerns),
        hold=hold,
        request=request,
    )


async def deliver(
    request: web.Request, answer: Answer, headers: Mapping[str, str], conduct: Conduct
) -> web.StreamResponse:
    """Send an answer whose head may go now.

    Raises:
        Cut: the connection must go.
    """
    every = {**headers, **answer.headers, "Content-Type": answer.content_type}
    if conduct.smooth and answer.length is not None and isinstance(answer.chunks, tuple):
        return web.Response(body=b"".join(answer.chunks), status=answer.status, headers=every)
    response = web.StreamResponse(status=answer.status, headers=every)
    if answer.length is None:
        response.enable_chunked_encoding()
    else:
        response.content_length = answer.length
    await response.prepare(request)
    for number, chunk in enumerate(_pieces(answer)):
        if not conduct.smooth:
            await conduct.before_chunk(number)
        await response.write(chunk)
    await response.write_eof()
    return response


def _pieces(answer: Answer) -> Iterable[bytes]:
    if not isinstance(answer.chunks, tuple):
        return answer.chunks
    body = b"".join(answer.chunks)
    middle = (len(body) + 1) // 2
    return (body[:middle], body[middle:])
