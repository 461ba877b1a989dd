"""Answers of any bytes through the whole data path, and what becomes of the request after them.

Switches: 3 the request (GET, HEAD, POST at once, POST in chunks), 4 upstream ends the connection after its
last byte, 8 it breaks off, 16 nobody has room, 32 it answers before the request is whole.
"""

from __future__ import annotations

from typing import Final

from . import reading
from .data_path import CLIENT_KEY, DataPath, OriginWire, answers, options, send
from .fault import demand
from .virtual_loop import VirtualLoop

_ENDS, _BREAKS, _SLOW, _EARLY = 4, 8, 16, 32
_FIELDS: Final = f" HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {CLIENT_KEY}\r\n".encode()
_HEAD: Final = b" /v1/x" + _FIELDS
_SECOND_TARGET: Final = b"/v1/second"
_SECOND: Final = b"GET " + _SECOND_TARGET + _FIELDS + b"\r\n"
_ASKED: Final = (
    b"GET" + _HEAD + b"\r\n",
    b"HEAD" + _HEAD + b"\r\n",
    b"POST" + _HEAD + b"Content-Length: 5\r\n\r\nhello",
    b"POST" + _HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
)
_OWN: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nof-order"
_GATEWAY: Final = frozenset({502, 504})
_NEVER_DOWN: Final = frozenset(
    b"connection keep-alive proxy-connection te trailer transfer-encoding upgrade set-cookie set-cookie2 "
    b"proxy-authenticate".split()
)


def fuzz(data: bytes) -> None:
    """Answer with upstream's bytes."""
    switches, seed, wire = options(data)
    VirtualLoop().run(_exchange(switches, seed, wire))


async def _exchange(switches: int, seed: bytes, wire: bytes) -> None:
    played = False

    def play(origin: OriginWire, number: int) -> None:
        nonlocal played
        if not played:
            played = True
            origin.play(wire, seed, eof=bool(switches & _ENDS), reset=bool(switches & _BREAKS))
        elif number > 1 or (number and path.forwarded[0].target == _SECOND_TARGET):
            origin.play(_OWN, b"@")

    asked = _ASKED[switches & 3]
    method = asked.split(b" ")[0]
    async with DataPath(play, slow=bool(switches & _SLOW), early=bool(switches & _EARLY)) as path:
        first = path.client()
        await send(first.transport, asked, seed if switches & _EARLY else b"@")
        await path.at_rest()
        heard, ended = first.heard, first.ended_properly
        second = path.client() if first.transport.is_closing() else first
        second.transport.feed(_SECOND)
    got = answers(heard, [method], ended=ended)
    demand(len(got) == 1 or first.transport.aborted, f"{len(got)} answers to one request: {heard!r}")
    if got:
        _check_first(got[0], wire, method, switches)
    _check_second(second.heard.removeprefix(heard) if second is first else second.heard)


def _check_first(got: reading.Answer, wire: bytes, method: bytes, switches: int) -> None:
    """Demand that what came down is what others read in upstream's bytes, or sidekey's own failure."""
    if _is_own_failure(got, method) or got.every(b"x-sidekey-replay"):
        return
    demand(reading.is_strict_answer(wire), f"a faulty head came down: {wire!r}")
    try:
        said = reading.answer(wire, method, ended=bool(switches & _ENDS) and not switches & _BREAKS)
    except reading.Unreadable as error:
        said = None
        demand(not got.whole, f"an answer came down whole in which others see a fault: {error}")
    if said is None:
        return
    demand((got.status, got.reason) == (said.status, said.reason), "the status or its reason is another one")
    demand(said.body.startswith(got.body), f"the body {said.body!r} came down as {got.body!r}")
    if got.whole:
        demand(said.whole and said.body == got.body, f"{said.body!r} looks whole as {got.body!r}")
    _check_headers(got, said)


def _is_own_failure(got: reading.Answer, method: bytes) -> bool:
    if got.status not in _GATEWAY:
        return False
    bodiless = method == b"HEAD" and got.every(b"content-type") == [b"application/json"]
    return bodiless or b'"code": "sidekey_upstream' in got.body


def _check_headers(got: reading.Answer, said: reading.Answer) -> None:
    named = {name.strip().lower() for value in said.every(b"connection") for name in value.split(b",")}
    fallen = _NEVER_DOWN | (named - {b"content-length"})
    left = iter(got.headers)
    for name, value in said.headers:
        if name not in fallen and not name.startswith(b"access-control-"):
            demand((name, value) in left, f"the header {name!r} was lost, or its place: {got.headers}")
    ours = {b"transfer-encoding", b"connection"}
    allowed = {name for name, _ in said.headers} - fallen | ours | {b"x-accel-buffering", b"x-sidekey-replay"}
    demand({name for name, _ in got.headers} <= allowed, f"a header came from nowhere: {got.headers}")


def _check_second(heard: bytes) -> None:
    """Demand that the next request gets its own answer, whatever was said before."""
    got = answers(heard, [b"GET"], ended=False)
    demand([one.body for one in got] == [b"of-order"], f"the next request was answered with {heard!r}")
