"""What upstream says and HTTP does not allow: a 502 or a cut, never a smuggled or half-parsed answer."""

from __future__ import annotations

import asyncio
import json

import pytest

from raw_http import Stack, Wire, answer, data_path

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def code_in(body: bytes) -> str:
    code: str = json.loads(body)["error"]["code"]
    return code


async def exchange_with(stack: Stack, method: str = "GET", *fields: str) -> tuple[Wire, Wire]:
    client = await stack.request(stack.head(method, "/v1/things", *fields))
    origin = await stack.origin.accept()
    await origin.head()
    return client, origin


# --- heads

BAD_LINES = [
    b"nonsense\r\n\r\n",
    b"\r\n" + OK + b"Content-Length: 0\r\n\r\n",
    b" " + OK + b"Content-Length: 0\r\n\r\n",
    b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2 200\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/11.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1\t200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 600 Odd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n",
    b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b'{"id": "an answer without a head"}',
    b"\x15\x03\x03\x00\x02\x02\x28",
]
BAD_FIELDS = [
    OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab",
    OK + b"Content-Length: 2, 2\r\n\r\nab",
    OK + b"Content-Length: +2\r\n\r\nab",
    OK + b"Content-Length: -2\r\n\r\nab",
    OK + b"Content-Length: 0x2\r\n\r\nab",
    OK + b"Content-Length: 2a\r\n\r\nab",
    OK + b"Content-Length: 1 2\r\n\r\nab",
    OK + b"Content-Length: 1_0\r\n\r\nab",
    OK + b"Content-Length: \xb2\r\n\r\nab",
    OK + b"Content-Length: 99999999999999999999\r\n\r\nab",
    OK + b"Content-Length:\r\n\r\n",
    OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: gzip\r\n\r\nab",
    OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n",
    OK + b"Transfer-Encoding: identity\r\n\r\nab",
    OK + b"Transfer-Encoding:\r\n\r\nab",
    b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK + b"X-Folded: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    OK + b"X-Folded: a\r\n\tb\r\nContent-Length: 0\r\n\r\n",
    OK + b" X-Leading: a\r\nContent-Length: 0\r\n\r\n",
    OK + b"Content-Length : 0\r\n\r\n",
    OK + b"Transfer-Encoding : chunked\r\nContent-Length: 0\r\n\r\n",
    OK + b"Content-Length\t: 0\r\n\r\n",
    OK + b"no colon\r\nContent-Length: 0\r\n\r\n",
    OK + b": no name\r\nContent-Length: 0\r\n\r\n",
    OK + b"X(Y): a\r\nContent-Length: 0\r\n\r\n",
    OK + b"X\xff: a\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\rb\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\r\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\0b\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\x01\r\nContent-Length: 0\r\n\r\n",
    OK + b"X: a\x7f\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    OK + b"Content-Length: 0\r\n\n",
    OK + b"Content-Length: 0\n\r\n",
]
TOO_MUCH = [
    OK + b"X-Long: " + b"a" * (300 * 1024),
    b"HTTP/1.1 200 " + b"a" * (300 * 1024),
    OK + b"X: a\r\n" * (60 * 1024) + b"\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 33 + answer(),
    b"HTTP/1.1 103 Early Hints\r\nLink: <"
    + b"a" * (200 * 1024)
    + b">\r\n\r\n"
    + OK
    + b"X: "
    + b"a" * (100 * 1024),
]
UNASKED = [
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + answer(),
    b"HTTP/1.1 100 Continue\r\nContent-Length: 2\r\n\r\nab" + answer(),
]


@pytest.mark.parametrize(
    "said", [*BAD_LINES, *BAD_FIELDS, *TOO_MUCH, *UNASKED], ids=lambda data: repr(data[:70])
)
async def test_a_head_that_is_not_http_makes_a_502_and_nothing_of_it_passes(said: bytes) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        origin.writer.write(said)
        response = await client.message()
        assert (response.status, code_in(response.body)) == (502, "sidekey_upstream_invalid")
        assert response.names() == [b"content-type", b"content-length", b"date"]
        await origin.ended()
        assert (await stack.record()).code == "sidekey_upstream_invalid"


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    ],
)
async def test_a_switch_that_is_not_the_one_that_was_asked_for_makes_a_502(said: bytes) -> None:
    async with data_path() as stack:
        fields = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        client, origin = await exchange_with(
            stack, "GET", *fields, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
        )
        await origin.send(said)
        response = await client.message()
        assert (response.status, code_in(response.body)) == (502, "sidekey_upstream_invalid")


@pytest.mark.parametrize("cut", range(1, len(BAD_FIELDS[-2]), 7))
async def test_a_bare_line_feed_is_found_wherever_the_head_is_torn(cut: int) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(BAD_FIELDS[-2][:cut])
        await asyncio.sleep(0)
        origin.writer.write(BAD_FIELDS[-2][cut:])
        assert (await client.message()).status == 502


# --- chunks


@pytest.mark.parametrize(
    "chunk",
    [
        b"zz\r\n",
        b"+3\r\nabc\r\n",
        b"-3\r\nabc\r\n",
        b"0x3\r\nabc\r\n",
        b"1_0\r\nabc\r\n",
        b" 3\r\nabc\r\n",
        b"3 \r\nabc\r\n",
        b"\r\nabc\r\n",
        b"3\nabc\r\n",
        b"3\r\rabc\r\n",
        b"10000000000000000\r\nabc\r\n",
        b"fffffffffffffffff\r\nabc\r\n",
        b"-0\r\n\r\n",
        b"3;a\nb\r\nabc\r\n",
        b"3;a\0\r\nabc\r\n",
        b"0\n\n",
        b"0\r\n\n",
        b"0\r\nX: a\r\n b\r\n\r\n",
        b"0\r\nX : a\r\n\r\n",
        b"0\r\nX: a\0\r\n\r\n",
        b"0\r\nno colon\r\n\r\n",
        b"0;" + b"a" * (70 * 1024),
        b"0\r\nX: " + b"a" * (70 * 1024),
        b"0\r\n" + b"X: a\r\n" * (20 * 1024),
    ],
    ids=lambda data: repr(data[:40]),
)
async def test_bad_chunks_cut_the_answer_and_nothing_of_them_passes(chunk: bytes) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED + b"3\r\nabc\r\n")
        await client.head()
        assert await client.chunk() == b"abc"
        origin.writer.write(chunk)
        assert await client.rest() == b""
        await origin.ended()
        record = await stack.record()
        assert (record.ending, record.code, record.bytes_down) == ("cut", "sidekey_upstream_invalid", 3)


@pytest.mark.parametrize("chunk", [b"3\r\nabcd\r\n", b"3\r\nabc0\r\n\r\n", b"3\r\nabc\n"])
async def test_a_chunk_of_another_length_than_it_says_cuts_the_answer(chunk: bytes) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED + chunk)
        await client.head()
        assert await client.rest() in (b"", b"3\r\nabc\r\n")
        assert (await stack.record()).ending == "cut"


async def test_extensions_and_trailers_fall() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(
            CHUNKED + b'3;a=b;c="d"\r\nabc\r\n0;last\r\nX-Trailer: 1\r\nContent-Type: a/b\r\n\r\n'
        )
        head = await client.head()
        assert head.every(b"x-trailer") == head.every(b"content-type") == []
        assert await client.chunk() == b"abc"
        assert await client.chunk() is None
        await _serves_on(stack, origin)


async def test_trailers_that_speak_of_the_connection_change_nothing_of_the_next_answer() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED + b"0\r\nConnection: close\r\nTransfer-Encoding: gzip\r\n\r\n")
        await client.message()
        again = await stack.request(stack.head())
        await origin.head()
        await origin.send(CHUNKED + b"2\r\nok\r\n0\r\n\r\n")
        assert (await again.message()).body == b"ok"


@pytest.mark.parametrize("chunk", [b"03\r\nabc\r\n", b"3\r\nabc\r\n", b"00000000003;a\r\nabc\r\n"])
async def test_leading_zeros_are_no_fault(chunk: bytes) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(CHUNKED + chunk + b"000\r\n\r\n")
        assert (await client.message()).body == b"abc"
        await _serves_on(stack, origin)


# --- more than was asked for


@pytest.mark.parametrize(
    "first",
    [answer(b"first"), CHUNKED + b"5\r\nfirst\r\n0\r\n\r\n", b"HTTP/1.1 204 No Content\r\n\r\n"],
    ids=["length", "chunks", "none"],
)
@pytest.mark.parametrize("surplus", [b"surplus", answer(b"second"), b"H"], ids=["bytes", "answer", "a byte"])
async def test_what_follows_an_answer_unasked_answers_nothing(first: bytes, surplus: bytes) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(first + surplus)
        assert (await client.message(bodiless=b"204" in first)).status in (200, 204)
        await origin.ended()
        again = await stack.request(stack.head())
        fresh = await stack.origin.accept()
        await fresh.head()
        await fresh.send(answer(b"its own"))
        assert (await again.message()).body == b"its own"


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
async def test_a_body_where_none_can_be_does_not_pass(status: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(answer(b"body", status=status))
        response = await client.message(bodiless=True)
        assert response.status == int(status[:3])
        await origin.ended()
        await client.send(stack.head())
        fresh = await stack.origin.accept()
        await fresh.head()
        await fresh.send(answer(b"its own"))
        assert (await client.message()).body == b"its own"


async def test_a_body_after_the_answer_to_head_does_not_pass() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack, "HEAD")
        await origin.send(answer(b"body"))
        response = await client.message(bodiless=True)
        assert response.one(b"content-length") == b"4"
        await origin.ended()
        await client.send(stack.head())
        fresh = await stack.origin.accept()
        await fresh.head()
        await fresh.send(answer(b"its own"))
        assert (await client.message()).body == b"its own"


# --- what is odd, and right


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"HTTP/1.1 200 OK", b"OK"),
        (b"HTTP/1.1 200 ", b""),
        (b"HTTP/1.1 200", b""),
        (b"HTTP/1.1 200 All  is\twell (\xe9)", b"All  is\twell (\xe9)"),
    ],
)
async def test_a_reason_phrase_passes_as_it_is(said: bytes, reason: bytes) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(said + b"\r\nContent-Length: 0\r\n\r\n")
        assert (await client.message()).line == b"HTTP/1.1 200 " + reason


async def test_interim_answers_fall_and_the_final_one_passes() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        hints = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        await origin.send(
            b"HTTP/1.1 100 Continue\r\n\r\n" + hints * 20 + b"HTTP/1.1 199 Odd\r\n\r\n" + answer(b"ok")
        )
        response = await client.message()
        assert (response.status, response.body) == (200, b"ok")
        assert response.every(b"link") == []
        await _serves_on(stack, origin)


async def test_what_upstream_says_of_the_request_passes_as_it_is() -> None:
    fields = [
        "x-request-id: req_0123",
        "Retry-After: 17",
        "X-RateLimit-Remaining-Tokens: 149984",
        "x-ratelimit-reset-tokens: 6m0s",
    ]
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(answer(b"slow down", *fields, status="429 Too Many Requests"))
        response = await client.message()
        assert response.line == b"HTTP/1.1 429 Too Many Requests"
        assert [b": ".join(pair).decode() for pair in response.headers[1:]] == fields


@pytest.mark.parametrize(
    "status", ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Over There"]
)
async def test_a_redirect_is_passed_on_and_not_followed(status: str) -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        elsewhere = f"Location: http://127.0.0.1:{stack.origin.port}/v1/elsewhere"
        await origin.send(answer(b"", elsewhere, status=status))
        response = await client.message()
        assert response.line == f"HTTP/1.1 {status}".encode()
        assert response.one(b"location") == elsewhere.removeprefix("Location: ").encode()
        await _serves_on(stack, origin)


async def test_an_http_1_0_answer_ends_with_its_connection() -> None:
    async with data_path() as stack:
        client, origin = await exchange_with(stack)
        await origin.send(b"HTTP/1.0 200 OK\r\nX-A: b\r\n\r\nabc")
        origin.close()
        head = await client.head()
        assert head.line == b"HTTP/1.1 200 OK"
        assert await client.rest() == b"abc"


async def _serves_on(stack: Stack, origin: Wire) -> None:
    """Show that upstream's connection is in step: it answers one more request."""
    again = await stack.request(stack.head())
    await origin.head()
    await origin.send(answer(b"in step"))
    assert (await again.message()).body == b"in step"
    assert stack.origin.nobody_else()
