"""Signals, and a full disk, while a refresh token is on its way: the answer comes only once, and is kept."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from house import House
from processes import command, serving
from sidekey_proxy.sandbox import TokenHang

WAITING = "Waiting for the issuer's answer to a refresh: ending now would lose the sign-in."


async def begun(house: House, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
    """Start a command, and return it when its refresh has been acted upon and its answer is held."""
    house.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **house.environment, **environment},
    )
    await house.sandbox.wait_for("held")
    return process


async def live(house: House) -> bool:
    token = (await house.stored()).refresh_token
    return token is not None and house.sandbox.knows(token)


@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGTERM, signal.SIGINT)],
)
async def test_a_command_ends_after_the_answer_is_saved_and_says_so_meanwhile(
    house: House, signals: tuple[signal.Signals, ...]
) -> None:
    await house.signed_in()
    process = await begun(house, "refresh")
    assert process.stderr is not None
    process.send_signal(signals[0])
    assert (await process.stderr.readline()).decode().strip() == WAITING
    for number in signals[1:]:
        process.send_signal(number)
    assert process.returncode is None
    house.sandbox.release()
    _, err = await process.communicate()
    house.canary.check(err.decode())
    assert process.returncode == 128 + signals[0], err
    assert "what the issuer answered is saved" in err.decode()
    assert await live(house)
    assert (await house.stored()).refreshes == 1


async def test_a_server_that_is_told_to_end_twice_waits_for_the_answer_and_saves_it(house: House) -> None:
    await house.signed_in(age=3500)
    house.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    async with serving(canary=house.canary, environment=house.environment) as server:
        await house.sandbox.wait_for("held")
        server.process.send_signal(signal.SIGINT)
        await server.logged("stopping")
        server.process.send_signal(signal.SIGINT)
        await server.logged("waiting for the issuer's answer to a refresh: ending now would lose the sign-in")
        house.sandbox.release()
        assert await server.stop() == 0
    assert await live(house)


LIBRARY = """
import asyncio
from sidekey_auth import open_credential

async def main():
    async with open_credential() as credential:
        await credential.fresh()

asyncio.run(main())
"""


@pytest.mark.parametrize("signals", [(signal.SIGTERM,), (signal.SIGHUP,), (signal.SIGINT, signal.SIGINT)])
async def test_a_library_program_ends_after_the_answer_is_saved(
    house: House, signals: tuple[signal.Signals, ...]
) -> None:
    await house.signed_in(age=4000)
    house.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        LIBRARY,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, **house.environment},
    )
    await house.sandbox.wait_for("held")
    for number in signals:
        process.send_signal(number)
    house.sandbox.release()
    assert await process.wait() != 0
    assert await live(house)


async def test_what_the_vault_cannot_take_is_kept_beside_it_and_taken_over_by_the_next_command(
    house: House, tmp_path: Path
) -> None:
    await house.signed_in()
    state = tmp_path / "elsewhere"
    house.canary.watch(state)
    process = await begun(house, "refresh", SIDEKEY_STATE_HOME=str(state))
    profiles = house.home / "profiles"
    await asyncio.to_thread(profiles.rename, house.home / "away")
    house.sandbox.release()
    _, err = await process.communicate()
    assert process.returncode == 1, err
    said = " ".join(house.canary.check(err.decode()).split())
    assert f"it is kept, sealed, in {state}" in said
    assert "The next sidekey command then takes it over." in said
    await asyncio.to_thread(profiles.rmdir) if await asyncio.to_thread(profiles.exists) else None
    await asyncio.to_thread((house.home / "away").rename, profiles)
    assert not await live(house)
    status = json.loads((await house.run("status", "--json", SIDEKEY_STATE_HOME=str(state))).out)
    assert (status["state"], status["code"]) == ("degraded", "unsaved_aside")
    assert (await house.run("refresh", SIDEKEY_STATE_HOME=str(state))).code == 0
    assert await live(house)
    assert house.count("refresh") == 2
