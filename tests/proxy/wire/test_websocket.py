"""WebSockets: negotiated end to end, then the two ends' own bytes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import web

from raw_http import CLIENT_KEY, PATIENCE, Stack, Wire, answer, data_path, until
from sidekey_auth.secret import Secret
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.upstream.answer import HIGH_WATER

UPGRADE = (
    "Connection: keep-alive, Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol: realtime, other",
    "Sec-WebSocket-Extensions: permessage-deflate",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: realtime\r\n\r\n"
)


async def tunnel(stack: Stack) -> tuple[Wire, Wire]:
    client = await stack.request(stack.head("GET", "/v1/realtime?model=x", *UPGRADE))
    origin = await stack.origin.accept()
    await origin.head()
    await origin.send(SWITCH)
    await client.head()
    return client, origin


async def test_the_handshake_is_the_two_ends_own_but_for_the_key() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", "/v1/realtime?model=x", *UPGRADE))
        origin = await stack.origin.accept()
        request = await origin.head()
        assert request.line == b"GET /v1/realtime?model=x HTTP/1.1"
        assert request.one(b"authorization") == b"Bearer sk-upstream-key-number-one"
        assert request.one(b"connection") == b"Upgrade"
        assert request.one(b"upgrade") == b"websocket"
        assert request.one(b"sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
        assert request.one(b"sec-websocket-protocol") == b"realtime, other"
        assert request.one(b"sec-websocket-extensions") == b"permessage-deflate"
        await origin.send(SWITCH)
        response = await client.head()
        assert response.status == 101
        assert response.one(b"connection") == b"Upgrade"
        assert response.one(b"upgrade") == b"websocket"
        assert response.one(b"sec-websocket-accept") == b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        assert response.one(b"sec-websocket-protocol") == b"realtime"


async def test_a_browsers_key_among_the_subprotocols_opens_and_stays_here() -> None:
    offered = (
        f"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.{CLIENT_KEY}, openai-beta.realtime-v1"
    )
    fields = [*UPGRADE[:4], offered, "Origin: https://app.example", "Sec-Fetch-Site: cross-site"]
    rules = GuardRules(origins=frozenset({"https://app.example"}), client_keys=(Secret(CLIENT_KEY),))
    async with data_path(rules=rules) as stack:
        head = "\r\n".join(["GET /v1/realtime?model=x HTTP/1.1", "Host: localhost", *fields])
        client = await stack.request(head.encode() + b"\r\n\r\n")
        origin = await stack.origin.accept()
        request = await origin.head()
        assert request.one(b"authorization") == b"Bearer sk-upstream-key-number-one"
        assert request.one(b"sec-websocket-protocol") == b"realtime, openai-beta.realtime-v1"
        await origin.send(SWITCH)
        assert (await client.head()).one(b"sec-websocket-protocol") == b"realtime"


async def test_a_wrong_key_among_the_subprotocols_is_refused_at_the_handshake() -> None:
    offered = "Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-side-wrong"
    async with data_path() as stack:
        head = "\r\n".join(["GET /v1/realtime HTTP/1.1", "Host: localhost", *UPGRADE[:4], offered])
        client = await stack.request(head.encode() + b"\r\n\r\n")
        assert (await client.message()).status == 401
        assert stack.origin.nobody_else()


async def test_bytes_pass_both_ways_as_they_are_also_those_sent_with_the_handshake() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", "/v1/realtime", *UPGRADE) + b"early\r\n\0\xff")
        origin = await stack.origin.accept()
        await origin.head()
        await origin.send(SWITCH + b"early too")
        await client.head()
        assert await client.exactly(9) == b"early too"
        assert await origin.exactly(9) == b"early\r\n\0\xff"
        for number in range(20):
            said = bytes([number]) * number
            await client.send(said)
            assert await origin.exactly(number) == said
            await origin.send(said)
            assert await client.exactly(number) == said


MASKED_HELLO = b"\x01\x82\x01\x02\x03\x04" + bytes(a ^ b for a, b in zip(b"he", b"\x01\x02", strict=True))
FRAMES = {
    "the first fragment of a text, masked": MASKED_HELLO,
    "a ping between two fragments": b"\x89\x84\x00\x00\x00\x00ping",
    "the last fragment": b"\x80\x83\x00\x00\x00\x00llo",
    "a pong that nobody asked for": b"\x8a\x80\x00\x00\x00\x00",
    "a long binary frame, compressed": b"\xc2\xff"
    + (70_000).to_bytes(8, "big")
    + b"\x09\x08\x07\x06"
    + b"z" * 70_000,
    "a frame that is none": b"\xff\xff\xff\xff",
    "a close with code and reason": b"\x88\x88\x00\x00\x00\x00" + (4321).to_bytes(2, "big") + b"enough",
}


async def test_frames_fragments_pings_and_close_codes_are_the_two_ends_own() -> None:
    async with data_path() as stack:
        client, origin = await tunnel(stack)
        for frame in FRAMES.values():
            await client.send(frame)
            assert await origin.exactly(len(frame)) == frame
            await origin.send(frame)
            assert await client.exactly(len(frame)) == frame
        await client.send(b"its connection stays until one of them ends it")
        assert await origin.exactly(46)
        origin.close()
        assert await client.rest() == b""


@pytest.mark.parametrize("leaver", ["client", "origin"])
async def test_what_one_end_said_last_is_delivered_before_its_end(leaver: str) -> None:
    async with data_path() as stack:
        ends = dict(zip(("client", "origin"), await tunnel(stack), strict=True))
        leaving = ends.pop(leaver)
        staying = ends.popitem()[1]
        await leaving.send(b"x" * 100_000)
        leaving.close()
        async with asyncio.timeout(1):
            assert await staying.rest() == b"x" * 100_000
        record = await stack.record()
        assert (record.status, record.ending) == (101, "whole")
        assert record.bytes_up + record.bytes_down == 100_000


async def test_what_upstream_has_not_read_yet_when_the_client_ends_is_delivered_too() -> None:
    async with data_path() as stack:
        client, origin = await tunnel(stack)
        (connection,) = stack.pool._open
        connection._transport.set_write_buffer_limits(high=1 << 30)  # so that all waits here at the end
        total = 16 * 1024 * 1024
        await client.send(b"x" * total)
        client.close()
        await stack.record()
        assert connection._transport.get_write_buffer_size() > 0
        assert len(await origin.rest()) == total


@pytest.mark.parametrize("leaver", ["client", "origin"])
async def test_an_end_that_breaks_off_takes_the_other_with_it(leaver: str) -> None:
    async with data_path() as stack:
        ends = dict(zip(("client", "origin"), await tunnel(stack), strict=True))
        ends.pop(leaver).reset()
        async with asyncio.timeout(1):
            await ends.popitem()[1].ended()
        await stack.record()
        await until(lambda: not stack.pool._open)


async def test_a_refused_handshake_is_upstreams_answer_and_the_connection_serves_on() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", "/v1/responses", *UPGRADE))
        origin = await stack.origin.accept()
        await origin.head()
        await origin.send(answer(b'{"error":{}}', status="404 Not Found"))
        response = await client.message()
        assert (response.status, response.body) == (404, b'{"error":{}}')
        await client.send(stack.head())
        await origin.message()
        await origin.send(answer(b"ok"))
        assert (await client.message()).body == b"ok"


async def test_a_handshake_refused_for_its_bearer_is_made_again_with_another() -> None:
    async with data_path("sk-upstream-key-number-one", "sk-upstream-key-number-two") as stack:
        client = await stack.request(stack.head("GET", "/v1/realtime", *UPGRADE))
        origin = await stack.origin.accept()
        await origin.head()
        await origin.send(answer(status="401 Unauthorized"))
        again = await origin.head()
        assert again.one(b"authorization") == b"Bearer sk-upstream-key-number-two"
        assert again.one(b"upgrade") == b"websocket"
        await origin.send(SWITCH)
        assert (await client.head()).status == 101


async def test_another_protocol_than_websocket_is_not_switched_to() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", "/v1/x", "Connection: Upgrade", "Upgrade: h2c"))
        origin = await stack.origin.accept()
        request = await origin.message()
        assert request.every(b"upgrade") == request.every(b"connection") == []
        await origin.send(answer(b"ok"))
        assert (await client.message()).body == b"ok"


async def test_a_switch_to_something_else_than_was_asked_for_is_invalid() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", "/v1/realtime", *UPGRADE))
        origin = await stack.origin.accept()
        await origin.head()
        await origin.send(SWITCH.replace(b"websocket", b"h2c", 1))
        assert (await client.message()).status == 502


async def test_an_end_that_does_not_read_holds_the_other() -> None:
    async with data_path() as stack:
        client, origin = await tunnel(stack)
        total = 32 * 1024 * 1024
        sending = asyncio.create_task(client.send(b"x" * total))
        exchange = stack.exchanges[0]
        await until(lambda: exchange.held)
        assert exchange.tunnel.waiting < HIGH_WATER + 512 * 1024
        assert not sending.done()
        assert len(await origin.exactly(total)) == total
        await sending
        sending = asyncio.create_task(origin.send(b"y" * total))
        await until(lambda: any(c._answer._held for c in stack.pool._open))
        assert not sending.done()
        assert len(await client.exactly(total)) == total
        await sending


async def test_draining_cuts_tunnels_that_stay() -> None:
    async with data_path() as stack:
        client, origin = await tunnel(stack)
        stack.stop_listening()
        assert await stack.listener.drain(0.01) == 1
        await client.ended()
        await origin.ended()
        assert (await stack.record()).ending == "gone"


async def test_no_time_limit_of_ours_ends_a_silent_tunnel() -> None:
    times = {"keep_idle": 0.05, "head_timeout": 0.05, "body_timeout": 0.05}
    async with data_path(upstream={"idle_timeout": 0.05, "response_timeout": 0.05}, listener=times) as stack:
        client, origin = await tunnel(stack)
        await asyncio.sleep(0.6)  # longer than any limit and two looks at the clock: what is being tested
        await origin.send(b"late")
        assert await client.exactly(4) == b"late"
        await client.send(b"later")
        assert await origin.exactly(5) == b"later"


async def test_two_real_ends_agree_on_subprotocol_extensions_and_close_code() -> None:
    closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def realtime(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(protocols=["realtime"], compress=True)
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data[::-1])
        closed.set_result(socket.close_code)
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", realtime)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    async with data_path(base=f"http://127.0.0.1:{port}") as stack, aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{stack.port}/v1/realtime"
        headers = {"Authorization": f"Bearer {CLIENT_KEY}"}
        async with session.ws_connect(url, headers=headers, protocols=["realtime"], compress=15) as socket:
            assert (socket.protocol, socket.compress) == ("realtime", 15)
            long = "abc" * 100_000
            await socket.send_str(long)
            assert await socket.receive_str(timeout=PATIENCE) == long[::-1]
            await socket.close(code=4321, message=b"enough")
        async with asyncio.timeout(PATIENCE):
            assert await closed == 4321
    await runner.cleanup()
