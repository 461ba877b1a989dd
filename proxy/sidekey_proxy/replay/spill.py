"""A temporary file without a name, encrypted with a key that only this object has.

Each file has a key of its own, made with it and kept nowhere else: what is left on a disk after a crash, in a
swapped-out page cache or in a copy of the disk's image can be read by nobody. Each block is sealed with
AES-256-GCM under its number: a key never meets a nonce twice, blocks can be read in any order, and a block
that the disk gives back altered is an error, not an altered request.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12
_KEY_BITS: Final = 256


class SpillFile:
    """Blocks of bytes that are written once and read by their number.

    Its methods, ``close`` excepted, block: they belong on a thread. Any thread may call them, one at a time.

    Args:
        folder: where the file is; the system's temporary folder where it is None.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: FileIO | None = None
        self._cipher = AESGCM(AESGCM.generate_key(_KEY_BITS))
        self._places: list[tuple[int, int]] = []
        self._end = 0
        self._lock = threading.Lock()
        self._closed = False

    def append(self, data: bytes | bytearray) -> None:
        """Write one more block.

        Raises:
            OSError: it cannot be written; nothing more can be, then.
        """
        with self._held():
            sealed = self._cipher.encrypt(_nonce(len(self._places)), data, None)
            file = self._opened()
            file.seek(self._end)
            left = memoryview(sealed)
            while left:
                left = left[file.write(left) :]
            self._places.append((self._end, len(sealed)))
            self._end += len(sealed)

    def block(self, number: int) -> bytes:
        """Return a block.

        Args:
            number: 0 is the first that was appended.

        Raises:
            OSError: it cannot be read, or is not what was written.
        """
        with self._held():
            start, length = self._places[number]
            file = self._opened()
            file.seek(start)
            sealed = bytearray()
            while len(sealed) < length and (piece := file.read(length - len(sealed))):
                sealed += piece
            try:
                return self._cipher.decrypt(_nonce(number), sealed, None)
            except InvalidTag:
                raise OSError("a temporary file does not hold what was written to it") from None

    def close(self) -> None:
        """Close the file, and with it remove it; at the end of the present call, where one is under way."""
        self._closed = True
        if self._lock.acquire(blocking=False):
            try:
                if self._file is not None:
                    self._file.close()
            finally:
                self._lock.release()

    @contextmanager
    def _held(self) -> Iterator[None]:
        try:
            with self._lock:
                yield
        finally:
            if self._closed:
                self.close()

    def _opened(self) -> FileIO:
        if self._closed:
            raise OSError("the temporary file is closed")
        if self._file is None:
            # O_TMPFILE where there is one, else a name that is removed at once (Windows: on closing).
            self._file = tempfile.TemporaryFile(buffering=0, prefix="sidekey-", dir=self._folder)  # noqa: SIM115
        return self._file


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE, "big")
