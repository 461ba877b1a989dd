"""Background tasks that outlive their mistakes."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Final

from .log import get_logger

log = get_logger("sidekey.broker")

PAUSE: Final = 1.0
"""Seconds between a failure and the next beginning: a sign-out is to be seen within 2 s."""

_TELL_EVERY: Final = 60.0


async def supervised(work: Callable[[], Awaitable[None]], name: str) -> None:
    """Do work that has no end, and begin it anew whenever it breaks off; a cancellation ends it.

    Args:
        work: makes the awaitable.
        name: what it is called in the log. The same failure is told of once a minute.
    """
    loop = asyncio.get_running_loop()
    told: tuple[str, float] | None = None
    while True:
        try:
            await work()
        except Exception as error:  # noqa: BLE001 - whatever it is, the watch goes on
            now = loop.time()
            if told is None or told[0] != repr(error) or now - told[1] >= _TELL_EVERY:
                told = (repr(error), now)
                # Not as exc_info: a program that uses this library may log tracebacks with local variables.
                log.error("a background task broke off", task=name, trace=traceback.format_exc())  # noqa: TRY400
        await asyncio.sleep(PAUSE)
