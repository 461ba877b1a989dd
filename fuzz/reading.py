"""HTTP/1.1 as others read it: h11, which is written from the RFCs and forgives a lot, and llhttp, Node's.

What sidekey lets through, they must read as sidekey does: a message that two readers see in two ways is how
requests are smuggled.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

import h11
import httptools

from .fault import Fault

Fields = list[tuple[bytes, bytes]]

_LONGEST: Final = 1024 * 1024
_PLAIN: Final = bytes(byte if chr(byte).isascii() else ord("x") for byte in range(256))
"""h11 takes ASCII targets only; which byte stands there instead does not change where a message ends."""
_LEADING_LINES: Final = re.compile(rb"(?:\r\n)*")
_NOT_H11: Final = re.compile(rb"[ \t];|\n(?:transfer-encoding|content-length):", re.IGNORECASE)
_END: Final = b"\r\n\r\n"
_HOST: Final = re.compile(rb"\r\nhost:[^\r\n]*(?=\r\n|\Z)", re.IGNORECASE)
_STRICT_ANSWER: Final = re.compile(
    rb"HTTP/1\.[01] [1-9][0-9]{2}(?: [\t\x20-\x7e\x80-\xff]*)?\r\n"
    rb"(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n)*\r\n"
)
_INTERIM: Final = range(102, 200)


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request.

    Attributes:
        method, target, headers, body: as they stand there; header names in small letters.
        raw: all of it.
        rest: what stands behind it.
    """

    method: bytes
    target: bytes
    headers: Fields
    body: bytes
    raw: bytes
    rest: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, whole or not.

    Attributes:
        status, reason, headers, body: as they stand there; header names in small letters.
        whole: it has come to its end.
        rest: what stands behind it.
        interim: the statuses of the answers before it.
    """

    status: int
    reason: bytes
    headers: Fields
    body: bytes
    whole: bool
    rest: bytes = b""
    interim: list[int] = field(default_factory=list)

    def every(self, name: bytes) -> list[bytes]:
        """Return all values of a header."""
        return [value for key, value in self.headers if key == name]


class Unreadable(Exception):
    """It is no HTTP to this reader."""


# --- requests -------------------------------------------------------------------------------------------


def request(data: bytes, *, whatever_host: bool = False) -> Request | None:
    """Return the first request in some bytes as h11 reads it, or None where it is not whole.

    Args:
        data: what came.
        whatever_host: it may have any number of Host headers; h11 demands one.

    Raises:
        Unreadable: it is none.
    """
    data = data[_LEADING_LINES.match(data).end() :]  # type: ignore[union-attr]  # it matches nothing, too
    line, end, behind = data.partition(b"\r\n")
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=_LONGEST)
    reader.receive_data(line.translate(_PLAIN) + end + (_one_host(behind) if whatever_host else behind))
    head: h11.Request | None = None
    body = b""
    try:
        while (event := reader.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.Request):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and head is not None:
                rest = reader.trailing_data[0]
                raw = data[: len(data) - len(rest)]
                return Request(head.method, line.split(b" ")[1], list(head.headers), body, raw, rest)
    except h11.RemoteProtocolError as error:
        raise Unreadable(str(error)) from None
    return None


def requests(data: bytes) -> list[Request]:
    """Return all whole requests in some bytes, one after the other, up to what is none."""
    found: list[Request] = []
    try:
        while data and (one := request(data, whatever_host=True)) is not None:
            found.append(one)
            data = one.rest
    except Unreadable:
        pass
    return found


def _one_host(behind_line: bytes) -> bytes:
    fields, end, body = (b"\r\n" + behind_line).partition(_END)
    return b"Host: h" + _HOST.sub(b"", fields) + end + body


def h11_may_refuse(chunks: bytes) -> bool:
    """Tell whether h11 may refuse chunks that are in order.

    It takes no white space before an extension (RFC 9112 section 7.1.1), and no framing as a trailer, which
    sidekey throws away unread.
    """
    return _NOT_H11.search(chunks) is not None


def check_with_llhttp(one: Request) -> None:
    """Demand that llhttp reads the same request, and that it ends where it does; it may also refuse it.

    Raises:
        Fault: it reads another one.
    """
    seen = _Seen()
    parser = httptools.HttpRequestParser(seen)
    line, end, behind = one.raw.partition(b"\r\n")
    try:
        parser.feed_data(line.translate(_PLAIN) + end + behind)
    except httptools.HttpParserUpgrade as upgrade:
        if upgrade.args[0] != len(one.raw):
            raise Fault("llhttp sees the end of this request elsewhere") from None
    except httptools.HttpParserError:
        return
    if seen.ended != 1 or seen.begun != 1:
        raise Fault(f"llhttp sees {seen.begun} requests where there is one, {seen.ended} of them whole")
    if (parser.get_method(), seen.url, seen.body) != (one.method, one.target.translate(_PLAIN), one.body):
        raise Fault("llhttp reads another request")


class _Seen:
    def __init__(self) -> None:
        self.begun = self.ended = 0
        self.url = self.body = b""

    def on_message_begin(self) -> None:
        self.begun += 1

    def on_message_complete(self) -> None:
        self.ended += 1

    def on_url(self, url: bytes) -> None:
        self.url += url

    def on_body(self, body: bytes) -> None:
        self.body += body


# --- answers --------------------------------------------------------------------------------------------


def answer(data: bytes, method: bytes, *, ended: bool, upgrade: bool = False) -> Answer | None:
    """Return the first answer in some bytes as h11 reads it, or None where there is no whole head.

    Args:
        data: what came back.
        method: the request's.
        ended: the connection has ended properly after these bytes.
        upgrade: the request asked to switch to WebSocket.

    Raises:
        Unreadable: it is none.
    """
    reader = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST)
    fields = [(b"Host", b"h")] + [(b"Connection", b"Upgrade"), (b"Upgrade", b"websocket")] * upgrade
    reader.send(h11.Request(method=method, target=b"/", headers=fields))
    reader.send(h11.EndOfMessage())
    reader.receive_data(data)
    interim: list[int] = []
    head: h11.Response | h11.InformationalResponse | None = None
    body = b""
    try:
        while (event := reader.next_event()) is not h11.NEED_DATA:
            if isinstance(event, h11.InformationalResponse) and event.status_code in {100, *_INTERIM}:
                interim.append(event.status_code)
            elif isinstance(event, h11.Response | h11.InformationalResponse):
                head = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) or event is h11.PAUSED:
                return _answer(head, body, interim, whole=True, rest=reader.trailing_data[0])
    except h11.RemoteProtocolError as error:
        raise Unreadable(str(error)) from None
    until_close = head is not None and _ends_with_connection(head)
    return _answer(head, body, interim, whole=ended and until_close)


def _answer(
    head: h11.Response | h11.InformationalResponse | None,
    body: bytes,
    interim: list[int],
    *,
    whole: bool,
    rest: bytes = b"",
) -> Answer | None:
    if head is None:
        return None
    return Answer(head.status_code, bytes(head.reason), list(head.headers), body, whole, rest, interim)


def _ends_with_connection(head: h11.Response | h11.InformationalResponse) -> bool:
    return not {b"content-length", b"transfer-encoding"} & {name for name, _ in head.headers}


def is_strict_answer(data: bytes) -> bool:
    """Tell whether the head of an answer, and of those before it, is written as RFC 9112 demands."""
    while (head := _STRICT_ANSWER.match(data)) is not None:
        status = int(head[0][9:12])
        if status != 100 and status not in _INTERIM:  # noqa: PLR2004 - Continue
            return True
        data = data[head.end() :]
    return False
