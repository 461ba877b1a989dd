"""The beginning of a body, decoded (RFC 9110 section 8.4) without ever becoming large. Pure."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Sequence
from typing import Final

import brotli

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

_MOST_CODINGS: Final = 3
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16
_ZSTD_WINDOW_LOG: Final = 23
"""8 MiB: the most that a decoder of this content coding needs to have (RFC 9659 section 3)."""


def codings_of(values: Sequence[bytes]) -> tuple[str, ...]:
    """Return the codings that ``Content-Encoding`` names, in the order in which they were applied.

    Args:
        values: the header's values.
    """
    names = (name.strip().lower() for name in b",".join(values).decode("latin-1").split(","))
    return tuple(name for name in names if name not in {"", "identity"})


def beginning(data: bytes, codings: Sequence[str], limit: int) -> bytes | None:
    """Return what the beginning of a body decodes to, or None where it cannot be decoded.

    Args:
        data: the body or its beginning, as it came.
        codings: what was applied to it, in order.
        limit: the most bytes to return; no step on the way makes more.
    """
    if len(codings) > _MOST_CODINGS:
        return None
    for coding in reversed(codings):
        decode = _DECODERS.get(coding)
        if decode is None:
            return None
        try:
            data = decode(data, limit)
        except (zlib.error, brotli.error, zstd.ZstdError, EOFError):
            return None
    return data[:limit]


def _gzip(data: bytes, limit: int) -> bytes:
    return zlib.decompressobj(_GZIP_WINDOW).decompress(data, limit)


def _deflate(data: bytes, limit: int) -> bytes:
    try:
        return zlib.decompressobj().decompress(data, limit)
    except zlib.error:  # some leave the zlib format's head out (RFC 9110 section 8.4.1.2)
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, limit)


def _brotli(data: bytes, limit: int) -> bytes:
    decoded: bytes = brotli.Decompressor().process(data, output_buffer_limit=limit)
    return decoded


def _zstd(data: bytes, limit: int) -> bytes:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG}
    return zstd.ZstdDecompressor(options=options).decompress(data, limit)


_DECODERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
