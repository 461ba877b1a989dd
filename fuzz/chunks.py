"""Chunked bodies of any bytes: as h11 and llhttp read them, and the same in any pieces.

The second byte of an input says how it is cut; the first says nothing.
"""

from __future__ import annotations

from typing import Final

from sidekey_proxy.message.chunked import ChunkedReader
from sidekey_proxy.message.framing import BadFraming

from . import reading
from .data_path import options, pieces
from .fault import demand

_HEAD: Final = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"

Outcome = tuple[bytes, bytes | None] | None
"""The body and what stands behind it, None where it has not ended; None where it was refused."""


def fuzz(data: bytes) -> None:
    """Read the bytes as a chunked body."""
    _, seed, wire = options(data)
    outcome = read([wire])
    in_pieces = read([piece for piece, _ in pieces(wire, seed)])
    demand(in_pieces == outcome, f"in pieces {in_pieces}, at once {outcome}")
    if outcome is None or outcome[1] is None:
        return
    body, rest = outcome
    try:
        one = reading.request(_HEAD + wire)
    except reading.Unreadable as error:
        demand(reading.h11_may_refuse(wire), f"h11 refuses what is accepted here: {error}")
        return
    demand(one is not None and (one.body, one.rest) == (body, rest), f"h11 reads {one} and sidekey {outcome}")
    if one is not None:
        reading.check_with_llhttp(one)


def read(parts: list[bytes]) -> Outcome:
    """Return what sidekey reads."""
    reader = ChunkedReader()
    try:
        body = b"".join([reader.feed(part) for part in parts])
    except BadFraming as fault:
        demand(fault.status in (400, 431), f"refused with {fault.status}")
        return None
    return body, reader.rest if reader.ended else None
