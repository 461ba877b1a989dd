"""What may be sent again is: so often, with growing pauses, and only where it is worth it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import pytest

from sidekey_auth.errors import IssuerUnavailable
from sidekey_auth.retries import LONGEST_PAUSE, repeated


class Sending:
    """Fails so often, then succeeds; keeps how long was waited in between, without waiting."""

    def __init__(self, failures: int, error: BaseException | None = None) -> None:
        self.failures = failures
        self.error = error or IssuerUnavailable("not now")
        self.sent = 0
        self.pauses: list[float] = []

    def __call__(self) -> Awaitable[str]:
        return self._send()

    async def _send(self) -> str:
        self.sent += 1
        if self.sent <= self.failures:
            raise self.error
        return "answer"

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)


def always(_: Exception) -> bool:
    return True


async def test_it_is_sent_until_it_succeeds() -> None:
    sending = Sending(2)

    assert await repeated(sending, always, attempts=3, pause=0.5, sleep=sending.sleep) == "answer"
    assert sending.sent == 3


async def test_the_last_tries_own_error_is_raised() -> None:
    sending = Sending(9)

    with pytest.raises(IssuerUnavailable) as caught:
        await repeated(sending, always, attempts=4, pause=0.5, sleep=sending.sleep)

    assert caught.value is sending.error
    assert (sending.sent, len(sending.pauses)) == (4, 3)


async def test_pauses_double_with_jitter_up_to_a_bound() -> None:
    sending = Sending(5)

    await repeated(sending, always, attempts=6, pause=1.0, sleep=sending.sleep)

    least = [1.0, 2.0, 4.0, LONGEST_PAUSE, LONGEST_PAUSE]
    assert all(low <= seconds <= low + 1.0 for low, seconds in zip(least, sending.pauses, strict=True))


@pytest.mark.parametrize(
    "error", [IssuerUnavailable("no use"), asyncio.CancelledError(), KeyboardInterrupt()]
)
async def test_what_is_not_worth_it_is_not_sent_again(error: BaseException) -> None:
    sending = Sending(9, error)

    with pytest.raises(type(error)):
        await repeated(
            sending, lambda _: not isinstance(error, Exception), attempts=3, pause=0.5, sleep=sending.sleep
        )

    assert (sending.sent, sending.pauses) == (1, [])
