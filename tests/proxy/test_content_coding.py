"""Beginnings of bodies, decoded without ever becoming large."""

from __future__ import annotations

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.content_coding import beginning, codings_of

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LIMIT = 64 * 1024


def raw_deflate(data: bytes) -> bytes:
    return zlib.compress(data, wbits=-15)


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("x-gzip", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without the zlib head": ("deflate", raw_deflate),
    "br": ("br", brotli.compress),
    "zstd": ("zstd", zstd.compress),
}
each_coder = pytest.mark.parametrize(("coding", "encode"), CODERS.values(), ids=CODERS)


@each_coder
def test_each_coding_is_undone(coding: str, encode: Callable[[bytes], bytes]) -> None:
    assert beginning(encode(b"an error" * 100), [coding], LIMIT) == b"an error" * 100


@each_coder
def test_a_body_that_would_become_large_does_not(coding: str, encode: Callable[[bytes], bytes]) -> None:
    bomb = encode(bytes(64 * 1024 * 1024))
    tracemalloc.start()
    assert beginning(bomb[:LIMIT], [coding], LIMIT) == bytes(LIMIT)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 2 * 1024 * 1024


@each_coder
def test_of_a_body_that_is_cut_what_is_there_is_decoded(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    whole = bytes(range(256)) * 64
    decoded = beginning(encode(whole)[:-9], [coding], LIMIT)
    assert decoded is not None
    assert whole.startswith(decoded)


def test_several_codings_are_undone_from_the_last_to_the_first() -> None:
    assert beginning(brotli.compress(gzip.compress(b"twice")), ["gzip", "br"], LIMIT) == b"twice"


def test_a_bomb_in_a_bomb_does_not_become_large_on_the_way() -> None:
    inner = gzip.compress(bytes(64 * 1024 * 1024))
    assert beginning(gzip.compress(inner), ["gzip", "gzip"], LIMIT) == bytes(LIMIT)


def test_a_zstd_frame_that_wants_a_large_window_is_not_decoded() -> None:
    options = {zstd.CompressionParameter.window_log: 27, zstd.CompressionParameter.content_size_flag: 0}
    encoder = zstd.ZstdCompressor(options=options)  # type: ignore[arg-type]
    assert beginning(encoder.compress(b"x" * 100) + encoder.flush(), ["zstd"], LIMIT) is None


def test_what_nobody_knows_is_not_decoded() -> None:
    assert beginning(b"x", ["compress"], LIMIT) is None
    assert beginning(b"x", ["gzip"] * 4, LIMIT) is None


def test_a_body_as_it_is_is_cut_to_the_limit() -> None:
    assert beginning(b"abcdef", [], 4) == b"abcd"


@pytest.mark.parametrize(
    ("values", "codings"),
    [
        ([], ()),
        ([b"identity"], ()),
        ([b"GZip"], ("gzip",)),
        ([b"gzip, br"], ("gzip", "br")),
        ([b"gzip", b" br ,,"], ("gzip", "br")),
        ([b"\xff"], ("ÿ",)),
    ],
)
def test_codings_are_read_in_order(values: list[bytes], codings: tuple[str, ...]) -> None:
    assert codings_of(values) == codings


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate", "br", "zstd"]), st.integers(1, 100))
def test_whatever_comes_it_is_decoded_within_the_limit_or_not_at_all(
    data: bytes, coding: str, limit: int
) -> None:
    decoded = beginning(data, [coding], limit)
    assert decoded is None or len(decoded) <= limit


@given(st.binary(max_size=2000), st.sampled_from(sorted(CODERS)), st.integers(1, 3000))
def test_what_is_decoded_is_the_beginning(data: bytes, name: str, limit: int) -> None:
    coding, encode = CODERS[name]
    assert beginning(encode(data), [coding], limit) == data[:limit]
