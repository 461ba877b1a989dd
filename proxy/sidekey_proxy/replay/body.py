"""Request bodies that can be sent a second time, as long as a copy of them can be kept (``copies.py``)."""

from __future__ import annotations

from typing import Protocol

from sidekey_proxy.message.exchange import ByteSource, Exchange, first

from .copies import Copies, Copy


class Arriving(ByteSource, Protocol):
    """A body on its way in (``exchange.Exchange``)."""

    def whole(self) -> bytes | None:
        """Return the whole body if it has already arrived, and None if some of it is still to come."""


class KeptBody:
    """A request's body, streamed on as it comes, with a copy of what has been read (``upstream.Body``).

    Whoever reads after ``again`` gets the copy first and then the rest, as it arrives. A body longer than may
    be kept gives its copy up, and cannot be had again.

    Args:
        source: where the body comes from.
        copies: what is kept, and where.
        announced: the body's length in bytes, where the client has told it.
    """

    __slots__ = ("_complete", "_copy", "_limit", "_position", "_source", "_wanted", "announced", "received")

    def __init__(self, source: Arriving, copies: Copies, announced: int | None = None) -> None:
        self.received = 0
        self.announced = announced
        self._source = source
        self._limit = copies.limit
        self._copy: Copy | None = copies.new(announced)
        self._position = 0
        self._complete = False
        self._wanted = True

    @property
    def too_long(self) -> bool:
        """Whether the client has announced more than may be kept."""
        return self.announced is not None and self.announced > self._limit

    def whole(self) -> bytes | None:
        """Return the whole body if all of it is here, and None if some of it is still to come."""
        if self._position:
            return None
        if not self.received and not self._complete:
            return self._take_whole()
        if not self._complete or self._copy is None:
            return None
        whole = self._copy.whole()
        if whole is not None:
            self._position = len(whole)
        return whole

    async def read(self) -> bytes:
        """Return the next bytes: of the copy, or as they arrive; ``b""`` at the end.

        Raises:
            OSError: the copy cannot be read.
        """
        copy = self._copy
        if copy is not None and self._position < copy.size:
            piece = await copy.at(self._position)
            self._position += len(piece)
            self._drop_if_read()
            return piece
        if self._complete:
            return b""
        if copy is not None and not await copy.settle():
            self._drop()
        piece = await self._source.read()
        if piece:
            self._keep(piece)
        else:
            self._complete = True
        return piece

    @property
    def replayable(self) -> bool:
        """Whether the body could be had again as things stand."""
        return self._copy is not None and self._wanted

    def again(self) -> bool:
        """Start over from the first byte; False where the copy had to be given up."""
        if not self.replayable:
            return False
        self._position = 0
        return True

    def let_go(self) -> None:
        """Keep no copy any longer than it takes to read what is left of it: nobody will start over."""
        self._wanted = False
        self._drop_if_read()

    def close(self) -> None:
        """Give the copy back at once: nobody reads any more."""
        self._wanted = False
        self._drop()

    def _take_whole(self) -> bytes | None:
        whole = self._source.whole()
        if whole is None:
            return None
        self._complete = True
        self._keep(whole)
        return whole

    def _keep(self, piece: bytes) -> None:
        self.received += len(piece)
        if self._copy is None:
            return
        if self._copy.append(piece):
            self._position = self._copy.size
        else:
            self._drop()

    def _drop_if_read(self) -> None:
        if not self._wanted and self._copy is not None and self._position >= self._copy.size:
            self._drop()

    def _drop(self) -> None:
        copy, self._copy = self._copy, None
        if copy is not None:
            copy.close()


def kept(exchange: Exchange, copies: Copies) -> KeptBody:
    """Return a request's body, with a copy.

    Args:
        exchange: the request.
        copies: what is kept, and where.
    """
    length = first(exchange.head.headers, b"content-length") or b""
    return KeptBody(exchange, copies, int(length) if length.isdigit() else None)
