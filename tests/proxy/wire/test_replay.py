"""Long request bodies that are sent a second time after a 401, from memory and from a file."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from raw_http import Stack, Wire, answer, data_path, until
from sidekey_proxy.replay.copies import MIB, Copies

OLD, NEW = "sk-upstream-key-number-one", "sk-upstream-key-number-two"
REFUSAL = answer(b'{"error":{"code":"invalid_api_key"}}', status="401 Unauthorized")
PROMPT = b"a prompt that nobody else should read. "
LONG = (PROMPT * (5 * MIB // len(PROMPT) + 1))[: 5 * MIB]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "copies"
    made.mkdir()
    return made


@contextlib.asynccontextmanager
async def keeping(folder: Path, **how: int) -> AsyncIterator[tuple[Stack, Copies]]:
    copies = Copies(folder=folder, **how)  # type: ignore[arg-type]
    try:
        async with data_path(OLD, NEW, forward={"copies": copies}) as stack:
            yield stack, copies
        assert copies.held == 0
    finally:
        copies.close()


def stored(folder: Path) -> list[bytes]:
    """Return what this process's open files in a folder hold, named or not."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()).startswith(f"{folder}/"):
                found.append(descriptor.read_bytes())
    return found


async def upload(stack: Stack, body: bytes, *fields: str) -> tuple[Wire, Wire, asyncio.Task[None]]:
    """Send a request with a body, from a task, to an origin that has accepted its connection."""
    length = () if fields else (f"Content-Length: {len(body)}",)
    client = await stack.request(stack.head("POST", "/v1/files", *length, *fields))
    sending = asyncio.create_task(client.send(body))
    return client, await stack.origin.accept(), sending


async def test_a_body_of_five_mebibytes_is_sent_again_from_a_file_that_nobody_can_read(folder: Path) -> None:
    async with keeping(folder) as (stack, _):
        client, origin, sending = await upload(stack, LONG)
        assert (await origin.message()).body == LONG
        await sending
        (file,) = stored(folder)
        assert len(file) > 3 * MIB
        assert PROMPT[:12] not in file
        assert os.listdir(folder) == []  # noqa: PTH208 - an iterator would be no evidence
        await origin.send(REFUSAL)
        again = await origin.message()
        assert again.one(b"authorization") == b"Bearer " + NEW.encode()
        assert again.body == LONG
        await origin.send(answer(b"fine"))
        response = await client.message()
        assert (response.status, response.body) == (200, b"fine")
        assert response.one(b"x-sidekey-replay") == b"done"
        assert (await stack.record()).bytes_up == len(LONG)


async def test_a_copy_is_given_back_as_soon_as_the_answer_is_no_refusal(folder: Path) -> None:
    """The answer streams on for as long as it likes; the prompt is not kept for it."""
    async with keeping(folder) as (stack, copies):
        client, origin, _sending = await upload(stack, LONG)
        await origin.message()
        assert copies.held == len(LONG)
        await origin.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n")
        await client.head()
        assert await client.chunk() == b"hi"
        assert copies.held == 0
        await until(lambda: stored(folder) == [])
        await origin.send(b"0\r\n\r\n")
        assert await client.chunk() is None


async def test_an_answer_before_the_end_of_the_second_try_does_not_cut_it_short(folder: Path) -> None:
    async with keeping(folder) as (stack, _):
        client, origin, _sending = await upload(stack, LONG)
        await origin.message()
        await origin.send(REFUSAL)
        await origin.head()
        await origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        assert (await client.head()).status == 200
        assert await origin.exactly(len(LONG)) == LONG
        await origin.send(b"fine")
        assert await client.exactly(4) == b"fine"


async def test_a_refusal_in_the_middle_of_a_long_body_replays_what_came_and_streams_the_rest(
    folder: Path,
) -> None:
    async with keeping(folder) as (stack, _):
        client, origin, sending = await upload(stack, LONG[: 3 * MIB], f"Content-Length: {len(LONG)}")
        await origin.head()
        await origin.exactly(3 * MIB)
        await origin.send(REFUSAL)
        second = await stack.origin.accept()
        await second.head()
        assert await second.exactly(3 * MIB) == LONG[: 3 * MIB]
        await sending
        rest = asyncio.create_task(client.send(LONG[3 * MIB :]))
        assert await second.exactly(2 * MIB) == LONG[3 * MIB :]
        await rest
        await second.send(answer(b"fine"))
        assert (await client.message()).status == 200


async def test_a_body_that_grows_beyond_the_limit_passes_but_not_twice_and_holds_nothing(
    folder: Path,
) -> None:
    async with keeping(folder, limit=2 * MIB) as (stack, copies):
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(LONG), LONG)
        client, origin, _sending = await upload(stack, chunked, "Transfer-Encoding: chunked")
        assert (await origin.message()).body == LONG
        assert copies.held == 0
        await until(lambda: stored(folder) == [])
        await origin.send(REFUSAL)
        response = await client.message()
        assert (response.status, response.one(b"x-sidekey-replay")) == (401, b"not-possible")
        await until(lambda: stack.bearers.current == stack.bearers.all[1])


async def test_a_budget_that_others_have_used_up_costs_the_second_try_and_nothing_else(folder: Path) -> None:
    async with keeping(folder, budget=6 * MIB) as (stack, copies):
        _client, origin, _sending = await upload(stack, LONG)
        await origin.message()
        client, other, _sending_too = await upload(stack, LONG)
        assert (await other.message()).body == LONG
        await other.send(REFUSAL)
        response = await client.message()
        assert (response.status, response.one(b"x-sidekey-replay")) == (401, b"not-possible")
        assert copies.held == len(LONG)


async def test_a_client_that_leaves_gives_its_copy_back(folder: Path) -> None:
    async with keeping(folder) as (stack, copies):
        client, origin, _sending = await upload(stack, LONG)
        await origin.message()
        client.abort()
        await until(lambda: copies.held == 0)
        await until(lambda: stored(folder) == [])


async def test_a_folder_that_cannot_be_written_costs_the_second_try_and_nothing_else(folder: Path) -> None:
    async with keeping(folder / "away") as (stack, _):
        client, origin, _sending = await upload(stack, LONG)
        assert (await origin.message()).body == LONG
        await origin.send(REFUSAL)
        response = await client.message()
        assert (response.status, response.one(b"x-sidekey-replay")) == (401, b"not-possible")
        client = await stack.request(stack.head("POST", "/v1/files", f"Content-Length: {len(LONG)}") + LONG)
        assert (await origin.message()).body == LONG
        await origin.send(answer(b"fine"))
        assert (await client.message()).body == b"fine"
