"""Copies of request bodies, kept for a second try: their limit, their budget, and where they are.

A copy's first part stays in memory, piece by piece as it arrived. What exceeds that is gathered into blocks,
which go into a nameless encrypted file (``spill.py``) on a thread: a page cache takes them in no time, a disk
that is busy does not.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from .spill import SpillFile

T = TypeVar("T")

log = structlog.get_logger("sidekey.copies")

KIB: Final = 1024
MIB: Final = 1024 * KIB
LIMIT: Final = 64 * MIB
BUDGET: Final = 256 * MIB
_MEMORY: Final = MIB
_BLOCK: Final = 256 * KIB
_SMALL: Final = 64 * KIB
"""Bytes below which pieces are put together, so that a thousand tiny ones cost no thousand objects."""
_DISK_PATIENCE: Final = 2.0
_THREADS: Final = 2


class Copies:
    """What all copies share.

    Args:
        limit: the longest body that is kept, in bytes.
        budget: the most that all copies together may hold, in memory and on disk, in bytes.
        folder: where files are made; the system's temporary folder where it is None.
        memory: bytes of a copy that stay in memory.
        block: bytes that are written to a file at a time.
        disk_patience: seconds that a write may take before the copy is given up.
    """

    def __init__(
        self,
        *,
        limit: int = LIMIT,
        budget: int = BUDGET,
        folder: Path | None = None,
        memory: int = _MEMORY,
        block: int = _BLOCK,
        disk_patience: float = _DISK_PATIENCE,
    ) -> None:
        self.limit = min(limit, budget)
        self.memory = memory
        self.block = block
        self.disk_patience = disk_patience
        self.held = 0
        self._budget = budget
        self._folder = folder
        # Threads of their own: on the event loop's a disk that hangs would stop name resolution, too.
        self._threads = ThreadPoolExecutor(_THREADS, "sidekey-copies")
        self._trouble = False

    def new(self, announced: int | None = None) -> Copy:
        """Return an empty copy.

        Args:
            announced: the body's length where it is known. One over the limit goes into no file in vain.
        """
        hopeless = announced is not None and announced > self.limit
        return Copy(self, min(self.limit, self.memory) if hopeless else self.limit)

    def take(self, size: int) -> bool:
        """Take so many bytes of the budget; False where so many are not left."""
        if self.held + size > self._budget:
            return False
        self.held += size
        return True

    def give_back(self, size: int) -> None:
        """Give so many bytes back."""
        self.held -= size

    def file(self) -> SpillFile:
        """Return a new file, which is not made before something is written to it."""
        return SpillFile(self._folder)

    def aside(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Do something that blocks on a thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def aside_unseen(self, work: Callable[[], None]) -> None:
        """Do something that blocks on a thread while nobody waits for it; here and now after ``close``."""
        try:
            self._threads.submit(work)
        except RuntimeError:
            work()

    def written(self) -> None:
        """Take note that a file can be written."""
        self._trouble = False

    def unwritable(self, error: OSError) -> None:
        """Take note that a file cannot be written; it is logged once, until one can be again."""
        if not self._trouble:
            self._trouble = True
            log.warning(
                "long request bodies cannot be kept for a second try after a 401",
                reason=error.strerror or str(error) or type(error).__name__,
                folder=str(self._folder or "the system's temporary folder"),
                remedy="Make room there, or name another folder in the setting replay_folder.",
            )

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False)


class Copy:
    """The copy of one body.

    Args:
        shared: what all copies share.
        limit: its greatest length, in bytes.
    """

    __slots__ = ("_blocks", "_ends", "_file", "_limit", "_shared", "_tail", "_writing", "size")

    def __init__(self, shared: Copies, limit: int) -> None:
        self.size = 0
        self._shared = shared
        self._limit = limit
        self._blocks: list[bytes | int] = []  # a number is a block of the file
        self._ends: list[int] = []
        self._tail = bytearray()
        self._file: SpillFile | None = None
        self._writing: asyncio.Future[None] | None = None

    def append(self, piece: bytes) -> bool:
        """Keep one more piece; False where it would be too much, and nothing of it is kept then."""
        if self.size + len(piece) > self._limit or not self._shared.take(len(piece)):
            return False
        if self.size + len(piece) > self._shared.memory:
            self._tail += piece
        elif not self.size:
            self._settled(piece, len(piece))  # most bodies are whole by then, and nothing is copied
        else:
            self._keep_in_memory(piece)
        self.size += len(piece)
        return True

    def _keep_in_memory(self, piece: bytes) -> None:
        if len(piece) < _SMALL:
            self._tail += piece
            if len(self._tail) < _SMALL:
                return
            piece, self._tail = bytes(self._tail), bytearray()
        elif self._tail:
            self._settled(bytes(self._tail), len(self._tail))
            self._tail = bytearray()
        self._settled(piece, len(piece))

    def _settled(self, block: bytes | int, length: int) -> None:
        start = self._ends[-1] if self._ends else 0
        self._blocks.append(block)
        self._ends.append(start + length)

    async def settle(self) -> bool:
        """Write to the file what is due; False where it cannot be written, and all of it is still there.

        Cancelling this ends nothing: the next call waits for the same write.
        """
        tail = self._tail
        if len(tail) < self._shared.block or self.size <= self._shared.memory:
            return True
        if self._writing is None:
            file = self._file = self._file or self._shared.file()
            self._writing = self._shared.aside(lambda: file.append(tail))
        try:
            async with asyncio.timeout(self._shared.disk_patience):
                await asyncio.shield(self._writing)
        except OSError as error:  # a TimeoutError is one
            if self._file is not None:  # else it was closed meanwhile
                self._shared.unwritable(error)
            return False
        self._shared.written()
        self._writing = None
        self._tail = bytearray()
        self._settled(sum(isinstance(block, int) for block in self._blocks), len(tail))
        return True

    def whole(self) -> bytes | None:
        """Return all of it where that takes no great copying, and None otherwise."""
        blocks = [block for block in self._blocks if isinstance(block, bytes)]
        if len(blocks) < len(self._blocks):
            return None
        if len(blocks) == 1 and not self._tail:
            return blocks[0]
        return b"".join((*blocks, self._tail)) if self.size <= _SMALL else None

    async def at(self, position: int) -> bytes:
        """Return some bytes from a position on, which is below ``size``.

        Raises:
            OSError: they cannot be read from the file.
        """
        number = bisect_right(self._ends, position)
        start = self._ends[number - 1] if number else 0
        if number == len(self._blocks):
            return bytes(self._tail[position - start :])
        block = self._blocks[number]
        if isinstance(block, int):
            assert self._file is not None  # noqa: S101 - the block is in it
            file, inside = self._file, block
            block = await self._shared.aside(lambda: file.block(inside))
        return block[position - start :] if position > start else block

    def close(self) -> None:
        """Give back what it holds."""
        self._shared.give_back(self.size)
        self.size = 0
        self._blocks, self._ends, self._tail = [], [], bytearray()
        file, self._file = self._file, None
        if file is not None:
            self._shared.aside_unseen(file.close)
