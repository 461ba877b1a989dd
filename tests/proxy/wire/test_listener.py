"""The HTTP server in front: what comes in as it came, what goes out as it is, and nothing added."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from raw_http import PATIENCE, Wire, answer, data_path, until
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.listener.server import Handle, Listener, ListenerSettings
from sidekey_proxy.message.exchange import Exchange

OPEN = GuardRules()


@contextlib.asynccontextmanager
async def listening(
    handle: Handle, settings: ListenerSettings | None = None
) -> AsyncIterator[tuple[Listener, int]]:
    listener = Listener(handle, settings)
    server = await asyncio.get_running_loop().create_server(listener, "127.0.0.1", 0)
    try:
        yield listener, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await listener.drain(0)


async def connect(port: int, data: bytes = b"") -> Wire:
    wire = Wire(*await asyncio.open_connection("127.0.0.1", port))
    await wire.send(data)
    return wire


async def hello(exchange: Exchange) -> None:
    await exchange.send_head(200, "OK", ((b"X-Said", b"hello"),))
    await exchange.send_chunk(b"hello")
    await exchange.finish()


# --- requests as they came


async def test_method_target_and_headers_are_as_they_stood_on_the_wire() -> None:
    seen = []

    async def look(exchange: Exchange) -> None:
        seen.append(exchange.head)
        await hello(exchange)

    async with listening(look) as (_, port):
        wire = await connect(
            port,
            b"PROPFIND /v1//a%2Fb/%zz?q=+&&x=%20 HTTP/1.1\r\nhOsT: localhost\r\nX-A: 1\r\nx-a:2 \r\nX-B:\r\n"
            b"X-C: caf\xc3\xa9 \xff\r\n\r\n",
        )
        await wire.message()
        wire.close()
    head = seen[0]
    assert (head.method, head.target) == ("PROPFIND", "/v1//a%2Fb/%zz?q=+&&x=%20")
    assert head.headers == (
        (b"hOsT", b"localhost"),
        (b"X-A", b"1"),
        (b"x-a", b"2"),
        (b"X-B", b""),
        (b"X-C", b"caf\xc3\xa9 \xff"),
    )
    assert (head.version, head.has_body, head.websocket, head.client) == ("1.1", False, False, "127.0.0.1")


@pytest.mark.parametrize("coding", ["gzip", "zstd", "br", "deflate"])
async def test_a_compressed_body_is_not_touched_either_way(coding: str) -> None:
    compressed = b"\x28\xb5\x2f\xfd not really compressed"
    async with data_path() as stack:
        client = await stack.request(
            stack.head(
                "POST", "/v1/responses", f"Content-Encoding: {coding}", f"Content-Length: {len(compressed)}"
            )
            + compressed
        )
        origin = await stack.origin.accept()
        request = await origin.message()
        assert (request.one(b"content-encoding"), request.body) == (coding.encode(), compressed)
        assert request.one(b"accept-encoding") is None
        await origin.send(answer(compressed, f"Content-Encoding: {coding}"))
        response = await client.message()
        assert (response.one(b"content-encoding"), response.body) == (coding.encode(), compressed)


async def test_headers_travel_in_order_with_duplicates_and_case_and_nothing_is_added() -> None:
    async with data_path() as stack:
        client = await stack.request(
            b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nX-B: 2\r\nx-a: 1\r\nX-B: 3\r\nCookie: secret\r\n"
            b"Connection: X-Hop\r\nX-Hop: 1\r\n"
            b"Authorization: Bearer sk-side-0123456789abcdef0123456789abcdef\r\n"
            b"Content-Length: 0\r\nAccept: */*\r\n\r\n"
        )
        origin = await stack.origin.accept()
        request = await origin.message()
        assert request.headers == [
            (b"Host", f"127.0.0.1:{stack.origin.port}".encode()),
            (b"X-B", b"2"),
            (b"x-a", b"1"),
            (b"X-B", b"3"),
            (b"Content-Length", b"0"),
            (b"Accept", b"*/*"),
            (b"Authorization", b"Bearer sk-upstream-key-number-one"),
        ]
        await origin.send(
            b"HTTP/1.1 299 Odd Reason\r\nX-B: 2\r\nServer: origin\r\nX-b: 1\r\nSet-Cookie: a=b\r\n"
            b"Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nContent-Length: 0\r\n\r\n"
        )
        response = await client.message()
        assert response.line == b"HTTP/1.1 299 Odd Reason"
        assert response.headers == [
            (b"X-B", b"2"),
            (b"Server", b"origin"),
            (b"X-b", b"1"),
            (b"Content-Length", b"0"),
        ]


async def test_a_redirect_is_passed_on_not_followed() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head())
        origin = await stack.origin.accept()
        await origin.message()
        await origin.send(answer(b"", "Location: http://127.0.0.1:1/", status="307 Temporary Redirect"))
        response = await client.message()
        assert (response.status, response.one(b"location")) == (307, b"http://127.0.0.1:1/")
        assert stack.origin.nobody_else()


# --- answers as they are


@pytest.mark.parametrize(("method", "status"), [("HEAD", "200 OK"), ("GET", "304 Not Modified")])
async def test_an_answer_without_a_body_keeps_its_length(method: str, status: str) -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head(method))
        origin = await stack.origin.accept()
        await origin.message()
        await origin.send(f"HTTP/1.1 {status}\r\nContent-Length: 1000\r\n\r\n".encode())
        response = await client.message(bodiless=True)
        assert response.headers == [(b"Content-Length", b"1000")]
        await client.send(stack.head())  # nothing of a body came: the next answer is in its place
        await origin.message()
        await origin.send(answer(b"next"))
        assert (await client.message()).body == b"next"


async def test_a_204_has_no_framing_at_all() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("DELETE", "/v1/files/f"))
        origin = await stack.origin.accept()
        await origin.message()
        await origin.send(b"HTTP/1.1 204 No Content\r\nX-A: 1\r\n\r\n")
        assert (await client.message(bodiless=True)).headers == [(b"X-A", b"1")]
        assert (await stack.record()).ending == "whole"


async def test_a_head_request_that_is_refused_gets_no_body() -> None:
    async with data_path() as stack:
        client = await stack.request(b"HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n")
        response = await client.message(bodiless=True)
        assert response.status == 401
        await client.send(stack.head("GET", "/elsewhere"))
        assert (await client.message()).status == 404


async def test_a_length_that_was_not_kept_is_a_cut() -> None:
    async def short(exchange: Exchange) -> None:
        await exchange.send_head(200, "OK", ((b"Content-Length", b"10"),))
        await exchange.send_chunk(b"abc")
        await exchange.finish()

    async with listening(short) as (_, port):
        wire = await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wire.head()
        assert await wire.rest() == b"abc"
        wire.close()


async def test_a_small_answer_is_one_write() -> None:
    async with listening(hello) as (_, port):
        wire = await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            data = await wire.reader.read(65536)
        assert data == (
            b"HTTP/1.1 200 OK\r\nX-Said: hello\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        )
        wire.close()


# --- versions and connections


async def test_http_1_0_gets_what_it_understands() -> None:
    async with listening(hello) as (_, port):
        wire = await connect(port, b"GET / HTTP/1.0\r\n\r\n")
        head = await wire.head()
        assert head.headers == [(b"X-Said", b"hello"), (b"Connection", b"close")]
        assert await wire.rest() == b"hello"
        wire.close()


async def test_http_1_0_may_keep_its_connection_where_lengths_are_known() -> None:
    async def sized(exchange: Exchange) -> None:
        await exchange.send_head(200, "OK", ((b"Content-Length", b"2"),))
        await exchange.send_chunk(b"ok")
        await exchange.finish()

    async with listening(sized) as (_, port):
        wire = await connect(port)
        for _ in range(2):
            await wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = await wire.message()
            assert (response.one(b"connection"), response.body) == (b"keep-alive", b"ok")
        wire.close()


async def test_a_client_that_wants_to_close_is_let_go() -> None:
    async with listening(hello) as (_, port):
        wire = await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        assert (await wire.message()).one(b"connection") == b"close"
        assert await wire.rest() == b""
        wire.close()


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def echo(exchange: Exchange) -> None:
        body = exchange.whole() or b""
        data = exchange.head.target.encode() + b" " + body
        await exchange.send_head(200, "OK", ((b"Content-Length", b"%d" % len(data)),))
        await exchange.send_chunk(data)
        await exchange.finish()

    async with listening(echo) as (_, port):
        wire = await connect(
            port,
            b"".join(
                b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\n\r\nb%02d" % (number, number)
                for number in range(40)
            ),
        )
        for number in range(40):
            assert (await wire.message()).body == b"/%d b%02d" % (number, number)
        wire.close()


async def test_a_request_after_one_whose_body_nobody_read_is_not_made_of_that_body() -> None:
    async with data_path() as stack:
        smuggled = b"GET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
        wrong = f"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(smuggled)}\r\n\r\n".encode()
        client = await stack.request(wrong + smuggled)
        assert (await client.message()).status == 401
        await client.send(stack.head("GET", "/elsewhere"))
        assert (await client.message()).status == 404
        assert [r.path for r in (await stack.record(), await stack.record())] == ["/v1/x", "/elsewhere"]


async def test_a_body_does_not_end_where_only_the_line_between_two_chunks_has_come() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("POST", "/v1/x", "Transfer-Encoding: chunked"))
        other = await stack.client()
        origin = await stack.origin.accept()
        await origin.head()
        for piece in (
            b"5",
            b"\r\n",
            b"hello",
            b"\r",
            b"\n6;",
            b"a\r\n world",
            b"\r\n",
            b"0\r\n",
            b"A: b\r\n",
        ):
            await client.send(piece)
            await other.send(stack.head("GET", "/elsewhere"))
            await other.message()  # by now the piece has been seen, too
        await client.send(b"\r\n")
        body = b""
        while (chunk := await origin.chunk()) is not None:
            body += chunk
        assert body == b"hello world"


async def test_who_is_refused_in_the_middle_of_an_upload_sees_the_answer() -> None:
    """Closing at once would reset the connection, and the answer with it."""
    async with data_path(listener={"linger": 5.0}) as stack:
        client = await stack.request(
            b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n" + b"x" * 1000000
        )
        await client.send(b"x" * 1000000)
        response = await client.message()
        assert (response.status, response.one(b"connection")) == (401, b"close")
        await client.send(b"x" * 2000000)
        assert await client.rest() == b""


async def test_the_guard_answers_before_any_of_the_body_is_here() -> None:
    async with data_path(listener={"linger": 0.05}) as stack:
        client = await stack.request(
            b"POST /v1/x HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000\r\n\r\n"
        )
        assert (await client.message()).status == 421
        assert await client.rest() == b""


# --- Expect: 100-continue


async def test_a_client_that_asks_first_and_may_not_come_in_need_not_send_its_body() -> None:
    async with data_path(listener={"linger": 0.05}) as stack:
        client = await stack.request(
            b"POST /v1/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
        )
        response = await client.message()
        assert (response.status, response.one(b"connection")) == (401, b"close")


# --- the guard


@pytest.mark.parametrize("host", [b"localhost", b"evil.example"])
async def test_an_absolute_target_is_served_like_any_other_and_counts_instead_of_host(host: bytes) -> None:
    async with data_path(rules=OPEN) as stack:
        client = await stack.request(
            b"GET http://localhost:8484/v1/models?x HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
        )
        origin = await stack.origin.accept()
        assert (await origin.message()).line == b"GET /v1/models?x HTTP/1.1"
        await origin.send(answer())
        assert (await client.message()).status == 200


async def test_without_a_client_key_any_or_none_suffices_and_it_never_goes_up() -> None:
    async with data_path(rules=OPEN) as stack:
        for field in (b"", b"Authorization: Bearer sk-whatever\r\n"):
            client = await stack.request(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n" + field + b"\r\n")
            origin = stack.origin.wires[0] if stack.origin.wires else await stack.origin.accept()
            assert (await origin.message()).every(b"authorization") == [b"Bearer sk-upstream-key-number-one"]
            await origin.send(answer())
            assert (await client.message()).status == 200


async def test_a_handler_that_breaks_cuts_its_exchange_and_the_listener_serves_on() -> None:
    async def broken(exchange: Exchange) -> None:
        if exchange.head.target == "/broken":
            await exchange.send_head(200, "OK", ())
            await exchange.send_chunk(b"abc")
            raise ZeroDivisionError
        await hello(exchange)

    async with listening(broken) as (_, port):
        wire = await connect(port, b"GET /broken HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await wire.head()
        assert await wire.rest() == b"3\r\nabc\r\n"
        wire.close()
        wire = await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await wire.message()).body == b"hello"
        wire.close()


# --- draining


async def test_draining_lets_open_requests_finish_and_closes_what_is_idle() -> None:
    go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await exchange.send_head(200, "OK", ())
        await exchange.send_chunk(b"abc")
        await go.wait()
        await exchange.finish()

    async with listening(slow) as (listener, port):
        idle, busy = await connect(port), await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await busy.head()
        assert await busy.chunk() == b"abc"
        assert listener.open_exchanges == 1
        draining = asyncio.create_task(listener.drain(2 * PATIENCE))
        assert await idle.rest() == b""
        assert not draining.done()
        go.set()
        assert await busy.chunk() is None
        assert await busy.rest() == b""  # though it was told that its connection is kept
        assert await draining == 0
        idle.close()
        busy.close()


async def test_draining_cuts_what_does_not_finish_in_time() -> None:
    async def forever(exchange: Exchange) -> None:
        await exchange.send_head(200, "OK", ())
        await exchange.send_chunk(b"abc")
        await asyncio.Event().wait()

    async with listening(forever) as (listener, port):
        busy = await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await busy.head()
        assert await busy.chunk() == b"abc"
        assert await listener.drain(0.01) == 1
        assert await busy.rest() == b""
        assert listener.open_exchanges == 0
        busy.close()


async def test_while_draining_an_answer_says_that_it_is_the_last() -> None:
    go = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await go.wait()
        await hello(exchange)

    async with listening(slow) as (listener, port):
        busy = await connect(port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await until(lambda: listener.open_exchanges == 1)
        draining = asyncio.create_task(listener.drain(PATIENCE))
        await asyncio.sleep(0)
        go.set()
        assert (await busy.message()).one(b"connection") == b"close"
        await draining
        busy.close()


# --- sockets and clients of other kinds


async def test_a_unix_socket_serves_as_well(tmp_path: Path) -> None:
    seen = []

    async def look(exchange: Exchange) -> None:
        seen.append(exchange.head.client)
        await hello(exchange)

    listener = Listener(look)
    path = str(tmp_path / "s")
    server = await asyncio.get_running_loop().create_unix_server(listener, path)
    connector = aiohttp.UnixConnector(path)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get("http://localhost/v1/x") as got,
    ):
        assert await got.text() == "hello"
    server.close()
    await listener.drain(0)
    assert seen == ["unix"]


async def test_a_real_client_gets_many_answers_at_once() -> None:
    async with data_path(rules=OPEN) as stack:

        async def serve() -> None:
            while True:
                wire = await stack.origin.accept()
                tasks.append(asyncio.create_task(echo(wire)))

        async def echo(wire: Wire) -> None:
            with contextlib.suppress(asyncio.IncompleteReadError):
                while True:
                    await wire.send(answer((await wire.message()).body))

        tasks: list[asyncio.Task[None]] = []
        tasks.append(asyncio.create_task(serve()))
        url = f"http://127.0.0.1:{stack.port}/v1/echo"
        async with aiohttp.ClientSession() as session:

            async def one(number: int) -> None:
                data = b"%d" % number * 1000
                async with session.post(url, data=data) as response:
                    assert await response.read() == data

            async with asyncio.timeout(PATIENCE):
                await asyncio.gather(*(one(number) for number in range(200)))
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_both_families_of_loopback_are_served_by_one_listener() -> None:
    async with listening(hello) as (listener, port):
        server = await asyncio.get_running_loop().create_server(listener, "::1", port, family=socket.AF_INET6)
        for host in ("127.0.0.1", "::1"):
            wire = Wire(*await asyncio.open_connection(host, port))
            await wire.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await wire.message()).body == b"hello"
            wire.close()
        server.close()
