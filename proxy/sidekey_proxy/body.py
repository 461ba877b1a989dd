"""Request bodies that can be sent a second time, as long as they are small enough to be kept."""

from __future__ import annotations

from typing import Final, Protocol

from .exchange import ByteSource

MEMORY_LIMIT: Final = 1024 * 1024
_PIECE: Final = 64 * 1024


class Arriving(ByteSource, Protocol):
    """A body on its way in (``exchange.Exchange``)."""

    def whole(self) -> bytes | None:
        """Return the whole body if it has already arrived, and None if some of it is still to come."""


class KeptBody:
    """A request's body, streamed on as it comes, with a copy of what has been read (``upstream.Body``).

    Whoever reads after ``again`` gets the copy first and then the rest, as it arrives. A body longer than the
    limit gives its copy up, and cannot be had again.

    Args:
        source: where the body comes from.
        limit: the longest copy, in bytes.
    """

    def __init__(self, source: Arriving, limit: int = MEMORY_LIMIT) -> None:
        self._source = source
        self._limit = limit
        self._copy: bytes | bytearray = b""
        self._position = 0
        self._complete = False
        self._given_up = False
        self.received = 0

    def whole(self) -> bytes | None:
        """Return the whole body if all of it is here, and None if some of it is still to come."""
        if self._position:
            return None
        if not self.received and not self._complete:
            return self._take_whole()
        if not self._complete or self._given_up:
            return None
        self._position = len(self._copy)
        return bytes(self._copy)

    async def read(self) -> bytes:
        """Return the next bytes: of the copy, or as they arrive; ``b""`` at the end."""
        if self._position < len(self._copy):
            piece = bytes(self._copy[self._position : self._position + _PIECE])
            self._position += len(piece)
            return piece
        if self._complete:
            return b""
        piece = await self._source.read()
        if piece:
            self._keep(piece)
        else:
            self._complete = True
        return piece

    @property
    def replayable(self) -> bool:
        """Whether the body could be had again as things stand."""
        return not self._given_up

    def again(self) -> bool:
        """Start over from the first byte; False where the copy had to be given up."""
        self._position = 0
        return not self._given_up

    def _take_whole(self) -> bytes | None:
        whole = self._source.whole()
        if whole is None:
            return None
        self._complete = True
        self.received = len(whole)
        if self.received > self._limit:
            self._given_up = True
        else:
            self._copy = whole
            self._position = self.received
        return whole

    def _keep(self, piece: bytes) -> None:
        self.received += len(piece)
        if self._given_up:
            return
        if self.received > self._limit:
            self._given_up = True
            self._copy = b""
            self._position = 0
            return
        if not isinstance(self._copy, bytearray):
            self._copy = bytearray(self._copy)
        self._copy += piece
        self._position = len(self._copy)
