"""The chunked coding: the body comes out whole however it arrives, and nothing else passes for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.chunked import LINE_LIMIT, ChunkedReader
from sidekey_proxy.message.framing import BadFraming


def read(data: bytes, size: int = 0) -> tuple[bytes, ChunkedReader]:
    reader = ChunkedReader()
    step = size or len(data) or 1
    return b"".join(reader.feed(data[at : at + step]) for at in range(0, len(data), step)), reader


@given(
    pieces=st.lists(st.binary(min_size=1, max_size=40), max_size=6),
    step=st.integers(1, 60),
    extension=st.sampled_from([b"", b";a", b' ; a="b c"', b";"]),
    trailers=st.sampled_from([b"", b"X: y\r\n", b"X: y\r\nZ:\r\n"]),
    rest=st.binary(max_size=20),
)
def test_a_body_comes_out_whole_however_it_is_cut(
    pieces: list[bytes], step: int, extension: bytes, trailers: bytes, rest: bytes
) -> None:
    raw = b"".join(b"%X%b\r\n%b\r\n" % (len(piece), extension, piece) for piece in pieces)
    body, reader = read(raw + b"0" + extension + b"\r\n" + trailers + b"\r\n" + rest, step)
    assert body == b"".join(pieces)
    assert reader.ended
    assert reader.rest == rest


@given(data=st.binary(max_size=80), step=st.integers(1, 80))
def test_whatever_comes_is_read_or_refused_the_same_in_any_pieces(data: bytes, step: int) -> None:
    def outcome(size: int) -> tuple[bytes, bool] | None:
        try:
            body, reader = read(data, size)
        except BadFraming:
            return None
        return body, reader.ended

    assert outcome(step) == outcome(0)


@pytest.mark.parametrize("digits", [b"a", b"A", b"0a", b"000a"])
def test_a_size_is_hexadecimal(digits: bytes) -> None:
    body, reader = read(digits + b"\r\n0123456789\r\n0\r\n\r\n")
    assert (body, reader.ended) == (b"0123456789", True)


@pytest.mark.parametrize(
    "raw",
    [
        b"\r\n",
        b"zz\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b"1_0\r\n",
        b" 1\r\n",
        b"1 \r\n",
        b"1,2\r\n",
        b"10000000000000000\r\n",
        b"1\na",
        b"1;a\nb\r\n",
        b"1;a\rb\r\n",
        b"1\r\nabc\r\n",
        b"1\r\na\n",
        b"1\r\na\r\r\n",
        b"1;\0\r\n",
        b"1;" + b"a" * LINE_LIMIT + b"\r\n",
        b"0\r\nno trailer\r\n\r\n",
        b"0\r\n folded: a\r\n\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\nX: a\0\r\n\r\n",
        b"0\r\n\n",
    ],
)
def test_what_is_not_the_coding_is_refused(raw: bytes) -> None:
    with pytest.raises(BadFraming) as refused:
        read(raw)
    assert refused.value.status == 400


def test_trailers_without_end_are_refused() -> None:
    with pytest.raises(BadFraming) as refused:
        read(b"0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 20)
    assert refused.value.status == 431


def test_a_line_that_cannot_end_well_is_not_waited_for() -> None:
    with pytest.raises(BadFraming):
        read(b"1\r\nab")
    with pytest.raises(BadFraming):
        read(b"a" * (LINE_LIMIT + 3))
