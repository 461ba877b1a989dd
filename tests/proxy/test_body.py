"""Bodies that can be sent twice."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.replay.body import KeptBody
from sidekey_proxy.replay.copies import Copies

PIECES = st.lists(st.binary(min_size=1, max_size=50), max_size=20)


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


@contextlib.contextmanager
def keeping(**how: int) -> Iterator[Copies]:
    copies = Copies(**how)  # type: ignore[arg-type]
    try:
        yield copies
        assert copies.held == 0, "what was kept is given back"
    finally:
        copies.close()


async def rest_of(body: KeptBody) -> bytes:
    data = b""
    while piece := await body.read():
        data += piece
    return data


async def test_a_body_that_is_here_is_given_whole_as_often_as_wanted() -> None:
    with keeping() as copies:
        body = KeptBody(Pieces(b"abc", here=True), copies)
        assert body.whole() == b"abc"
        assert body.again()
        assert body.whole() == b"abc"
        assert body.again()
        assert await rest_of(body) == b"abc"
        assert body.received == 3
        body.close()


async def test_an_empty_body_that_is_here_is_whole() -> None:
    with keeping() as copies:
        body = KeptBody(Pieces(here=True), copies)
        assert body.whole() == b""
        assert body.again()
        assert body.whole() == b""


async def test_a_body_on_its_way_is_not_whole() -> None:
    with keeping() as copies:
        body = KeptBody(Pieces(b"abc"), copies)
        assert body.whole() is None
        assert await rest_of(body) == b"abc"
        assert body.again()
        assert body.whole() == b"abc"
        body.close()


async def test_a_body_that_arrived_in_one_piece_is_not_copied() -> None:
    piece = b"x" * 500_000
    with keeping() as copies:
        body = KeptBody(Pieces(piece), copies)
        assert await body.read() is piece
        assert await body.read() == b""
        assert body.again()
        assert body.whole() is piece
        body.close()


@given(PIECES, st.integers(0, 25), st.integers(0, 25), st.integers(0, 100), st.integers(1, 100))
async def test_stopped_anywhere_it_begins_anew_with_all_of_it(
    pieces: list[bytes], stop: int, stop_again: int, memory: int, block: int
) -> None:
    whole = b"".join(pieces)
    with keeping(memory=memory, block=block) as copies:
        body = KeptBody(Pieces(*pieces), copies)
        for reads in (stop, stop_again):
            for _ in range(reads):
                await body.read()
            assert body.again()
        assert await rest_of(body) == whole
        assert body.again()
        assert await rest_of(body) == whole
        assert body.received == len(whole)
        assert copies.held == len(whole)
        body.close()


@given(PIECES, st.integers(0, 300), st.integers(0, 100), st.integers(1, 100), st.booleans())
async def test_beyond_the_limit_it_still_passes_but_only_once(
    pieces: list[bytes], limit: int, memory: int, block: int, told: bool
) -> None:
    whole = b"".join(pieces)
    with keeping(limit=limit, memory=memory, block=block) as copies:
        body = KeptBody(Pieces(*pieces), copies, len(whole) if told else None)
        assert await rest_of(body) == whole
        fits = len(whole) <= limit
        assert body.replayable is fits
        assert body.again() is fits
        assert body.too_long is (told and not fits)
        if fits:
            assert await rest_of(body) == whole
        body.close()


@given(
    st.lists(PIECES, min_size=2, max_size=4), st.integers(0, 300), st.lists(st.integers(0, 3), max_size=60)
)
async def test_bodies_that_share_a_budget_all_pass_and_those_that_are_kept_are_whole(
    bodies: list[list[bytes]], budget: int, order: list[int]
) -> None:
    with keeping(budget=budget, memory=20, block=30) as copies:
        under_way = [KeptBody(Pieces(*pieces), copies) for pieces in bodies]
        seen = [b"" for _ in bodies]
        for number in order:
            if number < len(bodies):
                seen[number] += await under_way[number].read()
                assert copies.held <= budget
        for number, body in enumerate(under_way):
            seen[number] += await rest_of(body)
            assert copies.held <= budget
            assert seen[number] == b"".join(bodies[number])
            if body.again():
                assert await rest_of(body) == seen[number]
        for body in under_way:
            body.close()


@given(PIECES, st.integers(0, 25), st.integers(0, 25), st.booleans())
async def test_let_go_at_any_point_what_is_left_still_passes_and_nothing_stays(
    pieces: list[bytes], before: int, after: int, again: bool
) -> None:
    whole = b"".join(pieces)
    with keeping(memory=20, block=30) as copies:
        body = KeptBody(Pieces(*pieces), copies)
        seen = b"".join([await body.read() for _ in range(before)])
        if again:
            assert body.again()
            seen = b"".join([await body.read() for _ in range(after)])
        body.let_go()
        assert not body.again()
        assert seen + await rest_of(body) == whole
        assert copies.held == 0


async def test_a_body_that_is_let_go_when_its_answer_comes_is_held_no_longer() -> None:
    with keeping(memory=2) as copies:
        body = KeptBody(Pieces(b"aaa", b"bbb"), copies)
        await body.read()
        assert copies.held == 3
        body.let_go()
        assert copies.held == 0
        assert await rest_of(body) == b"bbb"


async def test_what_was_sent_before_the_limit_is_not_repeated_after_it() -> None:
    with keeping(limit=4) as copies:
        body = KeptBody(Pieces(b"aaa", b"bbb", b"ccc"), copies)
        assert await body.read() == b"aaa"
        assert body.again()
        assert await rest_of(body) == b"aaabbbccc"
        assert not body.again()


async def test_a_body_that_is_here_but_over_the_limit_is_sent_once() -> None:
    with keeping(limit=3) as copies:
        body = KeptBody(Pieces(b"abcdef", here=True), copies)
        assert body.whole() == b"abcdef"
        assert not body.replayable
        assert not body.again()


async def test_a_read_that_is_cancelled_while_the_disk_is_busy_loses_nothing(tmp_path: Path) -> None:
    copies = Copies(folder=tmp_path, memory=0, block=1)
    body = KeptBody(Pieces(b"aaa", b"bbb", b"ccc"), copies)
    busy, written = asyncio.Event(), asyncio.get_running_loop().create_future()
    on_a_thread = copies.aside

    def slow(work: object) -> asyncio.Future[object]:
        busy.set()
        return written

    assert await body.read() == b"aaa"
    copies.aside = slow  # type: ignore[assignment,method-assign]
    reading = asyncio.create_task(body.read())
    await busy.wait()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    copies.aside = on_a_thread  # type: ignore[method-assign]
    assert body.again()
    assert await body.read() == b"aaa", "it is still in memory"
    written.set_exception(OSError("the disk is full"))
    assert await rest_of(body) == b"bbbccc"
    assert not body.again()
    copies.close()
