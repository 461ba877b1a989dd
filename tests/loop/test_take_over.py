"""``serve --take-over``: one instance goes, another comes, and no client notices."""

from __future__ import annotations

import asyncio
import signal
import socket
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from processes import Server
from raw_http import Message, Wire
from sidekey_proxy.running.take_over import gate

from .conftest import House

TAKE_OVERS = 20
STREAM = b'{"model": "gpt-5-mini", "input": "Say hello.", "stream": true}'


@pytest.fixture
def short() -> Iterator[Path]:
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


class Load:
    """Clients that ask without a pause: what each of them sees is counted.

    Args:
        port: of the server.
        key: the client key.
    """

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._enough = asyncio.Event()
        self.whole = 0
        self.failed: list[str] = []

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        clients = [self._keeping(b"", kept=True), self._keeping(STREAM, kept=True)]
        clients += [self._keeping(b"", kept=False), self._keeping(STREAM, kept=False)]
        tasks = [asyncio.create_task(client) for client in clients]
        try:
            yield
        finally:
            self._enough.set()
            await asyncio.gather(*tasks)

    async def _keeping(self, body: bytes, *, kept: bool) -> None:
        """Ask over one connection for as long as it lasts, or over a fresh one each time."""
        wire: Wire | None = None
        while not self._enough.is_set():
            try:
                if wire is None:
                    wire = Wire(*await asyncio.open_connection("127.0.0.1", self._port))
                answer = await self._asked(wire, body)
                whole = answer.status == 200 and (b"response.completed" in answer.body if body else True)
                if not whole:
                    self.failed.append(f"{answer.line!r} {answer.body[-200:]!r}")
                self.whole += whole
            except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
                self.failed.append(repr(error))
                answer = None
            if wire is not None and (
                not kept or answer is None or (answer.one(b"connection") or b"").lower() == b"close"
            ):
                wire.close()
                wire = None
        if wire is not None:
            wire.close()

    async def _asked(self, wire: Wire, body: bytes) -> Message:
        start = b"POST /v1/responses HTTP/1.1\r\n" if body else b"GET /v1/models HTTP/1.1\r\n"
        head = start + b"Host: localhost\r\nAuthorization: Bearer " + self._key.encode() + b"\r\n"
        if body:
            head += b"Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body)
        await wire.send(head + b"\r\n" + body)
        return await wire.message()


async def test_twenty_take_overs_in_a_row_under_load_fail_no_request(house: House) -> None:
    await house.signed_in()
    async with AsyncExitStack() as stack:
        now = await stack.enter_async_context(house.serving())
        url, admin = await now.url(), await now.admin()
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        load = Load(port, house.client_key)
        gone: list[Server] = []
        async with load.running():
            for _ in range(TAKE_OVERS):
                before = load.whole
                gone.append(now)
                now = await stack.enter_async_context(house.serving("--take-over"))
                await now.logged("taken over")
                assert (await now.url(), await now.admin()) == (url, admin)
                async with aiohttp.ClientSession() as session, session.get(f"{admin}/readyz") as answer:
                    assert answer.status == 200
                assert load.whole > before
            for server in gone:
                async with asyncio.timeout(30):
                    assert await server.process.wait() == 0
        assert load.failed == []
        assert load.whole > 10 * TAKE_OVERS
        for server in gone:
            assert "requests were cut" not in "".join(server.text)


async def test_a_successor_that_cannot_start_leaves_the_running_one_as_it_was(
    house: House, short: Path
) -> None:
    await house.signed_in()
    path = short / "s"
    async with house.serving("--listen", f"unix:{path}", "--admin-listen", "127.0.0.1:0") as server:
        admin = (await server.admin()).removeprefix("http://")
        with socket.create_server(("127.0.0.1", 0)) as taken:
            there = f"127.0.0.1:{taken.getsockname()[1]}"
            failed = await house.run(
                "serve", "--take-over", "--listen", f"unix:{path},{there}", "--admin-listen", admin
            )
        assert failed.code == 2
        assert f"{there} is in use" in failed.err
        await server.logged("a take-over failed: this instance goes on")
        assert await status_at(path) == 401
        async with house.serving(
            "--take-over", "--listen", f"unix:{path}?mode=0666", "--admin-listen", admin
        ) as successor:
            await successor.logged("taken over")
            async with asyncio.timeout(30):
                assert await server.process.wait() == 0
            assert await status_at(path) == 401
            assert mode_of(path) == 0o666
        assert not is_there(path)


async def test_what_the_successor_does_not_want_is_closed(house: House, short: Path) -> None:
    old, new = short / "old", short / "new"
    async with (
        AsyncExitStack() as stack,
        house.serving("--listen", f"unix:{old}", "--admin-listen", ",") as server,
    ):
        await server.logged("listening")
        successor = await stack.enter_async_context(
            house.serving("--take-over", "--listen", f"unix:{new}", "--admin-listen", ",")
        )
        await successor.logged("taken over")
        async with asyncio.timeout(30):
            assert await server.process.wait() == 0
        assert not is_there(old)
        assert await status_at(new) == 401


async def test_where_nobody_runs_it_starts_as_ever(house: House) -> None:
    async with house.serving("--take-over") as server:
        await server.logged("no instance is running: there is nothing to take over")
        await server.url()


async def test_after_a_kill_the_next_one_starts_and_can_be_taken_over(house: House) -> None:
    async with house.serving() as killed:
        await killed.url()
        assert await killed.stop(signal.SIGKILL) == -signal.SIGKILL
    async with house.serving() as server:
        await server.url()
        async with house.serving("--take-over") as successor:
            await successor.logged("taken over")
            async with asyncio.timeout(30):
                assert await server.process.wait() == 0


async def test_the_gate_is_this_users_alone(house: House) -> None:
    async with house.serving() as server:
        await server.url()
        with gate(house.home, "default") as there:
            path = Path(there.address.path)
            assert mode_of(path) == 0o600
            wire = Wire(*await asyncio.open_unix_connection(path))
            await wire.send(b"GET / HTTP/1.1\r\n\r\n")
            assert b'"refused"' in await wire.rest()
            wire.close()
        await server.logged("a take-over failed: this instance goes on")


async def test_the_sandboxs_server_cannot_be_taken_over(house: House) -> None:
    answer = await house.run("serve", "--sandbox", "--take-over")
    assert answer.code == 2
    assert "cannot be taken over" in answer.err


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_there(path: Path) -> bool:
    return path.is_socket()


async def status_at(path: Path) -> int:
    wire = Wire(*await asyncio.open_unix_connection(path))
    await wire.send(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await wire.message()
    wire.close()
    return answer.status
