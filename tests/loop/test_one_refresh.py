"""One refresh, however many processes, clients and streams want it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import aiohttp

from sidekey_proxy.sandbox import ApiStatus

if TYPE_CHECKING:
    from .conftest import House

CHAT = {"model": "gpt-5-mini", "messages": [{"role": "user", "content": "one two three four five"}]}


async def many(session: aiohttp.ClientSession, base: str, count: int) -> list[int]:
    """Send requests, at most 25 at a time, and return their statuses."""
    gate = asyncio.Semaphore(25)

    async def one() -> int:
        async with gate, session.post(f"{base}/chat/completions", json=CHAT) as response:
            await response.read()
            return response.status

    return list(await asyncio.gather(*(one() for _ in range(count))))


def client(house: House) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {house.client_key}"},
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=60),
    )


async def test_eight_processes_with_one_expired_credential_make_one_refresh_and_no_error(
    house: House,
) -> None:
    old = await house.signed_in(age=7200)
    assert old.api_key is not None
    house.sandbox.revoke_key(old.api_key)
    async with contextlib.AsyncExitStack() as stack:
        servers = [await stack.enter_async_context(house.serving()) for _ in range(8)]
        session = await stack.enter_async_context(client(house))
        bases = [await server.url() for server in servers]
        statuses = await asyncio.gather(*(many(session, base, 200) for base in bases))
    assert [set(each) for each in statuses] == [{200}] * 8
    assert house.count("refresh") == 1
    assert house.count("key_exchange") == 1


async def test_a_key_revoked_under_load_costs_one_refresh_and_no_request(house: House) -> None:
    await house.signed_in()
    async with house.serving() as server, client(house) as session:
        base = await server.url()

        async def stream() -> bytes:
            async with session.post(f"{base}/chat/completions", json={**CHAT, "stream": True}) as response:
                assert response.status == 200
                return await response.read()

        async def caller() -> list[int]:
            return [await one() for _ in range(10)]

        async def one() -> int:
            async with session.post(f"{base}/chat/completions", json=CHAT) as response:
                await response.read()
                return response.status

        first = [asyncio.create_task(work()) for work in (stream, caller) for _ in range(25)]
        await house.sandbox.wait_for("api", 50)
        house.sandbox.revoke_all_keys()
        second = [asyncio.create_task(work()) for work in (stream, caller) for _ in range(25)]
        results = await asyncio.gather(*first, *second)
    for result in results:
        if isinstance(result, bytes):
            assert result.rstrip().endswith(b"data: [DONE]"), "a stream was cut"
        else:
            assert set(result) == {200}
    assert house.count("refresh") == 1


async def test_a_client_that_asks_for_what_its_key_may_not_do_causes_no_refresh(house: House) -> None:
    await house.signed_in()
    house.sandbox.faults.put(ApiStatus(status=401, code="mismatched_organization", times=None))
    async with house.serving() as server, client(house) as session:
        assert await many(session, await server.url(), 20) == [401] * 20
    assert house.count("refresh") == 0


async def test_a_401_that_no_key_cures_costs_one_refresh_a_kind(house: House) -> None:
    await house.signed_in()
    async with house.serving() as server, client(house) as session:
        base = await server.url()
        for code in ("token_expired", "invalid_api_key"):
            house.sandbox.faults.put(ApiStatus(status=401, code=code, times=20))
            while house.sandbox.faults.waiting():
                assert await many(session, base, 1) == [401]
            assert await many(session, base, 1) == [200]
    assert house.count("refresh") == 2
