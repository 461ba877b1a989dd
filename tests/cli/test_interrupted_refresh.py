"""`sidekey refresh` while the issuer takes its time: signals, and what another command may do meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest

from canary import Canary
from house import House, furnished
from processes import PATIENCE, command
from sidekey_proxy.sandbox import TokenHang


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    async with furnished(canary) as made:
        yield made


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,)],
    ids=lambda signals: "+".join(number.name for number in signals),
)
async def test_a_signal_while_the_answer_is_awaited_loses_no_token(
    house: House, signals: tuple[signal.Signals, ...]
) -> None:
    before = await house.signed_in()
    house.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    process = await asyncio.create_subprocess_exec(
        *command("refresh"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **house.environment},
    )
    await house.sandbox.wait_for("refresh")
    assert process.stderr is not None
    for number in signals:
        process.send_signal(number)
    async with asyncio.timeout(PATIENCE):
        told = (await process.stderr.readline()).decode()
        house.sandbox.release()
        _, rest = await process.communicate()
    house.canary.check(told + rest.decode())
    assert told, "the person is told what it waits for"
    assert process.returncode == 128 + signals[-1]
    after = await house.stored()
    assert after.refreshes == 1
    assert after.refresh_token != before.refresh_token


@pytest.mark.parametrize("verb", ["logout"])
async def test_another_command_does_not_wait_for_an_exchange_that_hangs(house: House, verb: str) -> None:
    await house.signed_in()
    house.sandbox.faults.put(TokenHang(grant="key_exchange"))
    refreshing = asyncio.create_task(house.run("refresh"))
    await house.sandbox.wait_for("key_exchange")
    assert (await house.run(verb)).code == 0
    assert not refreshing.done(), "the exchange hangs still"
    house.sandbox.release()
    await refreshing
    assert not (await house.stored()).signed_in


async def test_tokens_that_the_vault_cannot_take_are_kept_and_the_next_command_takes_them_over(
    house: House,
) -> None:
    before = await house.signed_in()
    house.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    refreshing = asyncio.create_task(house.run("refresh"))
    await house.sandbox.wait_for("refresh")
    away = house.home.with_name("away")
    house.home.rename(away)
    house.sandbox.release()
    answer = await refreshing
    assert answer.code == 1
    assert "kept, sealed, in" in " ".join(answer.err.split())
    assert not house.home.exists(), "no vault is made in its place"
    away.rename(house.home)
    assert (await house.run("refresh")).code == 0
    after = await house.stored()
    assert after.refreshes == 2
    assert after.refresh_token != before.refresh_token
