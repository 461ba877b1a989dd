"""Cut, gone, slow, absent: how either side's end reaches the other."""

from __future__ import annotations

import asyncio
import json
import socket

import pytest

from raw_http import CLIENT_KEY, Stack, Wire, answer, data_path, until
from sidekey_proxy.upstream.answer import HIGH_WATER

MEBIBYTE = 1024 * 1024
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


def code_in(body: bytes) -> str:
    code: str = json.loads(body)["error"]["code"]
    return code


async def exchange_with(stack: Stack, *fields: str, method: str = "GET") -> tuple[Wire, Wire]:
    client = await stack.request(stack.head(method, "/v1/things", *fields))
    origin = await stack.origin.accept()
    await origin.head()
    return client, origin


# --- the client leaves


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_a_client_that_leaves_before_the_answer_is_noticed_upstream(way: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        getattr(client, way)()
        async with asyncio.timeout(1):
            await origin.ended()
        record = await stack.record()
        assert (record.ending, record.status) == ("gone", None)


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_a_client_that_leaves_in_the_middle_of_a_stream_is_noticed_upstream(way: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED + b"3\r\nabc\r\n")
        await client.head()
        await client.chunk()
        getattr(client, way)()
        async with asyncio.timeout(1):
            await origin.ended()
        record = await stack.record()
        assert (record.ending, record.status, record.bytes_down) == ("gone", 200, 3)


@pytest.mark.parametrize("way", ["reset", "say_no_more"])
async def test_a_client_that_leaves_while_its_answer_waits_for_it_is_noticed_upstream(way: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (64 * MEBIBYTE))
        sending = asyncio.create_task(_send_until_reset(origin, 64 * MEBIBYTE))
        await _stalls(stack)
        getattr(client, way)()
        async with asyncio.timeout(1):
            await sending
            await origin.ended()


async def test_a_client_that_leaves_in_the_middle_of_its_upload_is_noticed_upstream() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack, "Content-Length: 100", method="POST")
        await client.send(b"x" * 50)
        await origin.exactly(50)
        client.close()
        async with asyncio.timeout(1):
            await origin.ended()
        assert (await stack.record()).ending == "gone"


async def test_a_client_that_leaves_while_a_bearer_is_awaited_is_let_go() -> None:
    async with data_path() as stack:
        stack.bearers.current = None
        stack.bearers.missing.transient = True
        stack.bearers.gate.clear()
        client = await stack.request(stack.head())
        await until(lambda: stack.bearers.obtained == 1)
        client.close()
        assert (await stack.record()).ending == "gone"


# --- upstream breaks off


@pytest.mark.parametrize("way", ["close", "reset"])
@pytest.mark.parametrize(
    ("head", "body"),
    [(CHUNKED, b"3\r\nabc\r\n"), (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", b"abc")],
    ids=["chunks", "length"],
)
async def test_a_cut_answer_reaches_the_client_as_cut(head: bytes, body: bytes, way: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(head + body)
        await client.head()
        assert await client.exactly(len(body)) == body
        getattr(origin, way)()
        async with asyncio.timeout(1):
            assert await client.rest() == b""
        record = await stack.record()
        assert (record.ending, record.status, record.code) == ("cut", 200, "sidekey_upstream_unreachable")


async def test_a_close_delimited_answer_stays_one_and_is_whole_at_its_end() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        head = await client.head()
        assert head.one(b"transfer-encoding") is None
        assert head.one(b"content-length") is None
        assert head.one(b"connection") == b"close"
        origin.close()
        assert await client.rest() == b"abc"
        assert (await stack.record()).ending == "whole"


async def test_a_close_delimited_answer_that_was_reset_is_reset_for_the_client_too() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await client.head()
        await client.exactly(3)
        origin.reset()
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert (await stack.record()).ending == "cut"


@pytest.mark.parametrize("way", ["close", "reset"])
async def test_upstream_that_closes_without_an_answer_makes_a_502(way: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        getattr(origin, way)()
        async with asyncio.timeout(1):
            response = await client.message()
        assert (response.status, code_in(response.body)) == (502, "sidekey_upstream_unreachable")
        assert response.one(b"content-type") == b"application/json"


async def test_upstream_that_is_not_there_makes_a_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    async with data_path(base=f"http://127.0.0.1:{port}/v1") as stack:
        client = await stack.request(stack.head())
        response = await client.message()
        assert (response.status, code_in(response.body)) == (502, "sidekey_upstream_unreachable")


async def test_upstream_that_thinks_too_long_makes_a_504() -> None:
    async with data_path(upstream={"response_timeout": 0.05}) as stack:
        client, origin = await exchange_with(stack)
        response = await client.message()
        assert (response.status, code_in(response.body)) == (504, "sidekey_upstream_timeout")
        await origin.ended()


async def test_upstream_that_falls_silent_in_mid_answer_cuts_it() -> None:
    async with data_path(upstream={"idle_timeout": 0.05}) as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED + b"3\r\nabc\r\n")
        await client.head()
        assert await client.rest() == b"3\r\nabc\r\n"
        await origin.ended()
        record = await stack.record()
        assert (record.ending, record.code) == ("cut", "sidekey_upstream_timeout")


async def test_an_answer_after_a_short_silence_is_whole() -> None:
    async with data_path(upstream={"response_timeout": 5, "idle_timeout": 5}) as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED)
        await client.head()
        await origin.send(b"3\r\nabc\r\n0\r\n\r\n")
        assert await client.chunk() == b"abc"
        assert await client.chunk() is None


async def test_connecting_that_takes_too_long_makes_a_504() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for connection in waiting:
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", port))
        base = f"http://127.0.0.1:{port}/v1"
        async with data_path(base=base, upstream={"connect_timeout": 0.1}) as stack:
            client = await stack.request(stack.head())
            response = await client.message()
            assert (response.status, code_in(response.body)) == (504, "sidekey_upstream_timeout")
        for connection in waiting:
            connection.close()


# --- an early answer


async def test_an_answer_before_the_body_is_sent_is_passed_on_and_ends_the_connections() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack, "Content-Length: 1000000", method="POST")
        await client.send(b"x" * 1000)
        await origin.exactly(1000)
        await origin.send(answer(b"too much", status="413 Content Too Large"))
        response = await client.message()
        assert (response.status, response.body) == (413, b"too much")
        assert response.one(b"connection") == b"close"
        await origin.ended()


async def test_both_ways_at_once_an_answer_can_stream_while_its_request_does() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack, "Transfer-Encoding: chunked", method="POST")
        await origin.send(CHUNKED)
        await client.head()
        for number in range(3):
            said = b"%d" % number
            await client.send(b"1\r\n%b\r\n" % said)
            assert await origin.chunk() == said
            await origin.send(b"1\r\n%b\r\n" % said)
            assert await client.chunk() == said
        await client.send(b"0\r\n\r\n")
        assert await origin.chunk() is None
        await origin.send(b"0\r\n\r\n")
        assert await client.chunk() is None
        assert (await stack.record()).bytes_up == 3


async def test_a_bad_chunk_from_the_client_is_its_own_fault_and_ends_the_request_upstream() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack, "Transfer-Encoding: chunked", method="POST")
        await client.send(b"3\r\nabc\r\n")
        assert await origin.chunk() == b"abc"
        await client.send(b"zz\r\n")
        response = await client.message()
        assert (response.status, code_in(response.body)) == (400, "sidekey_bad_request")
        assert response.one(b"connection") == b"close"
        assert await origin.rest() == b""


# --- who does not read holds who sends


async def test_64_mebibytes_down_pass_through_small_buffers() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        total = 64 * MEBIBYTE
        await origin.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % total)
        sending = asyncio.create_task(_send_until_reset(origin, total))
        held = await _stalls(stack)
        assert held < HIGH_WATER + 256 * 1024
        assert not sending.done()
        await client.head()
        assert len(await client.exactly(total)) == total
        await sending
        assert (await stack.record()).bytes_down == total


async def test_64_mebibytes_up_pass_through_small_buffers() -> None:
    async with data_path() as stack:
        total = 64 * MEBIBYTE
        client, origin = await exchange_with(stack, f"Content-Length: {total}", method="POST")
        sending = asyncio.create_task(client.send(b"x" * total))
        exchange = stack.exchanges[0]
        await until(lambda: exchange.waiting > 0 and exchange.held)
        assert exchange.waiting < MEBIBYTE
        assert not sending.done()
        assert len(await origin.exactly(total)) == total
        await sending
        await origin.send(answer())
        await client.message()
        record = await stack.record()
        assert (record.bytes_up, record.ending) == (total, "whole")


async def _send_until_reset(wire: Wire, total: int) -> None:
    piece = b"x" * (256 * 1024)
    try:
        for _ in range(total // len(piece)):
            wire.writer.write(piece)
            await wire.writer.drain()
    except ConnectionError:
        pass


async def _stalls(stack: Stack) -> int:
    """Wait until upstream is held because the client does not read, and return what waits here."""

    def held() -> bool:
        return any(c._answer is not None and c._answer._held for c in stack.pool._open)

    await until(held)
    return max(c._answer._size for c in stack.pool._open if c._answer is not None)


# --- nothing secret comes back


async def test_no_answer_of_sidekeys_own_holds_a_key() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", "/other"))
        response = await client.message()
        assert response.status == 404
        assert CLIENT_KEY.encode() not in response.body
