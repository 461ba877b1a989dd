"""Hand-made messages through the data path: nothing differs but what the table of differences allows."""

from __future__ import annotations

import asyncio
import gzip
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from differences import ADDED, FALLS, Sent, Way, assert_same, chunked
from raw_http import CLIENT_KEY, Stack, data_path

BEARER: Final = "sk-upstream-key-number-one"
DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "http.md"
OWN: Final = ("Host: localhost", f"Authorization: Bearer {CLIENT_KEY}")
BODY: Final = bytes(range(256)) * 40
ZIPPED: Final = gzip.compress(b'{"model": "gpt-5"}' * 100, mtime=0)
LENGTH: Final = f"Content-Length: {len(BODY)}"
GET: Final = Sent("GET /v1/models HTTP/1.1", OWN)
OK: Final = Sent("HTTP/1.1 200 OK", ("Content-Length: 2",), b"{}")

REQUESTS: Final = {
    "a query": Sent("GET /v1/files?a=1&a=2&b=&c&%2F=%2f+%20&d=%C3%A9&&x=/?y=;z HTTP/1.1", OWN),
    "a path": Sent("GET /v1//models/ft:a%2Fb%2e.c/~x;p=1,2/(y)/ HTTP/1.1", OWN),
    "a body with a length": Sent("POST /v1/responses HTTP/1.1", (*OWN, LENGTH), BODY),
    "a body of no bytes": Sent("POST /v1/responses HTTP/1.1", (*OWN, "Content-Length: 0")),
    "no body": Sent("POST /v1/responses HTTP/1.1", OWN),
    "a body in chunks": Sent(
        "POST /v1/responses HTTP/1.1", (*OWN, "Transfer-Encoding: chunked"), BODY, chunked(BODY, 1, 4096, 7)
    ),
    "chunks with extensions and trailers": Sent(
        "POST /v1/responses HTTP/1.1",
        (*OWN, "transfer-encoding: Chunked", "Trailer: X-Sum"),
        BODY,
        chunked(BODY, 100, extension=';a="b"', trailers=("X-Sum: 1",)),
    ),
    "no chunks": Sent("POST /v1/responses HTTP/1.1", (*OWN, "Transfer-Encoding: chunked"), b"", chunked(b"")),
    "a compressed body": Sent(
        "POST /v1/responses HTTP/1.1",
        (*OWN, "content-encoding: gzip", f"content-length: {len(ZIPPED)}"),
        ZIPPED,
    ),
    "a body of a GET": Sent("GET /v1/models HTTP/1.1", (*OWN, LENGTH), BODY),
    "DELETE": Sent("DELETE /v1/files/file-1 HTTP/1.1", OWN),
    "an unknown method": Sent("BREW /v1/coffee HTTP/1.1", OWN),
    "odd names, cases, duplicates and values": GET.saying(
        "X-b: 1",
        "x-B: 2",
        "X-B: 1",
        "!#$%&'*+-.^_`|~09: token",
        "X-Empty:",
        "X-Spaces: \t a  b\tc \t",
        "X-Close:by",
        "X-Bytes: \xe9\xff\x80",
        "X-Comma: a,, b ,",
        'X-Quoted: "a\\"b"',
        f"X-Long: {'l' * 4000}",
        "Accept-Encoding: gzip, br;q=0.5, *;q=0",
        "Via: 1.1 somebody",
        "User-Agent: curl/8",
        "OpenAI-Organization: org-1",
        "openai-project: proj_1",
        "OpenAI-Beta: a=b",
        "Idempotency-Key: 1",
    ),
    "all that falls": GET.saying(
        "Connection: keep-alive, X-Named,x-named-too",
        "X-Named: 1",
        "X-NAMED-TOO: 2",
        "X-Stays: 3",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "TE: trailers",
        "Proxy-Authorization: Basic YTpi",
        "Cookie: a=b",
        "Cookie: c=d",
        "x-api-key: k",
        "Api-Key: k",
        "Forwarded: for=1.2.3.4",
        "X-Forwarded-For: 1.2.3.4",
        "x-forwarded-anything: 1",
    ),
    "what cannot be named away": Sent(
        "POST /v1/responses HTTP/1.1",
        (*OWN, "Connection: close, content-length, host, authorization", LENGTH),
        BODY,
    ),
    "chunks that cannot be named away": Sent(
        "POST /v1/responses HTTP/1.1",
        (*OWN, "Connection: transfer-encoding, Authorization", "Transfer-Encoding: chunked"),
        BODY,
        chunked(BODY, 10),
    ),
}
ANSWERS: Final = {
    "a body of no bytes": Sent("HTTP/1.1 200 OK", ("Content-Length: 0",)),
    "a body with a length": Sent("HTTP/1.1 200 OK", ("content-LENGTH: 10240", "Content-Type: x/y"), BODY),
    "a body in chunks": Sent(
        "HTTP/1.1 200 OK", ("Transfer-Encoding: chunked",), BODY, chunked(BODY, 1, 4096, 7)
    ),
    "chunks with extensions and trailers": Sent(
        "HTTP/1.1 200 OK",
        ("Trailer: X-Sum, X-Set", "Transfer-Encoding: chunked"),
        BODY,
        chunked(BODY, 100, extension=";a=b", trailers=("X-Sum: 1", "Set-Cookie: a=b")),
    ),
    "no chunks": Sent("HTTP/1.1 200 OK", ("Transfer-Encoding: chunked",), b"", chunked(b"")),
    "a body until the connection's end": Sent("HTTP/1.1 200 OK", ("Content-Type: audio/mpeg",), BODY),
    "a body of HTTP/1.0": Sent("HTTP/1.0 200 OK", ("Server: old",), BODY),
    "a compressed body": Sent(
        "HTTP/1.1 200 OK", ("Content-Encoding: gzip", f"Content-Length: {len(ZIPPED)}"), ZIPPED
    ),
    "a compressed body in chunks": Sent(
        "HTTP/1.1 200 OK",
        ("Content-Encoding: gzip", "Transfer-Encoding: chunked", "Vary: Accept-Encoding"),
        ZIPPED,
        chunked(ZIPPED, 3, 5),
    ),
    "a stream of events": Sent(
        "HTTP/1.1 200 OK",
        ("Content-Type: text/event-stream", "Cache-Control: no-cache", "Transfer-Encoding: chunked"),
        b"data: 1\n\n\ndata: 2\r\n\r\n: comment\n\n",
        chunked(b"data: 1\n\n\ndata: 2\r\n\r\n: comment\n\n", 5, 4),
    ),
    "204": Sent("HTTP/1.1 204 No Content", ('ETag: W/"1"',)),
    "304": Sent("HTTP/1.1 304 Not Modified", ('ETag: "1"', "Content-Length: 77")),
    "206": Sent("HTTP/1.1 206 Partial Content", ("Content-Range: bytes 0-1/9", "Content-Length: 2"), b"ab"),
    "a redirect": Sent(
        "HTTP/1.1 307 Temporary Redirect", ("Location: https://elsewhere.example/", "Content-Length: 0")
    ),
    "400": Sent("HTTP/1.1 400 Bad Request", ("Content-Length: 11",), b'{"error":1}'),
    "429": Sent(
        "HTTP/1.1 429 Too Many Requests",
        (
            "Retry-After: 2",
            "retry-after-ms: 1900",
            "x-ratelimit-limit-requests: 10",
            "x-ratelimit-remaining-requests: 0",
            "x-ratelimit-reset-requests: 6m0s",
            "x-should-retry: true",
            "X-Request-ID: req_1",
            "Content-Length: 2",
        ),
        b"{}",
    ),
    "500 without a body": Sent("HTTP/1.1 500 Internal Server Error", ("Content-Length: 0",)),
    "an odd reason": Sent("HTTP/1.1 299 Very \xe9 (odd)  reason", ("Content-Length: 0",)),
    "no reason": Sent("HTTP/1.1 200 ", ("Content-Length: 0",)),
    "an unknown status": Sent("HTTP/1.1 599 What", ("Content-Length: 0",)),
    "odd names, cases, duplicates and values": OK.saying(
        "X-b: 1",
        "x-B: 2",
        "X-B: 1",
        "Link: <a>",
        "Link: <b>",
        "!#$%&'*+-.^_`|~09: token",
        "X-Empty:",
        "X-Spaces: \t a  b\tc \t",
        "X-Bytes: \xe9\xff\x80",
        f"X-Long: {'l' * 4000}",
        "Date: not a date",
        "Server: cloudflare",
        "CF-Ray: 1",
        'alt-svc: h3=":443"',
        "strict-transport-security: max-age=1",
        "Via: 1.1 somebody",
        "X-Accel-Buffering: yes",
    ),
    "all that falls": OK.saying(
        "Connection: X-Named, keep-alive",
        "x-named: 1",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: close",
        "Proxy-Authenticate: Basic",
        "Set-Cookie: __cf_bm=1",
        "Set-Cookie: a=b",
        "set-cookie2: a",
        "Access-Control-Allow-Origin: *",
        "access-control-expose-headers: x",
        "TE: x",
        "X-Stays: 1",
    ),
    "what cannot be named away": Sent(
        "HTTP/1.1 200 OK",
        ("Connection: content-length, connection", "Content-Type: text/event-stream", "Content-Length: 9"),
        b"data: 1\n\n",
    ),
    "what is set on a stream cannot be named away": Sent(
        "HTTP/1.1 200 OK",
        (
            "Connection: x-accel-buffering, transfer-encoding",
            "Content-Type: text/event-stream; charset=utf-8",
            "X-Accel-Buffering: yes",
            "Transfer-Encoding: chunked",
        ),
        b"data: 1\n\n",
        chunked(b"data: 1\n\n"),
    ),
}


async def passes(stack: Stack, request: Sent, answer: Sent) -> tuple[dict[bytes, bytes], dict[bytes, bytes]]:
    """Send a message each way, compare both with what comes, and return what was added up and down."""
    client = await stack.request(request.raw())
    origin = await stack.origin.accept()
    added_up = assert_same("up", request.message(), await origin.message())
    # Each case has a connection of its own.
    answer = answer.saying("Connection: close")
    await origin.send(answer.raw())
    origin.close()
    bodiless = request.line.startswith("HEAD ") or answer.line.split(" ")[1] in {"204", "304"}
    came = await client.message(bodiless=bodiless)
    added_down = assert_same("down", answer.message(), came, bodiless=bodiless)
    client.close()
    return added_up, added_down


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_differs_in_nothing_else(name: str) -> None:
    request = REQUESTS[name]
    async with data_path(BEARER) as stack:
        added, _ = await passes(stack, request, OK)
        expected = {
            b"host": f"127.0.0.1:{stack.origin.port}".encode(),
            b"authorization": f"Bearer {BEARER}".encode(),
        }
    if "chunked" in str(request.fields).lower():
        expected[b"transfer-encoding"] = b"chunked"
    assert added == expected


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer_differs_in_nothing_else(name: str) -> None:
    answer = ANSWERS[name]
    async with data_path(BEARER) as stack:
        _, added = await passes(stack, GET, answer)
    expected = {}
    if answer.coded is not None:
        expected[b"transfer-encoding"] = b"chunked"
    elif "Content-Length" not in str(answer.fields).title() and answer.body:
        expected[b"connection"] = b"close"
    if "text/event-stream" in str(answer.fields):
        expected[b"x-accel-buffering"] = b"no"
    assert added == expected


@pytest.mark.parametrize("fields", [("Content-Length: 77",), ("Transfer-Encoding: chunked",), ()])
async def test_the_answer_to_a_head_keeps_what_it_says_of_a_body(fields: tuple[str, ...]) -> None:
    async with data_path(BEARER) as stack:
        head = Sent("HEAD /v1/files/file-1/content HTTP/1.1", OWN)
        await passes(stack, head, Sent("HTTP/1.1 200 OK", ("ETag: x", *fields)))


async def test_interim_answers_of_upstream_fall() -> None:
    interim = Sent("HTTP/1.1 103 Early Hints", ("Link: </a>; rel=preload",)).raw()
    async with data_path(BEARER) as stack:
        client = await stack.request(GET.raw())
        origin = await stack.origin.accept()
        await origin.message()
        await origin.send(interim + interim + OK.raw())
        assert assert_same("down", OK.message(), await client.message()) == {}


TOKEN: Final = "!#$%&'*+-.^_`|~" + "0123456789" + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DECIDES: Final = {
    *("host", "authorization", "content-length", "transfer-encoding", "connection", "upgrade", "expect"),
    *("origin", "sec-fetch-site", "content-type", "content-encoding"),
}
"""What decides over a message; a case of its own each."""
IN_A_VALUE: Final = "".join(map(chr, (9, *range(32, 127), *range(128, 256))))


def names(way: Way) -> st.SearchStrategy[str]:
    fallen = [name.decode().replace("*", "some") for name in FALLS[way] if name.decode() not in DECIDES]
    chosen = st.text(TOKEN, min_size=1, max_size=20).filter(lambda name: name.lower() not in DECIDES)
    return st.one_of(chosen, st.sampled_from(fallen).flatmap(lambda n: st.sampled_from([n, n.title()])))


@st.composite
def sent(draw: st.DrawFn, way: Way, line: str, *, until_close: bool = False) -> Sent:
    """Draw a message: any headers, some named by Connection, and a body with one of the possible ends."""
    values = st.text(IN_A_VALUE, max_size=40)
    pairs = draw(st.lists(st.tuples(names(way), values), max_size=8))
    fields = [f"{name}:{draw(st.sampled_from(['', ' ', '  ', chr(9)]))}{value}" for name, value in pairs]
    named = [name for name, _ in pairs if "," not in name and draw(st.integers(0, 5)) == 0]
    if named:
        fields.append(f"Connection: {', '.join(named)}")
    body = draw(st.binary(max_size=300))
    how = draw(st.sampled_from(["length", "chunks", "close"] if until_close else ["length", "chunks"]))
    if how == "length":
        fields.append(f"Content-Length: {len(body)}")
    if how == "chunks":
        fields.append("Transfer-Encoding: chunked")
    fields = draw(st.permutations(fields))
    coded = chunked(body, *draw(st.lists(st.integers(1, 100), max_size=4))) if how == "chunks" else None
    return Sent(line, tuple(fields), body, coded)


METHODS: Final = st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "QUERY", "X-ODD"])
TARGETS: Final = st.lists(
    st.sampled_from([*"aZ9-_~!$&'()*+,;=:@/?", "%2F", "%20", "%c3%A9", "//"]), max_size=30
)
STATUSES: Final = st.sampled_from([200, 201, 206, 299, 300, 302, 400, 403, 404, 407, 418, 429, 500, 503, 599])
REASONS: Final = st.text(IN_A_VALUE, max_size=20).map(str.strip)
REQUEST: Final = st.tuples(METHODS, TARGETS).flatmap(
    lambda line: sent("up", f"{line[0]} /v1/{''.join(line[1])} HTTP/1.1")
)
ANSWER: Final = st.tuples(STATUSES, REASONS).flatmap(
    lambda line: sent("down", f"HTTP/1.1 {line[0]} {line[1]}", until_close=True)
)


def test_no_message_whatsoever_differs_in_anything_else() -> None:
    with asyncio.Runner() as runner:
        path = data_path(BEARER)
        stack = runner.run(path.__aenter__())

        @given(request=REQUEST, answer=ANSWER)
        def pass_on(request: Sent, answer: Sent) -> None:
            runner.run(passes(stack, request.saying(*OWN), answer))

        try:
            pass_on()
        finally:
            runner.run(path.__aexit__(None, None, None))


@pytest.mark.parametrize("way", ["up", "down"])
def test_the_document_has_every_difference(way: Way) -> None:
    title = f"## Headers on the way {way}\n"
    table = DOCUMENT.read_text().partition(title)[2].partition("\n## ")[0]
    documented = {name.lower().encode() for name in re.findall(r"`([\w*-]+)`", table)}
    assert {*FALLS[way], *ADDED[way]} - documented == set()
