"""Waiting until somebody has typed a device code."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .due import backoff
from .errors import IssuerUnavailable, SignInTimedOut
from .issuer import Issuer
from .issuer_answers import LONGEST_INTERVAL, SLOW_DOWN, DeviceGrant, DeviceStart

SLOWER: Final = 5.0
"""Seconds that ``slow_down`` adds to the interval (RFC 8628 section 3.5)."""


@dataclass(frozen=True, slots=True)
class DeviceInvitation:
    """What a person needs for a sign-in with a device code.

    Attributes:
        url: to be opened in any browser.
        user_code: to be typed there.
        lifetime: seconds that the code lives.
    """

    url: str
    user_code: str
    lifetime: float


class Pace:
    """How long to wait between two polls for a device code (RFC 8628 section 3.5). Pure.

    Args:
        interval: seconds that the issuer wants between two.
        draw: gives a random number from 0 to 1.
    """

    def __init__(self, interval: float, draw: Callable[[], float]) -> None:
        self._interval = interval
        self._draw = draw
        self._failures = 0

    def after(self, failure: IssuerUnavailable | None) -> float:
        """Return the seconds to wait after a poll.

        Args:
            failure: why there was no answer to it; None where nobody has typed the code yet.
        """
        if failure is None:
            self._failures = 0
            return self._interval
        wish = failure.retry_after or 0.0
        if failure.error_code == SLOW_DOWN:
            self._interval += SLOWER
            return max(self._interval, wish)
        self._failures += 1
        pause = backoff(self._failures, self._draw(), first=2 * self._interval, longest=LONGEST_INTERVAL)
        return max(self._interval, pause, wish)


async def wait_for_device(issuer: Issuer, start: DeviceStart, *, timeout: float) -> DeviceGrant:
    """Ask the issuer, as often as it wishes to be asked, until the code has been typed.

    An issuer that cannot be reached or has trouble is asked again: the code lives on there meanwhile.

    Args:
        issuer: who is asked.
        start: the code.
        timeout: seconds that the code lives.

    Raises:
        SignInTimedOut: nobody has typed it, or the issuer could not be asked.
        IssuerRefused: the issuer says no, for good.
    """
    pace = Pace(start.interval, random.random)
    failure: IssuerUnavailable | None = None
    try:
        async with asyncio.timeout(timeout):
            while True:
                try:
                    grant = await issuer.poll_device(start)
                except IssuerUnavailable as error:
                    failure = error
                else:
                    if grant is not None:
                        return grant
                    failure = None
                await asyncio.sleep(pace.after(failure))
    except TimeoutError:
        why = f"the device code was not confirmed within {timeout / 60:g} minutes"
        raise SignInTimedOut(f"{why}; the last answer: {failure}" if failure else why) from None
