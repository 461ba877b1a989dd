"""Requests that two readers could read in two ways, or that are none: refused, answered, and not forwarded.

Behind each of them stands a whole request, which must not be served: nobody knows where the first one ends.
"""

from __future__ import annotations

import json
from typing import Final

import pytest

from raw_http import PATIENCE, Stack, Wire, answer, data_path, until
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.message.request_head import HeadLimits

OPEN: Final = GuardRules()
"""No key is asked for: what is refused here, is refused for its form alone."""
BEHIND: Final = b"GET /v1/smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
LIMITS: Final = HeadLimits(line=200, whole=1000, fields=20)
LINE: Final = b"POST /v1/responses HTTP/1.1\r\n"
HOST: Final = b"Host: localhost\r\n"
CHUNKED: Final = LINE + HOST + b"Transfer-Encoding: chunked\r\n\r\n"


def line(raw: bytes) -> bytes:
    return raw + b"\r\n" + HOST + b"\r\n"


def fields(*raw: bytes) -> bytes:
    return LINE + HOST + b"\r\n".join(raw) + b"\r\n\r\n"


LINES: Final = [
    (line(b"GET /v1/models"), 400),
    (line(b"GET"), 400),
    (line(b"GET  /v1/models HTTP/1.1"), 400),
    (line(b"GET /v1/models  HTTP/1.1"), 400),
    (line(b"GET /v1/models HTTP/1.1 "), 400),
    (line(b" GET /v1/models HTTP/1.1"), 400),
    (line(b"GET\t/v1/models\tHTTP/1.1"), 400),
    (line(b"GET /v1/mo dels HTTP/1.1"), 400),
    (line(b"GET /v1/models\0 HTTP/1.1"), 400),
    (line(b"GET /v1/mo\rdels HTTP/1.1"), 400),
    (line(b"GET /v1/mo\ndels HTTP/1.1"), 400),
    (line(b"GET /v1/models http/1.1"), 400),
    (line(b"GET /v1/models HTTP/1"), 505),
    (line(b"GET /v1/models HTTP/0.9"), 505),
    (line(b"GET /v1/models HTTP/1.2"), 505),
    (line(b"GET /v1/models HTTP/2.0"), 505),
    (line(b"GET /v1/models HTTP/3"), 505),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (line(b"G@T /v1/models HTTP/1.1"), 400),
    (line(b"G(T /v1/models HTTP/1.1"), 400),
    (line(b"G\xcbT /v1/models HTTP/1.1"), 400),
    (line(b"GET: /v1/models HTTP/1.1"), 400),
    (line(b"GET /v1/" + b"a" * 200 + b" HTTP/1.1"), 414),
]
LENGTHS: Final = [
    (fields(b"Content-Length: 3", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    (fields(b"Transfer-Encoding: chunked", b"Content-Length: 3") + b"0\r\n\r\n", 400),
    (fields(b"Content-Length: 0", b"Content-Length: 3"), 400),
    (fields(b"Content-Length: 3", b"Content-Length: 3") + b"abc", 400),
    (fields(b"Content-Length: 3, 3") + b"abc", 400),
    (fields(b"Content-Length: +3") + b"abc", 400),
    (fields(b"Content-Length: -3") + b"abc", 400),
    (fields(b"Content-Length: 0x3") + b"abc", 400),
    (fields(b"Content-Length: 3a") + b"abc", 400),
    (fields(b"Content-Length: 3.0") + b"abc", 400),
    (fields(b"Content-Length: 1_0") + b"0123456789", 400),
    (fields(b"Content-Length: 1 0") + b"0123456789", 400),
    (fields(b"Content-Length: \xb2") + b"ab", 400),
    (fields(b"Content-Length:"), 400),
    (fields(b"Content-Length: 99999999999999999999"), 400),
    (LINE[:-3] + b"0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (fields(b"Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n", 501),
    (fields(b"Transfer-Encoding: gzip"), 501),
    (fields(b"Transfer-Encoding: identity"), 501),
    (fields(b"Transfer-Encoding: xchunked") + b"0\r\n\r\n", 501),
    (fields(b"Transfer-Encoding: chunked;q=1") + b"0\r\n\r\n", 501),
    (fields(b"Transfer-Encoding:") + b"0\r\n\r\n", 501),
    (fields(b"Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n", 501),
    (fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", 501),
    (fields(b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity") + b"0\r\n\r\n", 501),
]
FIELDS: Final = [
    (fields(b"X-Folded: a", b" b"), 400),
    (fields(b"X-Folded: a", b"\tTransfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    (LINE + b" Leading: a\r\n" + HOST + b"\r\n", 400),
    (fields(b"Content-Length : 3") + b"abc", 400),
    (fields(b"Transfer-Encoding\t: chunked") + b"0\r\n\r\n", 400),
    (fields(b"no colon"), 400),
    (fields(b": no name"), 400),
    (fields(b"X(Y): a"), 400),
    (fields(b"X\xe9: a"), 400),
    (fields(b"X: a\rb"), 400),
    (fields(b"X: a\rTransfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    (fields(b"X: a\nTransfer-Encoding: chunked") + b"0\r\n\r\n", 400),
    (fields(b"X: a\r"), 400),
    (fields(b"X: a\0b"), 400),
    (fields(b"X: a\x01"), 400),
    (fields(b"X: a\x7f"), 400),
    (b"GET /v1/models HTTP/1.1\nHost: localhost\n\n", 400),
    (LINE + b"Host: localhost\r\n\n", 400),
    (LINE + b"Host: localhost\n\r\n", 400),
    (fields(b"X: " + b"a" * 1000), 431),
    (fields(*[b"X: a"] * 20), 431),
    (fields(b"Content-Length: 1", b"Expect: wonders") + b"a", 417),
    (fields(b"Content-Length: 101") + b"a" * 101, 413),
    (CHUNKED + b"65\r\n" + b"a" * 101 + b"\r\n0\r\n\r\n", 413),
]
CHUNKS: Final = [
    (CHUNKED + chunk, status)
    for chunk, status in (
        (b"zz\r\n", 400),
        (b"\r\nabc\r\n", 400),
        (b"+3\r\nabc\r\n0\r\n\r\n", 400),
        (b"-3\r\nabc\r\n0\r\n\r\n", 400),
        (b"0x3\r\nabc\r\n0\r\n\r\n", 400),
        (b"1_0\r\n0123456789abcdef\r\n0\r\n\r\n", 400),
        (b" 3\r\nabc\r\n0\r\n\r\n", 400),
        (b"3 \r\nabc\r\n0\r\n\r\n", 400),
        (b"3\nabc\r\n0\r\n\r\n", 400),
        (b"3\r\nabcd\r\n0\r\n\r\n", 400),
        (b"3\r\nabc0\r\n\r\n", 400),
        (b"3\r\nabc\n0\r\n\r\n", 400),
        (b"10000000000000003\r\nabc\r\n0\r\n\r\n", 400),
        (b"3;a\0\r\nabc\r\n0\r\n\r\n", 400),
        (b"3;a\nb\r\nabc\r\n0\r\n\r\n", 400),
        (b"0\n\n", 400),
        (b"0\r\nX : a\r\n\r\n", 400),
        (b"0\r\nX: a\r\n b\r\n\r\n", 400),
        (b"0\r\nno colon\r\n\r\n", 400),
        (b"0\r\n" + (b"X: " + b"a" * 1000 + b"\r\n") * 17 + b"\r\n", 431),
        (b"0;" + b"a" * 5000 + b"\r\n\r\n", 400),
    )
]


async def refused(stack: Stack, client: Wire, status: int) -> None:
    """Fail unless the answer is of OpenAI's shape, the last one, and all that ever comes of the request."""
    response = await client.message()
    assert response.status == status
    assert response.one(b"content-type") == b"application/json"
    assert response.one(b"connection") == b"close"
    error = json.loads(response.body)["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"].startswith("sidekey_")
    assert await client.rest() == b""
    client.close()
    assert stack.origin.nobody_else()


@pytest.mark.parametrize(
    ("raw", "status"), [*LINES, *LENGTHS, *FIELDS, *CHUNKS], ids=lambda value: repr(value)[:90]
)
async def test_a_request_that_is_none_is_answered_and_neither_it_nor_what_follows_goes_up(
    raw: bytes, status: int
) -> None:
    settings = {"linger": PATIENCE, "head": LIMITS, "body_limit": 100}
    async with data_path(rules=OPEN, listener=settings) as stack:
        client = await stack.request(raw + BEHIND)
        await refused(stack, client, status)


@pytest.mark.parametrize(("raw", "status"), [*LINES, *LENGTHS, *FIELDS], ids=lambda value: repr(value)[:90])
async def test_it_is_refused_as_well_when_it_comes_byte_by_byte(raw: bytes, status: int) -> None:
    head = raw[: raw.find(b"\r\n\r\n") + 4] if b"\r\n\r\n" in raw else raw
    settings = {"linger": PATIENCE, "head": LIMITS, "body_limit": 100}
    async with data_path(rules=OPEN, listener=settings) as stack:
        client = await stack.client()
        for at in range(len(head)):
            await client.send(head[at : at + 1])
        await client.send(raw[len(head) :] + BEHIND)
        await refused(stack, client, status)


LONGEST_LINE: Final = b"GET /v1/" + b"a" * (16 * 1024 - 17) + b" HTTP/1.1"
MOST_FIELDS: Final = line(b"GET /v1/models HTTP/1.1")[:-2] + b"X: a\r\n" * 255
LONGEST_HEAD: Final = line(b"GET /v1/models HTTP/1.1")[:-2] + b"X: " + b"a" * (64 * 1024 - 49)


@pytest.mark.parametrize(
    ("most", "more", "status"),
    [
        (line(LONGEST_LINE), line(LONGEST_LINE.replace(b"v1/", b"v1/a")), 414),
        (MOST_FIELDS + b"\r\n", MOST_FIELDS + b"X: a\r\n\r\n", 431),
        (LONGEST_HEAD + b"\r\n\r\n", LONGEST_HEAD + b"a\r\n\r\n", 431),
    ],
    ids=["line", "fields", "head"],
)
async def test_16_kib_of_line_and_64_kib_of_256_headers_pass_and_no_more(
    most: bytes, more: bytes, status: int
) -> None:
    async with data_path(rules=OPEN, listener={"linger": PATIENCE}) as stack:
        client = await stack.request(most)
        origin = await stack.origin.accept()
        assert await origin.exactly(12) == most[:12]
        await origin.send(answer())
        assert (await client.message()).status == 200
        await refused(stack, await stack.request(more + BEHIND), status)


async def test_a_mebibyte_or_two_seconds_of_what_is_refused_are_thrown_away() -> None:
    """So it is where nothing is set; the times and lengths that can be set are tried in other tests."""
    async with data_path(rules=OPEN) as stack:
        client = await stack.request(fields(b"Content-Length: +1"))
        assert (await client.message()).status == 400
        assert await client.rest() == b""
        (connection,) = stack.listener._connections
        assert 0 < connection.deadline - connection.loop.time() <= 2
        connection.expect_within(PATIENCE * 10)
        await client.send(b"x" * (1024 * 1024))
        await until(lambda: connection._left_to_throw == 0)
        assert not connection.gone
        await client.send(b"x")
        await until(lambda: connection.gone)
