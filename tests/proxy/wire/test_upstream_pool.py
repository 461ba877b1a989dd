"""Connections to upstream: kept, used again, replaced when stale, recognised over TLS."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from raw_http import PATIENCE, Origin, Wire, answer, until
from sidekey_auth.upstream import parse_base
from sidekey_proxy.replay.body import KeptBody
from sidekey_proxy.replay.copies import Copies
from sidekey_proxy.upstream.answer import Answer
from sidekey_proxy.upstream.interface import UpstreamCut, UpstreamRequest
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings
from sidekey_proxy.upstream.request import request_bytes

GET = UpstreamRequest("GET", "/models", ())
COPIES = Copies()


class Here:
    """A body that has arrived."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def whole(self) -> bytes:
        return self._data

    async def read(self) -> bytes:
        raise AssertionError("it is all here")


def post(data: bytes = b"{}", method: str = "POST") -> UpstreamRequest:
    length = ((b"Content-Length", b"%d" % len(data)),)
    return UpstreamRequest(method, "/responses", length, KeptBody(Here(data), COPIES))


@contextlib.asynccontextmanager
async def pool_and_origin(path: str = "", **settings: Any) -> AsyncIterator[tuple[PooledUpstream, Origin]]:
    async with Origin().serving() as origin:
        base = parse_base(f"http://127.0.0.1:{origin.port}{path}")
        pool = PooledUpstream(UpstreamSettings(base=base, **settings))
        try:
            yield pool, origin
        finally:
            await pool.close()


async def read_all(answer_: Answer) -> bytes:
    data = b""
    while piece := await answer_.read():
        data += piece
    answer_.close()
    return data


async def served(pool: PooledUpstream, wire: Wire | None, origin: Origin, said: bytes = b"") -> Wire:
    """Let one request be answered, on a given connection or a new one."""
    sending = asyncio.create_task(pool.send(GET))
    wire = wire or await origin.accept()
    await wire.message()
    await wire.send(said or answer(b"ok"))
    await read_all(await sending)
    return wire


async def test_a_connection_serves_one_request_after_the_other() -> None:
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin)
        await served(pool, wire, origin)
        await served(pool, wire, origin)
        assert origin.nobody_else()


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async with pool_and_origin() as (pool, origin):
        first, second = asyncio.create_task(pool.send(GET)), asyncio.create_task(pool.send(GET))
        for wire in (await origin.accept(), await origin.accept()):
            await wire.message()
            await wire.send(answer(b"ok"))
        assert await read_all(await first) == await read_all(await second) == b"ok"


@pytest.mark.parametrize(("path", "line"), [("", b"/v1/models"), ("/proxy/openai/", b"/proxy/openai/models")])
async def test_the_base_replaces_v1_and_without_a_path_v1_is_meant(path: str, line: bytes) -> None:
    async with pool_and_origin(path) as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        assert (await wire.message()).line == b"GET " + line + b" HTTP/1.1"
        await wire.send(answer())
        await read_all(await sending)


async def test_a_small_request_is_one_write() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(post(b"hello")))
        wire = await origin.accept()
        async with asyncio.timeout(PATIENCE):
            data = await wire.reader.read(65536)
        assert data.endswith(b"\r\n\r\nhello")
        await wire.send(answer())
        await read_all(await sending)


@pytest.mark.parametrize(
    "said",
    [
        answer(b"bye", "Connection: close"),
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        answer(b"ok") + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        answer(b"ok") + b"surplus",
    ],
    ids=["close", "1.0", "second answer", "surplus"],
)
async def test_some_answers_end_their_connection(said: bytes) -> None:
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin, said)
        await wire.ended()
        await served(pool, None, origin)


async def test_an_answer_that_nobody_reads_to_its_end_closes_its_connection() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc")
        (await sending).close()
        await wire.ended()


async def test_an_answer_that_has_arrived_need_not_be_read_for_its_connection_to_serve_on() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        await wire.send(answer(b"refused", status="401 Unauthorized"))
        (await sending).close()
        await served(pool, wire, origin)


@pytest.mark.parametrize("method", ["HEAD", "GET"])
@pytest.mark.parametrize("fields", ["Content-Length: 1000", "Transfer-Encoding: chunked", "X-None: x"])
async def test_head_and_304_have_no_body_and_their_connection_serves_on(method: str, fields: str) -> None:
    async with pool_and_origin() as (pool, origin):
        status = "200 OK" if method == "HEAD" else "304 Not Modified"
        sending = asyncio.create_task(pool.send(UpstreamRequest(method, "/models", ())))
        wire = await origin.accept()
        await wire.message()
        await wire.send(f"HTTP/1.1 {status}\r\n{fields}\r\n\r\n".encode())
        received = await sending
        assert await received.read() == b""
        received.close()
        await served(pool, wire, origin)


async def test_interim_answers_are_swallowed() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        await wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
        await wire.send(b"HTTP/1.1 110 Odd\r\nX-Interim: 1\r\n\r\n" + answer(b"ok", "X-Final: 1"))
        received = await sending
        assert received.status == 200
        assert received.headers == ((b"Content-Length", b"2"), (b"X-Final", b"1"))
        assert await read_all(received) == b"ok"
        await served(pool, wire, origin)


async def test_trailers_become_no_headers() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        await wire.send(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Trailer: 1\r\n\r\n"
        )
        received = await sending
        assert await read_all(received) == b"ok"
        assert received.headers == ((b"Transfer-Encoding", b"chunked"),)
        await served(pool, wire, origin)


async def test_an_answer_byte_by_byte_is_the_same_answer() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        said = b"HTTP/1.1 200 All Right\r\nX-A:  b \r\nx-a: c\r\nTransfer-Encoding: chunked\r\n\r\n"
        for byte in said + b"3\r\nabc\r\n0\r\n\r\n":
            await wire.send(bytes([byte]))
            await asyncio.sleep(0)
        received = await sending
        assert received.reason == "All Right"
        assert received.headers == ((b"X-A", b"b"), (b"x-a", b"c"), (b"Transfer-Encoding", b"chunked"))
        assert await read_all(received) == b"abc"


# --- connections that were idle


async def test_a_connection_that_upstream_closed_while_idle_is_not_used_again() -> None:
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin)
        wire.close()
        await until(lambda: not pool._idle)
        await served(pool, None, origin)


async def test_a_connection_that_speaks_unasked_is_closed() -> None:
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin)
        await wire.send(answer(b"for whoever comes next"))
        await wire.ended()
        await served(pool, None, origin)


async def test_idle_connections_are_closed_after_a_while() -> None:
    async with pool_and_origin(keep_idle=0.05) as (pool, origin):
        wire = await served(pool, None, origin)
        await wire.ended()
        await until(lambda: not pool._open)


async def test_no_more_idle_connections_are_kept_than_wanted() -> None:
    async with pool_and_origin(pool_size=1) as (pool, origin):
        tasks = [asyncio.create_task(pool.send(GET)) for _ in range(3)]
        for _ in tasks:
            wire = await origin.accept()
            await wire.message()
            await wire.send(answer(b"ok"))
        for task in tasks:
            await read_all(await task)
        await until(lambda: len(pool._open) == 1)


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_an_idempotent_request_on_a_stale_connection_is_sent_on_a_fresh_one(method: str) -> None:
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin)
        sending = asyncio.create_task(pool.send(GET if method == "GET" else post(method=method)))
        before = await wire.message()
        wire.reset()
        fresh = await origin.accept()
        again = await fresh.message()
        assert (again.line, again.body) == (before.line, before.body)
        await fresh.send(answer(b"ok"))
        assert await read_all(await sending) == b"ok"


async def test_a_post_on_a_stale_connection_is_not_sent_twice() -> None:
    """It may have been processed: two charges, two files, two answers paid for."""
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin)
        sending = asyncio.create_task(pool.send(post()))
        await wire.message()
        wire.reset()
        with pytest.raises(UpstreamCut):
            await asyncio.wait_for(sending, PATIENCE)
        assert origin.nobody_else()


async def test_a_fresh_connection_that_dies_is_not_tried_again() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        wire.reset()
        with pytest.raises(UpstreamCut):
            await asyncio.wait_for(sending, PATIENCE)
        assert origin.nobody_else()


async def test_a_used_connection_that_dies_within_an_answers_head_is_not_tried_again() -> None:
    async with pool_and_origin() as (pool, origin):
        wire = await served(pool, None, origin)
        sending = asyncio.create_task(pool.send(GET))
        await wire.message()
        await wire.send(b"HTTP/1.1 20")
        wire.close()
        with pytest.raises(UpstreamCut):
            await asyncio.wait_for(sending, PATIENCE)
        assert origin.nobody_else()


async def test_cancelling_closes_the_connection_at_once() -> None:
    async with pool_and_origin() as (pool, origin):
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        sending.cancel()
        async with asyncio.timeout(1):
            await wire.ended()
        with pytest.raises(asyncio.CancelledError):
            await sending
        await until(lambda: not pool._open)


async def test_closing_the_pool_closes_what_is_idle_and_what_is_in_use() -> None:
    async with pool_and_origin() as (pool, origin):
        idle = await served(pool, None, origin)
        other = asyncio.create_task(pool.send(GET))
        await idle.message()
        sending = asyncio.create_task(pool.send(GET))
        used = await origin.accept()
        await used.message()
        await idle.send(answer(b"ok"))
        await read_all(await other)
        await pool.close()
        await idle.ended()
        await used.ended()
        with pytest.raises(UpstreamCut):
            await asyncio.wait_for(sending, PATIENCE)


# --- the request on the wire


def test_a_line_break_in_a_header_makes_no_other_message() -> None:
    for value in (b"a\r\nX-Injected: b", b"a\nb", b"a\rb", b"a\0b"):
        with pytest.raises(ValueError, match="line break"):
            request_bytes(b"localhost", "/v1", UpstreamRequest("GET", "/", ((b"X-A", value),)))


async def test_a_retired_pool_closes_what_is_idle_and_everything_else_after_its_answer() -> None:
    async with pool_and_origin() as (pool, origin):
        first = asyncio.create_task(pool.send(GET))
        idle = await origin.accept()
        await idle.head()
        second = asyncio.create_task(pool.send(GET))
        busy = await origin.accept()
        await busy.head()
        await idle.send(answer())
        assert await read_all(await first) == b"{}"
        pool.retire()
        await idle.ended()
        assert pool.in_use
        await busy.send(answer(b"whole"))
        assert await read_all(await second) == b"whole"
        await busy.ended()
        await until(lambda: not pool.in_use)
