"""Clients that speak HTTP/1.0: served, never told more than they understand (RFC 9110 section 2.5)."""

from __future__ import annotations

import pytest

from raw_http import Stack, Wire, answer, data_path
from sidekey_proxy.guard import GuardRules

OPEN = GuardRules()
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def asked(stack: Stack, *fields: str, body: bytes = b"") -> tuple[Wire, Wire]:
    """Send a request that names no host, as HTTP/1.0 allows, and return both ends when it has arrived."""
    head = "\r\n".join(("POST /v1/responses HTTP/1.0", *fields, f"Content-Length: {len(body)}", "", ""))
    client = await stack.request(head.encode() + body)
    origin = await stack.origin.accept()
    request = await origin.message()
    assert request.line == b"POST /v1/responses HTTP/1.1"
    assert request.one(b"host") == f"127.0.0.1:{stack.origin.port}".encode()
    assert request.body == body
    return client, origin


@pytest.mark.parametrize("fields", [(), ("Connection: keep-alive",)], ids=["closing", "keeping"])
async def test_chunks_arrive_without_their_frames_and_end_with_the_connection(
    fields: tuple[str, ...],
) -> None:
    async with data_path(rules=OPEN) as stack:
        client, origin = await asked(stack, *fields, body=b"hello")
        await origin.send(CHUNKED + b"3\r\none\r\n")
        head = await client.head()
        assert (head.line, head.one(b"transfer-encoding")) == (b"HTTP/1.1 200 OK", None)
        assert head.one(b"connection") == b"close"
        assert await client.exactly(3) == b"one"
        await origin.send(b"3\r\ntwo\r\n0\r\nX-Trailer: 1\r\n\r\n")
        assert await client.rest() == b"two"
        assert (await stack.record()).ending == "whole"


@pytest.mark.parametrize("end", ["close", "reset", "a bad chunk"])
async def test_chunks_that_are_cut_break_the_connection_off_since_its_end_would_make_them_whole(
    end: str,
) -> None:
    async with data_path(rules=OPEN) as stack:
        client, origin = await asked(stack)
        await origin.send(CHUNKED + b"3\r\none\r\n")
        await client.head()
        assert await client.exactly(3) == b"one"
        if end == "a bad chunk":
            await origin.send(b"zz\r\n")
        else:
            getattr(origin, end)()
        with pytest.raises(ConnectionResetError):
            await client.rest()
        assert (await stack.record()).ending == "cut"


async def test_an_answer_with_a_length_keeps_it_and_the_connection_where_that_is_wanted() -> None:
    async with data_path(rules=OPEN) as stack:
        client, origin = await asked(stack, "Connection: keep-alive")
        await origin.send(answer(b"first"))
        response = await client.message()
        assert (response.body, response.one(b"connection")) == (b"first", b"keep-alive")
        await client.send(b"GET /v1/models HTTP/1.0\r\n\r\n")
        await origin.message()
        await origin.send(answer(b"second"))
        response = await client.message()
        assert (response.body, response.one(b"connection")) == (b"second", b"close")
        assert await client.rest() == b""


async def test_an_expectation_is_overlooked_and_no_interim_answer_comes() -> None:
    """RFC 9110 section 10.1.1."""
    async with data_path(rules=OPEN) as stack:
        head = b"POST /v1/files HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
        client = await stack.request(head)
        origin = await stack.origin.accept()
        assert (await origin.head()).every(b"expect") == []
        await client.send(b"abc")
        assert await origin.exactly(3) == b"abc"
        await origin.send(answer(b"ok"))
        assert (await client.message()).line == b"HTTP/1.1 200 OK"


async def test_a_switch_of_protocols_is_not_offered_to_upstream() -> None:
    """RFC 9110 section 7.8."""
    async with data_path(rules=OPEN) as stack:
        await stack.request(
            b"GET /v1/realtime HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        origin = await stack.origin.accept()
        assert (await origin.head()).every(b"upgrade") == []
