"""When an id_token wants a refresh, whatever the clocks say. Pure.

A lifetime is ``exp - iat``, counted from the token's receipt: the issuer's clock and ours need not agree.
Within a process it is counted on a clock that cannot be set and runs through sleep; after a restart only
the wall clock is left. Whatever they say, two refreshes are never nearer than ``shortest_interval``.
"""

from __future__ import annotations

from dataclasses import dataclass

MIN_INTERVAL = 60.0


@dataclass(frozen=True, slots=True)
class Lifetime:
    """An id_token's life as one process counts it.

    Attributes:
        token: the id_token's fingerprint.
        length: seconds from issue to expiry; never negative.
        ends: on the boot clock, in seconds.
    """

    token: str
    length: float
    ends: float


def lifetime_of(
    token: str, *, exp: float, iat: float | None, received_at: float | None, wall: float, boot: float
) -> Lifetime:
    """Return the life of a token that is read from the vault or has just arrived.

    Args:
        token: its fingerprint.
        exp: its claim, Unix time in seconds.
        iat: its claim, Unix time in seconds; without it the receipt stands in.
        received_at: when it arrived, Unix time in seconds.
        wall: the wall clock now.
        boot: the boot clock now.
    """
    start = iat if iat is not None else received_at if received_at is not None else wall
    length = max(0.0, exp - start)
    age = wall - received_at if received_at is not None else None
    left = length - age if age is not None and age >= 0 else exp - wall
    return Lifetime(token, length, boot + min(left, length))


def expired(life: Lifetime, boot: float) -> bool:
    """Return whether the token's life is over."""
    return boot >= life.ends


def shortest_interval(life: Lifetime) -> float:
    """Return the least number of seconds between two background refreshes."""
    return max(MIN_INTERVAL, life.length / 2)


def due_at(life: Lifetime, *, margin: float, last_refresh: float | None) -> float:
    """Return the boot clock's time from which on a background refresh may start.

    Args:
        life: the present id_token's.
        margin: seconds before expiry at which to refresh; at most half a lifetime counts.
        last_refresh: the last refresh on the boot clock, or None where none is known.
    """
    wanted = life.ends - min(margin, life.length / 2)
    if last_refresh is None:
        return wanted
    return max(wanted, last_refresh + shortest_interval(life))


def backoff(failures: int, draw: float, *, first: float = 2.0, longest: float = 300.0) -> float:
    """Return seconds to wait after the nth transient failure in a row: doubled each time, with jitter.

    Args:
        failures: how many there were in a row, from 1.
        draw: a random number from 0 to 1.
        first: seconds after the first one, before jitter.
        longest: the most it grows to.
    """
    whole = min(longest, first * 2.0 ** min(failures - 1, 30))
    return whole * (0.5 + draw / 2)
