"""When not to ask the issuer though something is wanted: after failures and vain renewals. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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


@dataclass(slots=True)
class _Doubt:
    """What is known of one kind of refusal: the vain renewals that it caused."""

    newborn: int | None = None
    vain_generation: int | None = None
    vain: int = 0
    until: float = 0.0


class Disbelief:
    """Keeps a kind of 401 that no fresh bearer cures from causing one renewal after another.

    When the bearer that a refusal brought forth is refused in its turn, refusals of that kind are not
    believed for a minute, doubling to an hour; what other requests make of that bearer does not count. An
    hour without such a disappointment and all is forgotten. A kind is an error code, or empty for none;
    kinds beyond the first few count as one, or each made-up code could cause a renewal.
    """

    def __init__(self) -> None:
        self._doubts: dict[str, _Doubt] = {}
        self._newborn = False

    def born(self, kind: str, generation: int, *, instead_of: int) -> None:
        """Take notice that a refusal has brought forth a generation.

        Args:
            kind: the refusal's.
            generation: the new one.
            instead_of: the one that was refused. Was it brought forth by another kind and never accepted, the
                new one stands in for it there, too: two kinds that take turns must not renew without end.
        """
        for doubt in self._doubts.values():
            if doubt.newborn == instead_of:
                doubt.newborn = generation
        self._doubt(kind).newborn = generation
        self._newborn = True

    def accepted(self, generation: int) -> None:
        """Take notice that upstream has let a request with this generation pass."""
        if not self._newborn:
            return
        for doubt in self._doubts.values():
            if doubt.newborn == generation:
                doubt.newborn = None
        self._newborn = any(doubt.newborn is not None for doubt in self._doubts.values())

    def in_vain(self, kind: str, generation: int, now: float) -> None:
        """Take notice that the very request whose refusal brought forth this generation is refused again.

        Args:
            kind: of the refusal that brought it forth.
            generation: the fresh bearer's.
            now: the boot clock, in seconds.
        """
        doubt = self._doubt(kind)
        if generation == doubt.vain_generation:
            return
        if now >= doubt.until + _FORGIVEN_AFTER:
            doubt.vain = 0
        doubt.vain_generation = generation
        doubt.newborn = None
        doubt.until = now + min(_LONGEST_DISBELIEF, _FIRST_DISBELIEF * 2.0**doubt.vain)
        doubt.vain += 1

    def believes(self, kind: str, generation: int, now: float) -> bool:
        """Return whether a refusal of this generation is a reason to renew it.

        Args:
            kind: the refusal's.
            generation: the refused bearer's.
            now: the boot clock, in seconds.
        """
        self._forget(now)
        doubt = self._doubts.get(self._key(kind))
        if doubt is None:
            return True
        if generation == doubt.newborn:
            self.in_vain(kind, generation, now)
        return now >= doubt.until

    def _doubt(self, kind: str) -> _Doubt:
        return self._doubts.setdefault(self._key(kind), _Doubt())

    def _key(self, kind: str) -> str:
        return kind if kind in self._doubts or len(self._doubts) < _KINDS else _OTHERS

    def _forget(self, now: float) -> None:
        for kind, doubt in list(self._doubts.items()):
            if doubt.newborn is None and (not doubt.vain or now >= doubt.until + _FORGIVEN_AFTER):
                del self._doubts[kind]


_LONGEST_WISH = 300.0
_FIRST_DISBELIEF, _LONGEST_DISBELIEF = 60.0, 3600.0
_FORGIVEN_AFTER = 3600.0
_KINDS = 16
_OTHERS = "(others)"
