"""Sending again what may be sent again: a few times, with longer and longer pauses and jitter."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_exponential,
    wait_random,
)

from .log import get_logger

log = get_logger("sidekey.issuer")

LONGEST_TRYING: Final = 45.0
"""Seconds after which nothing is tried anew: others wait for the vault's lock meanwhile."""
LONGEST_PAUSE: Final = 5.0
"""Seconds between two tries, jitter apart."""

T = TypeVar("T")


async def repeated(
    send: Callable[[], Awaitable[T]],
    again: Callable[[Exception], bool],
    *,
    attempts: int,
    pause: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """Return what sending brings, and send again where its error is worth it.

    Args:
        send: sends once; whatever it raises in the end is raised.
        again: tells whether an error is worth another try.
        attempts: how often it is sent in all.
        pause: seconds before the second try, doubled each time; as much jitter comes on top.
        sleep: waits for so many seconds.
    """

    async def once() -> T:  # tenacity awaits only what it sees to be a coroutine function
        return await send()

    retrying = AsyncRetrying(
        retry=retry_if_exception(lambda error: isinstance(error, Exception) and again(error)),
        stop=stop_after_attempt(attempts) | stop_after_delay(LONGEST_TRYING),
        wait=wait_exponential(pause, max=LONGEST_PAUSE) + wait_random(0, pause),
        before_sleep=_tell,
        sleep=sleep,
        reraise=True,
    )
    return await retrying(once)


def _tell(state: RetryCallState) -> None:
    reason = state.outcome.exception() if state.outcome else None
    log.warning("asking again", reason=str(reason), seconds=round(state.upcoming_sleep, 2))
