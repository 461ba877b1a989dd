"""When not to ask the issuer though something is wanted: after failures and vain renewals. Pure."""

from __future__ import annotations

from collections.abc import Callable

from .due import backoff


class Backoff:
    """Grows with each transient failure in a row, with jitter; the first success ends it.

    Args:
        draw: gives a random number from 0 to 1.
    """

    def __init__(self, draw: Callable[[], float]) -> None:
        self._draw = draw
        self._failures = 0
        self.until = 0.0

    def fail(self, now: float, at_least: float | None = None) -> None:
        """Count a failure.

        Args:
            now: the boot clock, in seconds.
            at_least: seconds that the issuer asked to be left alone (Retry-After, RFC 9110 10.2.3).
        """
        self._failures += 1
        pause = backoff(self._failures, self._draw())
        self.until = now + max(pause, min(at_least or 0.0, _LONGEST_WISH))

    def succeed(self) -> None:
        """Forget the failures."""
        self._failures = 0
        self.until = 0.0

    def holds(self, now: float) -> bool:
        """Return whether nobody is to be asked now."""
        return now < self.until


class Disbelief:
    """Keeps a 401 that no fresh bearer cures from causing one renewal after another.

    When the bearer that a refusal brought forth is refused in its turn, refusals are not believed for a
    minute, doubling to an hour; what other requests make of that bearer does not count. An hour without
    such a disappointment and all is forgotten.
    """

    def __init__(self) -> None:
        self._newborn: int | None = None
        self._vain_generation: int | None = None
        self._vain = 0
        self._until = 0.0

    def born(self, generation: int) -> None:
        """Take notice that a refusal has brought forth this generation."""
        self._newborn = generation

    def accepted(self, generation: int) -> None:
        """Take notice that upstream has let a request with this generation pass."""
        if generation == self._newborn:
            self._newborn = None

    def in_vain(self, generation: int, now: float) -> None:
        """Take notice that the very request whose refusal brought forth this generation is refused again.

        Args:
            generation: the fresh bearer's.
            now: the boot clock, in seconds.
        """
        if generation == self._vain_generation:
            return
        if now >= self._until + _FORGIVEN_AFTER:
            self._vain = 0
        self._vain_generation = generation
        self._newborn = None
        self._until = now + min(_LONGEST_DISBELIEF, _FIRST_DISBELIEF * 2.0**self._vain)
        self._vain += 1

    def believes(self, generation: int, now: float) -> bool:
        """Return whether a refusal of this generation is a reason to renew it.

        Args:
            generation: the refused bearer's.
            now: the boot clock, in seconds.
        """
        if generation == self._newborn:
            self.in_vain(generation, now)
        return now >= self._until


_LONGEST_WISH = 300.0
_FIRST_DISBELIEF, _LONGEST_DISBELIEF = 60.0, 3600.0
_FORGIVEN_AFTER = 3600.0
