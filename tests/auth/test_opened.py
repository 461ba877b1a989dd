"""The library's face, against a real issuer and a real file vault."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import weakref
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator

import pytest

import sidekey_auth
from canary import Canary
from house import House, furnished
from sidekey_auth import BearerNotAllowed, ConfigurationError, NoBearer, open_credential
from sidekey_auth.credential import Credential
from sidekey_auth.opened import OpenCredential
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import TokenAnswer, TokenHang

STATIC = Secret("sk-static-canary-0123456789")


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    async with furnished(canary) as house:
        yield house


def opened(house: House, **changes: str) -> OpenCredential:
    return open_credential(environ={**house.environment, **changes})


async def test_what_is_due_is_renewed_before_a_bearer_is_given(house: House) -> None:
    old = await house.signed_in(age=4000)
    async with opened(house) as credential:
        bearer = await credential.fresh()
    stored = await house.stored()
    assert bearer.value == stored.api_key != old.api_key
    assert house.count("refresh") == 1


async def test_what_is_fresh_is_given_without_asking_anybody(house: House) -> None:
    old = await house.signed_in()
    async with opened(house) as credential:
        assert (await credential.fresh()).value == old.api_key
        assert (await credential.standing()).ready
    assert house.count("refresh") == 0


async def test_a_bearer_that_works_is_given_though_its_renewal_fails_for_now(house: House) -> None:
    old = await house.signed_in(age=3400)
    house.sandbox.faults.put(TokenAnswer(status=503, times=None))
    async with opened(house) as credential:
        assert (await credential.fresh()).value == old.api_key


async def test_a_refused_bearer_is_replaced(house: House) -> None:
    await house.signed_in()
    async with opened(house) as credential:
        bearer = await credential.fresh()
        other = await credential.refused(bearer)
        assert other is not None
        assert other.value != bearer.value
        await credential.accepted(other)


async def test_without_a_sign_in_there_is_no_bearer_and_no_vault_is_made(house: House) -> None:
    async with opened(house) as credential:
        with pytest.raises(NoBearer, match="Nobody is signed in"):
            await credential.fresh()
    assert not await asyncio.to_thread(house.home.exists)


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/v1",
        "http://api.openai.com/v1",
        "ftp://api.openai.com",
        "https://a@api.openai.com",
    ],
)
async def test_a_bearer_is_kept_from_where_it_may_not_go(house: House, url: str) -> None:
    await house.signed_in()
    async with opened(house) as credential:
        with pytest.raises(BearerNotAllowed, match="may not go"):
            await credential.fresh(for_url=url)
        for allowed in ("https://api.openai.com/v1/models?x=1", f"{house.sandbox.upstream}/models"):
            assert await credential.fresh(for_url=allowed)


async def test_a_static_key_goes_to_the_upstream_that_it_was_stored_for(house: House) -> None:
    await house.store(Credential(static_key=STATIC, generation=1))
    async with opened(house, SIDEKEY_UPSTREAM="https://gateway.example/v1") as credential:
        assert (await credential.fresh(for_url="https://gateway.example/v1/models")).value == STATIC
        with pytest.raises(BearerNotAllowed):
            await credential.fresh(for_url="https://api.openai.com/v1/models")


async def test_the_sdks_key_is_the_bearer_in_plain_text(house: House) -> None:
    old = await house.signed_in()
    assert old.api_key is not None
    async with opened(house) as credential:
        assert await credential.api_key() == old.api_key.reveal()


async def test_in_an_event_loop_the_synchronous_way_refuses(house: House) -> None:
    with pytest.raises(RuntimeError, match="open_credential"):
        sidekey_auth.bearer(environ=house.environment)


async def test_one_object_serves_several_event_loops_and_the_sign_in_survives(house: House) -> None:
    await house.signed_in()
    credential = opened(house)
    for _ in range(3):
        bearer = await asyncio.to_thread(lambda: asyncio.run(credential.fresh()))
        await asyncio.to_thread(lambda used=bearer: asyncio.run(credential.refused(used)))
    stored = await house.stored()
    assert stored.refresh_token is not None
    assert house.sandbox.knows(stored.refresh_token)
    assert stored.note is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("EXCHANGE", "never"), ("REFRESH_MARGIN", "soon"), ("UPSTREAM", "nowhere"), ("PROFILE", "A b")],
)
def test_an_environment_that_makes_no_sense_is_refused(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError):
        open_credential(environ={f"SIDEKEY_{name}": value})


async def test_a_loop_that_rests_between_two_calls_is_given_no_signed_out_key(house: House) -> None:
    await house.signed_in()
    here = asyncio.get_running_loop()

    def ask_before_and_after_a_sign_out() -> None:
        credential = opened(house)
        with asyncio.Runner() as runner:
            runner.run(credential.fresh())
            signing_out = asyncio.run_coroutine_threadsafe(house.run("logout", "--no-revoke"), here)
            assert signing_out.result().code == 0
            with pytest.raises(NoBearer, match="Nobody is signed in"):
                runner.run(credential.fresh())
            assert runner.run(credential.standing()).state == "signed_out"
            runner.run(credential.close())

    await asyncio.to_thread(ask_before_and_after_a_sign_out)


async def test_a_bearer_in_memory_serves_on_while_the_vault_is_away(house: House) -> None:
    old = await house.signed_in()
    away = house.home.with_name("away")
    async with opened(house) as credential:
        await asyncio.to_thread(house.home.rename, away)
        assert (await credential.fresh()).value == old.api_key
        assert not await asyncio.to_thread(house.home.exists)
        await asyncio.to_thread(away.rename, house.home)


async def test_an_event_loop_that_was_closed_is_let_go(house: House) -> None:
    await house.signed_in()
    credential = opened(house)
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []

    async def ask() -> None:
        loops.append(weakref.ref(asyncio.get_running_loop()))
        await credential.fresh()

    for _ in range(3):
        await asyncio.to_thread(lambda: asyncio.run(ask()))
    await credential.fresh()
    await credential.close()
    gc.collect()
    assert [loop() for loop in loops] == [None, None, None]


async def test_the_standing_tells_of_an_upstream_that_is_not_allowed_as_the_status_does(house: House) -> None:
    await house.signed_in()
    async with opened(house, SIDEKEY_UPSTREAM="https://gateway.example/v1") as credential:
        standing = await credential.standing()
    assert (standing.code, standing.ready) == ("upstream_not_allowed", False)


async def test_an_exchanged_key_is_called_what_the_environment_says(house: House) -> None:
    await house.signed_in(age=4000)
    async with opened(house, SIDEKEY_KEY_NAME="{profile} of a program") as credential:
        await credential.fresh()
    assert (await house.stored()).made_keys[-1].name == "default of a program"


ABANDONED = """
import asyncio
from sidekey_auth import open_credential

async def main():
    credential = open_credential()
    bearer = await credential.fresh()
    task = asyncio.create_task(credential.refused(bearer))
    await asyncio.to_thread(input)
    print("over", flush=True)

asyncio.run(main())
"""

SCRIPT = "import sidekey_auth; print(sidekey_auth.bearer().value.reveal())"


async def program(house: House, text: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", text),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        env={**os.environ, **house.environment},
    )


async def test_a_program_that_ends_in_the_middle_of_a_refresh_without_closing_loses_nothing(
    house: House,
) -> None:
    old = await house.signed_in()
    house.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    process = await program(house, ABANDONED)
    await house.sandbox.wait_for("held")
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"\n")
    assert await process.stdout.readline() == b"over\n"
    house.sandbox.release()
    assert await process.communicate() == (b"", b"")
    stored = await house.stored()
    assert stored.refresh_token is not None
    assert stored.refresh_token != old.refresh_token
    assert house.sandbox.knows(stored.refresh_token)
    assert stored.note is None
    assert house.count("refresh") == 1


async def test_a_script_that_prints_the_bearer_writes_one_line_and_nothing_else(house: House) -> None:
    await house.signed_in(age=4000)
    process = await program(house, SCRIPT)
    out, err = await process.communicate()
    key = (await house.stored()).api_key
    assert key is not None
    assert (process.returncode, out.decode(), err.decode()) == (0, f"{key.reveal()}\n", "")
