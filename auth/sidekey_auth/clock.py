"""The clocks: one for what stands in files, one that only runs forward and through sleep."""

from __future__ import annotations

import time
from typing import Protocol

# Only Linux has it; elsewhere the monotonic clock is the nearest thing.
_THROUGH_SLEEP = getattr(time, "CLOCK_BOOTTIME", None)


class Clock(Protocol):
    """The only door to the time; pure modules get its readings as arguments."""

    def wall(self) -> float:
        """Return Unix time in seconds: right as far as the machine's clock is."""

    def boot(self) -> float:
        """Return seconds on a clock that cannot be set and, where there is one, runs through sleep."""


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def boot(self) -> float:
        """Return seconds since some start, sleep included on Linux."""
        if _THROUGH_SLEEP is not None:
            return time.clock_gettime(_THROUGH_SLEEP)
        return time.monotonic()
