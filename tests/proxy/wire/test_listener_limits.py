"""Clients that are slow, absent, too many or too large: each has its bound and its answer."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

import pytest

from raw_http import PATIENCE, Wire, answer, data_path, until
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.listener.admission import Admission, Ceilings
from sidekey_proxy.listener.server import Handle, Listener, ListenerSettings
from sidekey_proxy.message.exchange import Exchange, RequestInvalid
from sidekey_proxy.message.request_head import HeadLimits

OPEN = GuardRules()
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


def code_in(body: bytes) -> str:
    code: str = json.loads(body)["error"]["code"]
    return code


@contextlib.asynccontextmanager
async def listening(
    handle: Handle, settings: ListenerSettings | None = None, admission: Admission | None = None
) -> AsyncIterator[tuple[Listener, int]]:
    listener = Listener(handle, settings, admission)
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
    await exchange.send_head(200, "OK", ((b"Content-Length", b"5"),))
    await exchange.send_chunk(b"hello")
    await exchange.finish()


# --- time


async def test_a_head_that_comes_too_slowly_is_answered_and_ends_the_connection() -> None:
    async with listening(hello, ListenerSettings(head_timeout=0.05, linger=0.05)) as (_, port):
        wire = await connect(port, b"GET / HTTP/1.1\r\nHost: ")
        response = await wire.message()
        assert (response.status, response.one(b"connection")) == (408, b"close")
        assert await wire.rest() == b""
        wire.close()


async def test_more_bytes_of_a_head_buy_no_more_time() -> None:
    async with listening(hello, ListenerSettings(head_timeout=0.3, linger=0.05)) as (_, port):
        wire = await connect(port, b"GET / HTTP/1.1\r\n")
        sent = 0
        reading = asyncio.create_task(wire.message())
        while not reading.done():
            with contextlib.suppress(ConnectionError):
                await wire.send(b"X: y\r\n")
            sent += 1
            await asyncio.sleep(0.02)  # a slow client is what is being tested
            assert sent < 500
        assert (await reading).status == 408
        wire.close()


async def test_a_connection_without_a_request_is_closed_without_a_word() -> None:
    async with listening(hello, ListenerSettings(keep_idle=0.05)) as (_, port):
        unused = await connect(port)
        assert await unused.rest() == b""
        used = await connect(port, GET)
        await used.message()
        assert await used.rest() == b""
        unused.close()
        used.close()


async def test_a_body_that_pauses_too_long_is_answered_and_ends_the_request_upstream() -> None:
    async with data_path(listener={"body_timeout": 0.05, "linger": 0.05}) as stack:
        client = await stack.request(stack.head("POST", "/v1/x", "Content-Length: 10") + b"abc")
        origin = await stack.origin.accept()
        await origin.head()
        response = await client.message()
        assert (response.status, code_in(response.body)) == (408, "sidekey_bad_request")
        await origin.ended()


async def test_the_time_that_upstream_takes_is_not_the_clients() -> None:
    times = {"body_timeout": 0.05, "head_timeout": 0.05, "keep_idle": 0.05}
    async with data_path(listener=times) as stack:
        client = await stack.request(stack.head("POST", "/v1/x", "Content-Length: 3") + b"abc")
        origin = await stack.origin.accept()
        await origin.message()
        await asyncio.sleep(0.6)  # longer than any limit and two looks at the clock: what is being tested
        await origin.send(answer(b"late"))
        assert (await client.message()).body == b"late"


# --- size


async def test_an_announced_body_over_the_limit_is_refused_before_it_comes() -> None:
    async with data_path(listener={"body_limit": 10, "linger": 0.05}) as stack:
        client = await stack.request(
            stack.head("POST", "/v1/x", "Content-Length: 11", "Expect: 100-continue")
        )
        assert (await client.message()).status == 413
        assert stack.origin.nobody_else()


async def test_a_chunked_body_over_the_limit_is_refused_when_it_is_reached() -> None:
    async with data_path(listener={"body_limit": 10, "linger": 0.05}) as stack:
        client = await stack.request(
            stack.head("POST", "/v1/x", "Transfer-Encoding: chunked") + b"6\r\nabcdef\r\n"
        )
        origin = await stack.origin.accept()
        await origin.head()
        assert await origin.chunk() == b"abcdef"
        await client.send(b"6\r\nghijkl\r\n")
        assert (await client.message()).status == 413
        assert await origin.rest() == b""


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 200, 414),
        (b"GET /" + b"a" * 200 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 500, 431),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 10 + b"\r\n", 431),
    ],
)
async def test_a_long_line_and_long_headers_have_an_answer_each_of_their_own(
    data: bytes, status: int
) -> None:
    limits = HeadLimits(line=100, whole=400, fields=8)
    async with listening(hello, ListenerSettings(head=limits, linger=0.05)) as (_, port):
        wire = await connect(port, data)
        response = await wire.message()
        assert (response.status, code_in(response.body)) == (status, "sidekey_bad_request")
        wire.close()


# --- closing so that the answer is seen


async def test_what_follows_a_refused_head_is_thrown_away_so_that_the_answer_is_seen() -> None:
    async with listening(hello, ListenerSettings(linger=PATIENCE)) as (_, port):
        wire = await connect(port, b"GET / HTTP/9.9\r\n\r\n" + b"x" * 500_000)
        await wire.send(b"x" * 500_000)
        assert (await wire.message()).status == 505
        assert await wire.rest() == b""  # its side is closed, and what comes is still read
        await wire.send(b"x" * 1000)
        wire.say_no_more()
        wire.close()


async def test_no_more_is_thrown_away_than_the_limit() -> None:
    settings = ListenerSettings(linger=PATIENCE * 10, linger_limit=100_000)
    async with listening(hello, settings) as (listener, port):
        wire = await connect(port, b"GET / HTTP/9.9\r\n\r\n")
        assert (await wire.message()).status == 505
        with contextlib.suppress(ConnectionError):
            await wire.send(b"x" * 1_000_000)
        await until(lambda: not listener.admission.connections)
        wire.close()


async def test_throwing_away_ends_after_its_time() -> None:
    async with listening(hello, ListenerSettings(linger=0.05)) as (listener, port):
        wire = await connect(port, b"GET / HTTP/9.9\r\n\r\n")
        await wire.message()
        await until(lambda: not listener.admission.connections)
        wire.close()


async def test_a_bad_chunk_is_answered_and_what_follows_is_thrown_away() -> None:
    async with data_path(listener={"linger": PATIENCE}) as stack:
        client = await stack.request(stack.head("POST", "/v1/x", "Transfer-Encoding: chunked"))
        origin = await stack.origin.accept()
        await origin.head()
        await client.send(b"zz\r\n" + b"x" * 500_000)
        assert (await client.message()).status == 400
        assert await client.rest() == b""
        assert await origin.rest() == b""


async def test_what_follows_a_bad_chunk_is_no_request_however_late_the_body_is_read() -> None:
    """The reader of chunks has lost its place: what it takes for the body's end is anybody's guess."""
    seen, read_now = [], asyncio.Event()

    async def late(exchange: Exchange) -> None:
        seen.append(exchange.head.target)
        if exchange.head.target == "/upload":
            await read_now.wait()
            with contextlib.suppress(RequestInvalid):
                while await exchange.read():
                    pass
        await hello(exchange)

    async with listening(late, ListenerSettings(linger=0.05)) as (_, port):
        wire = await connect(port, b"POST /upload HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        other = await connect(port)
        for piece in (b"1\r\na\r\n", b"zz\r\n", b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"):
            await wire.send(piece)
            await other.send(GET)
            await other.message()  # by now the piece has been seen, too
        read_now.set()
        assert (await wire.message()).one(b"connection") == b"close"
        assert await wire.rest() == b""
        assert "/smuggled" not in seen
        wire.close()
        other.close()


# --- expectations and odd beginnings


async def test_an_expectation_that_cannot_be_met_is_refused() -> None:
    async with data_path(listener={"linger": 0.05}) as stack:
        client = await stack.request(stack.head("POST", "/v1/x", "Content-Length: 1", "Expect: wonders"))
        assert (await client.message()).status == 417
        assert stack.origin.nobody_else()


async def test_tls_on_a_plain_port_is_told_so_at_once() -> None:
    async with listening(hello, ListenerSettings(linger=0.05)) as (_, port):
        wire = await connect(port, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        response = await wire.message()
        assert response.status == 400
        assert b"TLS" in response.body
        wire.close()


async def test_empty_lines_between_requests_are_overlooked() -> None:
    async with listening(hello) as (_, port):
        wire = await connect(port, b"\r\n" + GET + b"\r\n\r\n")
        assert (await wire.message()).body == b"hello"
        await wire.send(GET)
        assert (await wire.message()).body == b"hello"
        wire.close()


async def test_a_head_that_comes_byte_by_byte_is_a_head() -> None:
    async with listening(hello) as (_, port):
        wire = await connect(port)
        for at in range(len(GET)):
            await wire.send(GET[at : at + 1])
        assert (await wire.message()).body == b"hello"
        wire.close()


# --- how many


async def test_one_connection_too_many_is_answered_with_a_503_and_closed() -> None:
    admission = Admission(Ceilings(connections=2))
    async with listening(hello, ListenerSettings(linger=0.05), admission) as (_, port):
        kept = [await connect(port), await connect(port)]
        for wire in kept:
            await wire.send(GET)
            assert (await wire.message()).status == 200
        surplus = await connect(port)
        response = await surplus.message()
        assert (response.status, code_in(response.body)) == (503, "sidekey_too_busy")
        assert response.one(b"retry-after") == b"1"
        await surplus.ended()
        kept[0].close()
        await until(lambda: admission.connections == 1)
        again = await connect(port, GET)
        assert (await again.message()).status == 200
        for wire in (*kept, surplus, again):
            wire.close()


async def test_one_client_cannot_take_all_connections() -> None:
    admission = Admission(Ceilings(connections=3, connections_per_client=1))
    async with listening(hello, ListenerSettings(linger=0.05), admission) as (_, port):
        first = await connect(port, GET)
        assert (await first.message()).status == 200
        second = await connect(port, GET)
        refused = await second.message()
        assert (refused.status, refused.one(b"retry-after")) == (429, b"1")
        other = socket.socket()
        other.setblocking(False)
        other.bind(("127.0.0.2", 0))
        await asyncio.get_running_loop().sock_connect(other, ("127.0.0.1", port))
        elsewhere = Wire(*await asyncio.open_connection(sock=other))
        await elsewhere.send(GET)
        assert (await elsewhere.message()).status == 200
        for wire in (first, second, elsewhere):
            wire.close()


async def test_one_request_too_many_is_answered_with_a_503() -> None:
    gate = asyncio.Event()

    async def slow(exchange: Exchange) -> None:
        await gate.wait()
        await hello(exchange)

    admission = Admission(Ceilings(requests=1))
    async with listening(slow, ListenerSettings(linger=0.05), admission) as (_, port):
        first = await connect(port, GET)
        await until(lambda: admission.requests == 1)
        second = await connect(port, GET)
        refused = await second.message()
        assert (refused.status, refused.one(b"retry-after")) == (503, b"1")
        gate.set()
        assert (await first.message()).status == 200
        await until(lambda: admission.requests == 0)
        third = await connect(port, GET)
        assert (await third.message()).status == 200
        for wire in (first, second, third):
            wire.close()


# --- clients that leave


async def test_a_client_that_breaks_off_while_it_is_held_is_seen_within_a_second() -> None:
    """Upstream reads nothing, so nothing is read from the client either."""
    async with data_path() as stack:
        client = await stack.request(stack.head("POST", "/v1/files", "Content-Length: 100000000"))
        origin = await stack.origin.accept()
        await origin.head()
        origin.writer.transport.pause_reading()
        flooding = asyncio.create_task(_flood(client))
        await until(lambda: stack.exchanges[0].held)
        flooding.cancel()
        client.reset()
        async with asyncio.timeout(1.0):
            record = await stack.record()
        assert record.ending == "gone"
        origin.writer.transport.resume_reading()
        await origin.ended()


async def test_a_client_that_ends_while_it_is_held_is_seen_within_a_second() -> None:
    """Its FIN has arrived, behind bytes that nobody reads."""
    reached: asyncio.Future[Exchange] = asyncio.get_running_loop().create_future()
    cancelled = asyncio.Event()

    async def read_nothing(exchange: Exchange) -> None:
        reached.set_result(exchange)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with listening(read_nothing) as (_, port):
        wire = await connect(port, b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n")
        exchange = await reached
        await wire.send(b"x" * 100_000)
        await until(lambda: exchange.held)
        wire.say_no_more()
        async with asyncio.timeout(1.0):
            await cancelled.wait()
        wire.close()


async def _flood(wire: Wire) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            wire.writer.write(b"x" * 65536)
            await wire.writer.drain()


async def test_a_client_that_pipelines_without_end_is_held_and_its_leaving_is_seen() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head())
        await (await stack.origin.accept()).message()
        sending = asyncio.create_task(client.send(stack.head() * 100_000))
        await until(lambda: stack.exchanges[0].held)
        sending.cancel()
        client.reset()
        async with asyncio.timeout(1.0):
            assert (await stack.record()).ending == "gone"


async def test_a_request_whose_client_is_gone_at_once_leaves_nothing_behind() -> None:
    """The head and the end arrive in the same turn of the event loop."""
    async with listening(hello) as (listener, port):
        for _ in range(20):
            with socket.socket() as wire:
                wire.setblocking(False)
                await asyncio.get_running_loop().sock_connect(wire, ("127.0.0.1", port))
                wire.send(GET)
                wire.shutdown(socket.SHUT_WR)
        await until(lambda: not listener.admission.connections)
        assert (listener.open_exchanges, listener.admission.requests) == (0, 0)


# --- draining


async def test_while_draining_an_idle_connection_may_send_one_more_request() -> None:
    async with listening(hello) as (listener, port):
        wire = await connect(port, GET)
        await wire.message()
        draining = asyncio.create_task(listener.drain(PATIENCE, idle_grace=PATIENCE / 2))
        await until(lambda: listener.draining)
        await wire.send(GET)
        response = await wire.message()
        assert (response.status, response.one(b"connection")) == (200, b"close")
        assert await draining == 0
        wire.close()


async def test_while_draining_an_idle_connection_is_closed_after_its_grace() -> None:
    async with listening(hello) as (listener, port):
        wire = await connect(port, GET)
        await wire.message()
        assert await listener.drain(PATIENCE, idle_grace=0.05) == 0
        assert await wire.rest() == b""
        wire.close()


async def test_draining_cuts_what_takes_too_long_and_comes_to_an_end_itself() -> None:
    never = asyncio.Event()

    async def stubborn(exchange: Exchange) -> None:
        await exchange.send_head(200, "OK", ((b"Content-Length", b"5"),))
        await never.wait()

    async with listening(stubborn) as (listener, port):
        wire = await connect(port, GET)
        await wire.head()
        assert await listener.drain(0.05) == 1
        await wire.ended()
        assert listener.open_exchanges == 0
        wire.close()


async def test_throwing_away_ends_after_its_time_also_where_a_body_was_being_waited_for() -> None:
    """The wait for the body is given up a moment after the answer is out."""
    async with data_path(listener={"linger": 0.05}) as stack:
        client = await stack.request(stack.head("POST", "/v1/files", "Content-Length: 10") + b"abc")
        origin = await stack.origin.accept()
        await origin.head()
        await origin.exactly(3)
        await origin.send(answer(b"no", status="413 Content Too Large"))
        assert (await client.message()).status == 413
        await until(lambda: not stack.listener.admission.connections)
