"""The chunked transfer coding, read strictly: RFC 9112 section 7.1. Pure.

Extensions are let pass and forgotten (section 7.1.1), trailers as well (section 7.1.2): neither becomes
anything.
"""

from __future__ import annotations

import enum
import re
from typing import Final

from .framing import BadFraming

_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?")
_TRAILER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
LINE_LIMIT: Final = 4096
"""Bytes of a size with its extensions, or of one trailer."""
TRAILERS_LIMIT: Final = 16 * 1024
"""Bytes of all trailers together."""


class _Part(enum.Enum):
    SIZE = enum.auto()
    DATA = enum.auto()
    AFTER_DATA = enum.auto()
    TRAILER = enum.auto()
    END = enum.auto()


class ChunkedReader:
    """Takes a chunked body apart as it arrives."""

    __slots__ = ("_left", "_line", "_part", "_trailers", "rest")

    def __init__(self) -> None:
        self._part = _Part.SIZE
        self._left = 0
        self._line = b""
        self._trailers = 0
        self.rest = b""

    @property
    def ended(self) -> bool:
        """Whether the last chunk and the trailers have come; ``rest`` is what came behind them."""
        return self._part is _Part.END

    def feed(self, data: bytes) -> bytes:
        """Take what has arrived, and return what there is of the body in it.

        Raises:
            BadFraming: this is not the chunked coding.
        """
        pieces = []
        position = 0
        while position < len(data):
            if self._part is _Part.DATA:
                piece = data[position : position + self._left]
                position += len(piece)
                self._left -= len(piece)
                pieces.append(piece)
                if not self._left:
                    self._part = _Part.AFTER_DATA
            elif self._part is _Part.END:
                self.rest += data[position:]
                break
            else:
                position = self._take_line(data, position)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _take_line(self, data: bytes, position: int) -> int:
        """Take a line, or what there is of it, and return where it ends."""
        end = data.find(b"\n", position)
        stop = len(data) if end < 0 else end + 1
        line = self._line + data[position:stop]
        if len(line) > LINE_LIMIT + 2:
            raise BadFraming("a chunk's line is too long")
        if end < 0:
            self._line = line
            self._check_unfinished(line)
            return stop
        if not line.endswith(b"\r\n"):
            raise BadFraming("a chunk's line ends in CR LF")
        self._line = b""
        self._line_taken(line[:-2])
        return stop

    def _check_unfinished(self, line: bytes) -> None:
        if self._part is _Part.AFTER_DATA and line != b"\r":
            raise BadFraming("a chunk is longer than it says")
        if b"\r" in line[:-1]:
            raise BadFraming("a chunk's line ends in CR LF")

    def _line_taken(self, line: bytes) -> None:
        if self._part is _Part.SIZE:
            self._begin_chunk(line)
        elif self._part is _Part.AFTER_DATA:
            if line:
                raise BadFraming("a chunk is longer than it says")
            self._part = _Part.SIZE
        elif line:
            self._skip_trailer(line)
        else:
            self._part = _Part.END

    def _begin_chunk(self, line: bytes) -> None:
        size = _SIZE.fullmatch(line)
        if size is None:
            raise BadFraming("a chunk begins with its size in hexadecimal digits")
        self._left = int(size[1], 16)
        self._part = _Part.DATA if self._left else _Part.TRAILER

    def _skip_trailer(self, line: bytes) -> None:
        self._trailers += len(line)
        if self._trailers > TRAILERS_LIMIT:
            raise BadFraming("the trailers are too long", 431)
        if not _TRAILER.fullmatch(line):
            raise BadFraming("a trailer is not a name, a colon and printable text")
