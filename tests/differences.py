"""What may differ between a message that sidekey receives and the one that it passes on: a table.

``docs/http.md`` says why. All that is not in this table is the same to the byte: request target, status and
reason, the other headers with their order, duplicates and case, what ends the body, and the body.
"""

from __future__ import annotations

import dataclasses
from typing import Final, Literal

from raw_http import Message

Way = Literal["up", "down"]

HOP_BY_HOP: Final = (
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"te",
    b"trailer",
    b"transfer-encoding",
    b"upgrade",
)
FALLS: Final[dict[Way, tuple[bytes, ...]]] = {
    "up": (
        *HOP_BY_HOP,
        b"host",
        b"authorization",
        b"proxy-authorization",
        b"cookie",
        b"x-api-key",
        b"api-key",
        b"expect",
        b"forwarded",
        b"x-forwarded-*",
    ),
    "down": (*HOP_BY_HOP, b"set-cookie", b"set-cookie2", b"proxy-authenticate", b"access-control-*"),
}
"""Names in lower case; a star stands for any rest. So does what ``Connection`` names, but for these:"""
NOT_NAMED_AWAY: Final = (b"content-length", b"host")

ADDED: Final[dict[Way, tuple[bytes, ...]]] = {
    "up": (b"host", b"authorization", b"transfer-encoding"),
    "down": (b"transfer-encoding", b"connection", b"x-accel-buffering", b"x-sidekey-replay"),
}
"""What sidekey sets itself: Host before all others, the rest behind them."""


@dataclasses.dataclass(frozen=True)
class Sent:
    """A message as a test writes it.

    Attributes:
        line: request line or status line.
        fields: header lines.
        body: what it says.
        coded: the body as it stands on the wire, where that differs.
    """

    line: str
    fields: tuple[str, ...] = ()
    body: bytes = b""
    coded: bytes | None = None

    def raw(self) -> bytes:
        """Return it as it goes on the wire."""
        head = "\r\n".join((self.line, *self.fields)).encode("latin-1")
        return head + b"\r\n\r\n" + (self.body if self.coded is None else self.coded)

    def message(self) -> Message:
        """Return it as a reader sees it: white space around a value is no part of it."""
        pairs = (field.encode("latin-1").partition(b":") for field in self.fields)
        headers = [(name, value.strip(b" \t")) for name, _, value in pairs]
        return Message(self.line.encode("latin-1"), headers, self.body)

    def saying(self, *fields: str) -> Sent:
        """Return it with more header lines behind the others."""
        return dataclasses.replace(self, fields=(*self.fields, *fields))


def chunked(body: bytes, *sizes: int, extension: str = "", trailers: tuple[str, ...] = ()) -> bytes:
    """Return a body in chunks of these sizes, the rest in one (RFC 9112 section 7.1)."""
    coded, place = b"", 0
    for size in (*sizes, len(body)):
        piece = body[place : place + size]
        place += len(piece)
        if piece:
            coded += b"%X%b\r\n%b\r\n" % (len(piece), extension.encode(), piece)
    lines = "".join(f"{trailer}\r\n" for trailer in trailers).encode()
    return coded + b"0%b\r\n%b\r\n" % (extension.encode(), lines)


def assert_same(way: Way, before: Message, after: Message, *, bodiless: bool = False) -> dict[bytes, bytes]:
    """Fail where two messages differ otherwise than the table allows, and return what was added.

    The names of what was added are in lower case.

    Args:
        way: in which direction.
        before: as it was sent.
        after: as it came.
        bodiless: whether it has no body whatever its head says, and so nothing that ends it.
    """
    assert _line(way, after.line) == _line(way, before.line)
    kept = [pair for pair in before.headers if not falls(way, pair[0], before)]
    added = _added(way, after, kept)
    came = [pair for pair in after.headers if pair not in added]
    assert came == kept
    assert bodiless or ends_by(after) == ends_by(before)
    assert after.body == before.body
    names = [name.lower() for name, _ in added]
    assert len(set(names)) == len(names), "something was added twice"
    return {name.lower(): value for name, value in added}


def _line(way: Way, line: bytes) -> bytes:
    """Return a first line without the version, which is each connection's own (RFC 9110 section 6.2)."""
    return line.rpartition(b" HTTP/")[0] if way == "up" else line.partition(b" ")[2]


def _added(way: Way, after: Message, kept: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [pair for pair in after.headers if pair[0].lower() in ADDED[way] and pair not in kept]


def falls(way: Way, name: bytes, message: Message) -> bool:
    """Tell whether a header of a message must not be passed on."""
    name = name.lower()
    named = {token.strip().lower() for value in message.every(b"connection") for token in value.split(b",")}
    if name in named and name not in NOT_NAMED_AWAY:
        return True
    return any(name.startswith(rule[:-1]) if rule.endswith(b"*") else name == rule for rule in FALLS[way])


def ends_by(message: Message) -> str:
    """Return what ends a message's body: chunks, a length, or nothing that its head says."""
    if message.one(b"transfer-encoding") is not None:
        return "chunks"
    return "length" if message.one(b"content-length") is not None else "nothing"
