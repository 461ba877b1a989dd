"""Requests of any bytes through the whole data path.

Switches: 1 the client ends after its last byte, 2 nobody has room, 4 no key is asked for, 8 upstream answers
before a request is whole, 16 bodies are limited, 32 upstream refuses the first bearer.
"""

from __future__ import annotations

import re
from typing import Final

from . import reading
from .data_path import CLIENT_KEY, DataPath, OriginWire, answers, options, send
from .fault import demand
from .virtual_loop import VirtualLoop

_ENDS, _SLOW, _NO_KEY, _EARLY, _LIMITED, _REFUSED = 1, 2, 4, 8, 16, 32
_LIMIT: Final = 64
_AUTHORITY: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_H11_STOPS_AT: Final = re.compile(
    rb"\n[0-9A-F]+[ \t]+;|\r\n0[^\n]*\r\n(?:[^\r\n]+\r\n)*(?:transfer-encoding|content-length):",
    re.IGNORECASE,
)
"""Chunks that are in order, and that h11 refuses: see ``reading.h11_may_refuse``."""
_MARK: Final = b"x-number"

Outcome = tuple[list[tuple[bytes, bytes, bytes]], list[bytes]]
"""The requests that reached upstream whole, and the marks of upstream's answers that reached the client."""


def fuzz(data: bytes) -> None:
    """Send a client's bytes."""
    switches, seed, wire = options(data)
    outcome = _sent(switches, seed, wire)
    if not switches & (_ENDS | _EARLY) and seed != b"@":
        whole = _sent(switches, b"@", wire)
        # A refusal in the middle of an upload ends the connection; of one that is here at once it does not.
        same = outcome[0] == whole[0][: len(outcome[0])] and outcome[1] == whole[1][: len(outcome[1])]
        demand(same, f"in pieces {outcome}, at once {whole}")


def _sent(switches: int, seed: bytes, wire: bytes) -> Outcome:
    found: list[Outcome] = []
    VirtualLoop().run(_exchange(switches, seed, wire, found))
    return found[0]


async def _exchange(switches: int, seed: bytes, wire: bytes, found: list[Outcome]) -> None:
    def play(origin: OriginWire, number: int) -> None:
        status = b"401 Unauthorized" if switches & _REFUSED and number == 1 else b"200 OK"
        head = b"HTTP/1.1 %b\r\n%b: %d\r\nContent-Length: 2\r\n\r\n" % (status, _MARK, number)
        headless = number and path.forwarded[number - 1].method == b"HEAD"
        origin.play(head if headless else head + b"{}", b"@")

    path = DataPath(
        play,
        key=not switches & _NO_KEY,
        slow=bool(switches & _SLOW),
        early=bool(switches & _EARLY),
        body_limit=_LIMIT if switches & _LIMITED else 0,
    )
    async with path:
        client = path.client()
        await send(client.transport, wire, seed)
        if switches & _ENDS:
            client.transport.feed(None)
    asked = reading.requests(wire)
    got = answers(client.heard, [one.method for one in asked], ended=client.ended_properly)
    if not _H11_STOPS_AT.search(wire):
        _check_forwarded(path.forwarded, asked, switches)
        demand(len(got) <= len(asked) + 1, f"{len(got)} answers to {len(asked)} requests")
    marks = [mark for one in got for mark in one.every(_MARK)]
    if not switches & _EARLY:  # an early answer counts the requests that are whole, which may be none twice
        demand(len(set(marks)) == len(marks), f"an answer came twice: {marks}")
    if not switches & (_ENDS | _EARLY | _REFUSED):
        demand(marks == [b"%d" % number for number in range(1, len(path.forwarded) + 1)], f"lost: {marks}")
    found.append(([(one.method, one.target, one.body) for one in path.forwarded], marks))


def _check_forwarded(forwarded: list[reading.Request], asked: list[reading.Request], switches: int) -> None:
    """Demand that all that reached upstream are requests that others read in the client's bytes, in order."""
    left = iter(asked)
    before: reading.Request | None = None
    for one in forwarded:
        if switches & _REFUSED and before is not None and _same(one, before):
            continue  # the second try
        before = one
        origin = next((other for other in left if _same(one, other)), None)
        demand(origin is not None, f"nobody asked for {one.method!r} {one.target!r} with {one.body!r}")
        if origin is not None:
            reading.check_with_llhttp(origin)
            shown = CLIENT_KEY.encode() in origin.raw
            demand(shown or switches & _NO_KEY, "a request went up without a client key")
            demand(len(one.body) <= _LIMIT or not switches & _LIMITED, "a body is longer than may be")


def _same(one: reading.Request, other: reading.Request) -> bool:
    target = _AUTHORITY.sub(b"", other.target, count=1)
    return (one.method, one.target, one.body) == (other.method, target, other.body)
