"""The clocks: one for what stands in files, one that only runs forward and through sleep."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Final, Protocol

_DARWIN: Final = ("darwin", "ios")


def clock_through_sleep(platform: str, clocks: Mapping[str, int]) -> int | None:
    """Return the number of a system's clock that cannot be set and runs on through sleep, or None. Pure.

    Linux has CLOCK_BOOTTIME for it; its CLOCK_MONOTONIC and CLOCK_MONOTONIC_RAW stand still in sleep. On
    Darwin these two run on (clock_gettime(3)), the second one unmoved by changes of the time; what stands
    still there is CLOCK_UPTIME_RAW, which ``time.monotonic`` reads.

    Args:
        platform: as in ``sys.platform``.
        clocks: the numbers of the clocks that there are, by name.
    """
    if platform in _DARWIN:
        return clocks.get("CLOCK_MONOTONIC_RAW", clocks.get("CLOCK_MONOTONIC"))
    return clocks.get("CLOCK_BOOTTIME")


_THROUGH_SLEEP: Final = clock_through_sleep(sys.platform, vars(time))


class Clock(Protocol):
    """The only door to the time; pure modules get its readings as arguments."""

    def wall(self) -> float:
        """Return Unix time in seconds: right as far as the machine's clock is."""

    def boot(self) -> float:
        """Return seconds on a clock that cannot be set and, where there is one, runs through sleep."""


class SystemClock:
    """The machine's clocks.

    Args:
        through_sleep: the number of the clock to read; None reads ``time.monotonic``.
    """

    def __init__(self, through_sleep: int | None = _THROUGH_SLEEP) -> None:
        self._through_sleep = through_sleep

    def wall(self) -> float:
        """Return Unix time in seconds."""
        return time.time()

    def boot(self) -> float:
        """Return seconds since some start, sleep included on Linux and Darwin."""
        if self._through_sleep is not None:
            return time.clock_gettime(self._through_sleep)
        return time.monotonic()
