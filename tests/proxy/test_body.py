"""Bodies that can be sent twice."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.body import KeptBody


class Pieces:
    """A body that arrives piece by piece, or is all here already."""

    def __init__(self, *pieces: bytes, here: bool = False) -> None:
        self._pieces = list(pieces)
        self._here = here

    def whole(self) -> bytes | None:
        if not self._here:
            return None
        body, self._pieces = b"".join(self._pieces), []
        return body

    async def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


async def rest_of(body: KeptBody) -> bytes:
    data = b""
    while piece := await body.read():
        data += piece
    return data


async def test_a_body_that_is_here_is_given_whole_as_often_as_wanted() -> None:
    body = KeptBody(Pieces(b"abc", here=True))
    assert body.whole() == b"abc"
    assert body.again()
    assert body.whole() == b"abc"
    assert body.again()
    assert await rest_of(body) == b"abc"
    assert body.received == 3


async def test_an_empty_body_that_is_here_is_whole() -> None:
    body = KeptBody(Pieces(here=True))
    assert body.whole() == b""
    assert body.again()
    assert body.whole() == b""


async def test_a_body_on_its_way_is_not_whole() -> None:
    body = KeptBody(Pieces(b"abc"))
    assert body.whole() is None
    assert await rest_of(body) == b"abc"
    assert body.again()
    assert body.whole() == b"abc"


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=10), st.integers(0, 10))
async def test_stopped_anywhere_it_begins_anew_with_all_of_it(pieces: list[bytes], stop: int) -> None:
    body = KeptBody(Pieces(*pieces))
    for _ in range(stop):
        await body.read()
    assert body.again()
    assert await rest_of(body) == b"".join(pieces)
    assert body.again()
    assert await rest_of(body) == b"".join(pieces)
    assert body.received == len(b"".join(pieces))


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=10), st.integers(0, 300))
async def test_beyond_the_limit_it_still_passes_but_only_once(pieces: list[bytes], limit: int) -> None:
    whole = b"".join(pieces)
    body = KeptBody(Pieces(*pieces), limit)
    assert await rest_of(body) == whole
    fits = len(whole) <= limit
    assert body.replayable is fits
    assert body.again() is fits


async def test_what_was_sent_before_the_limit_is_not_repeated_after_it() -> None:
    body = KeptBody(Pieces(b"aaa", b"bbb", b"ccc"), 4)
    assert await body.read() == b"aaa"
    assert body.again()
    assert await rest_of(body) == b"aaabbbccc"
    assert not body.again()


async def test_a_body_that_is_here_but_over_the_limit_is_sent_once() -> None:
    body = KeptBody(Pieces(b"abcdef", here=True), 3)
    assert body.whole() == b"abcdef"
    assert not body.replayable
    assert not body.again()
