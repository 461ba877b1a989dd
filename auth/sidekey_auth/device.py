"""Waiting until somebody has typed a device code."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .errors import SignInTimedOut
from .issuer import Issuer
from .issuer_answers import DeviceGrant, DeviceStart


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


async def wait_for_device(issuer: Issuer, start: DeviceStart, *, timeout: float) -> DeviceGrant:
    """Ask the issuer, as often as it wishes to be asked, until the code has been typed.

    Args:
        issuer: who is asked.
        start: the code.
        timeout: seconds that the code lives.

    Raises:
        SignInTimedOut: nobody has typed it.
        IssuerRefused, IssuerUnavailable: the issuer says no.
    """
    try:
        async with asyncio.timeout(timeout):
            # Asking again and again is the protocol.
            while (grant := await issuer.poll_device(start)) is None:  # noqa: ASYNC110
                await asyncio.sleep(start.interval)
            return grant
    except TimeoutError:
        raise SignInTimedOut(f"the device code was not confirmed within {timeout / 60:g} minutes") from None
