"""What a person sets is what a running server does: time, size, number, and who needs no key."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from processes import Server
from raw_http import Message, Origin, Wire, answer
from sidekey_auth.credential import Credential
from sidekey_auth.secret import Secret

from .conftest import House

UPLOAD = ("Content-Length: 20",)


@pytest.fixture
def short() -> Iterator[Path]:
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


class Running:
    """A server between hand-made clients and a hand-made origin."""

    def __init__(self, house: House, server: Server, origin: Origin) -> None:
        self.house = house
        self.server = server
        self.origin = origin
        self.clients: list[Wire] = []

    async def client(self) -> Wire:
        port = int((await self.server.url()).removesuffix("/v1").rpartition(":")[2])
        wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
        self.clients.append(wire)
        return wire

    async def asked(self, *fields: str, body: bytes = b"") -> Wire:
        """Let a new client send a request, as far as the body goes."""
        wire = await self.client()
        await self.ask(wire, *fields, body=body)
        return wire

    async def ask(self, wire: Wire, *fields: str, body: bytes = b"") -> None:
        head = ("POST /v1/x HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self.house.client_key}")
        await wire.send("\r\n".join((*head, *fields, "", "")).encode() + body)

    async def both(self, *fields: str) -> tuple[Wire, Wire]:
        """Return a client that has asked, and what has arrived at the origin."""
        client = await self.asked(*fields)
        origin = await self.origin.accept()
        await origin.head()
        return client, origin


@asynccontextmanager
async def running(house: House, **environment: str) -> AsyncIterator[Running]:
    await house.store(Credential(static_key=Secret("sk-static-canary-0123456789"), generation=1))
    async with Origin().serving() as origin:
        environment["SIDEKEY_UPSTREAM"] = f"http://127.0.0.1:{origin.port}"
        async with house.serving(**environment) as server:
            made = Running(house, server, origin)
            try:
                yield made
            finally:
                for client in made.clients:
                    client.close()


def code_in(answer: Message) -> str:
    code: str = json.loads(answer.body)["error"]["code"]
    return code


async def test_slow_and_large_requests_are_refused_where_the_settings_say(house: House) -> None:
    async with running(
        house,
        SIDEKEY_HEAD_TIMEOUT="0.3",
        SIDEKEY_BODY_TIMEOUT="0.4",
        SIDEKEY_KEEP_ALIVE_TIMEOUT="0.5",
        SIDEKEY_MAX_BODY="30",
    ) as here:
        silent, slow = await here.client(), await here.client()
        await slow.send(b"GET /v1/x")
        assert (await slow.message()).status == 408
        assert await silent.rest() == b""
        assert (await (await here.asked("Content-Length: 31")).message()).status == 413
        client, origin = await here.both(*UPLOAD)
        late = await client.message()
        assert (late.status, b"body" in late.body) == (408, True)
        await origin.ended()


async def test_a_slow_upstream_is_left_where_the_settings_say(house: House) -> None:
    async with running(house, SIDEKEY_RESPONSE_TIMEOUT="0.3", SIDEKEY_IDLE_TIMEOUT="30") as here:
        client, _ = await here.both()
        late = await client.message()
        assert (late.status, code_in(late)) == (504, "sidekey_upstream_timeout")
    async with running(house, SIDEKEY_RESPONSE_TIMEOUT="30", SIDEKEY_IDLE_TIMEOUT="0.3") as here:
        client, origin = await here.both()
        await origin.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        assert (await client.head()).status == 200
        assert await client.rest() == b"3\r\nabc\r\n"


async def test_no_more_connections_and_requests_are_served_than_the_settings_say(house: House) -> None:
    async with running(
        house, SIDEKEY_MAX_CONNECTIONS_PER_CLIENT="2", SIDEKEY_MAX_REQUESTS="1", SIDEKEY_MAX_CONNECTIONS="9"
    ) as here:
        first, origin = await here.both()
        second = await here.client()
        assert (await (await here.client()).message()).status == 429
        await here.ask(second)
        busy = await second.message()
        assert (busy.status, code_in(busy)) == (503, "sidekey_too_busy")
        await origin.send(answer())
        assert (await first.message()).status == 200


async def test_a_body_is_kept_as_long_as_the_settings_say(house: House) -> None:
    async with running(house, SIDEKEY_REPLAY_LIMIT="10") as here:
        for length, told in ((11, b"not-possible"), (10, None)):
            client = await here.asked(f"Content-Length: {length}", body=b"x" * length)
            origin = here.origin.wires[0] if here.origin.wires else await here.origin.accept()
            await origin.message()
            await origin.send(answer(status="401 Unauthorized"))
            refused = await client.message()
            assert (refused.status, refused.one(b"x-sidekey-replay")) == (401, told)


async def test_a_code_of_the_settings_is_no_reason_to_look_for_another_bearer(house: House) -> None:
    async with running(house, SIDEKEY_FOREIGN_REFUSALS="on_hold", SIDEKEY_REPLAY_LIMIT="1") as here:
        for code, told in (("on_hold", None), ("invalid_api_key", b"not-possible")):
            client = await here.asked("Content-Length: 2", body=b"{}")
            origin = here.origin.wires[0] if here.origin.wires else await here.origin.accept()
            await origin.message()
            said = json.dumps({"error": {"code": code}}).encode()
            await origin.send(answer(said, status="401 Unauthorized"))
            assert (await client.message()).one(b"x-sidekey-replay") == told


@pytest.mark.parametrize(("mode", "starts"), [("0600", True), ("0660", False)])
async def test_without_a_client_key_a_unix_socket_is_this_users_alone(
    house: House, short: Path, mode: str, starts: bool
) -> None:
    arguments = (
        "--no-client-key",
        "--listen",
        f"unix:{short}/s?mode={mode}",
        "--admin-listen",
        "127.0.0.1:0",
    )
    if not starts:
        refused = await house.run("serve", *arguments)
        assert refused.code == 2
        assert "clients must show a key" in refused.err
        return
    async with house.serving(*arguments) as server:
        await server.logged("listening")
        wire = Wire(*await asyncio.open_unix_connection(short / "s"))
        await wire.send(b"GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await wire.message()).status == 404, "the key would have been asked for before"
        wire.close()
