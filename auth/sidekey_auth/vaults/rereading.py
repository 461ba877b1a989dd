"""When it is worth reading the seal again because a document does not open. Pure.

A keyring may show a dialogue each time that it is asked. Reading the seal again helps after a rotation, and
that changes what is in the vault; or after a person has put the right seal where it comes from, and nothing
here tells when. So it is read once for each state of the vault, and then again after growing pauses.
"""

from __future__ import annotations

import threading
from typing import Final

from sidekey_auth.errors import SidekeyError

FIRST_PAUSE: Final = 5.0
LONGEST_PAUSE: Final = 60.0
"""Seconds; a refreshed token may wait in memory for a seal that has been put right."""


class Rereading:
    """Remembers what did not open, and how often the seal was read for it; for all threads of a process.

    Attributes:
        under_way: somebody is reading it.
        trouble: why it could not be read when it was last tried, or None.
    """

    def __init__(self) -> None:
        self.under_way = False
        self.trouble: SidekeyError | None = None
        self._mutex = threading.Lock()
        self._content: bytes | None = None
        self._pause = FIRST_PAUSE
        self._not_before = 0.0

    def begin(self, content: bytes, now: float) -> bool:
        """Return whether to read the seal now; whoever is told so says when it has: see ``end``.

        Args:
            content: what tells one state of the vault from another.
            now: seconds on a clock that only runs forward.
        """
        with self._mutex:
            if self.under_way:
                return False
            if content != self._content:
                self._content, self._pause = content, FIRST_PAUSE
            elif now < self._not_before:
                return False
            self._not_before = now + self._pause
            self._pause = min(LONGEST_PAUSE, 2 * self._pause)
            self.under_way = True
            return True

    def end(self, trouble: SidekeyError | None = None) -> None:
        """Take notice that it was read, or why not."""
        self.trouble = trouble
        self.under_way = False
