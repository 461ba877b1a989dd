"""A request's whole way, with hand-made bytes at both ends."""

from __future__ import annotations

import json

from raw_http import answer, data_path

KEY = "sk-upstream-key-number-one"


async def test_a_get_goes_up_with_the_bearer_and_its_answer_comes_back() -> None:
    async with data_path(KEY) as stack:
        client = await stack.request(stack.head("GET", "/v1/models?limit=2&a=%2F+b"))
        origin = await stack.origin.accept()
        request = await origin.message()
        assert request.line == b"GET /v1/models?limit=2&a=%2F+b HTTP/1.1"
        assert request.one(b"host") == f"127.0.0.1:{stack.origin.port}".encode()
        assert request.one(b"authorization") == b"Bearer " + KEY.encode()
        await origin.send(answer(b'{"data":[]}', "Content-Type: application/json", "X-Request-Id: req_1"))
        response = await client.message()
        assert response.line == b"HTTP/1.1 200 OK"
        assert response.headers == [
            (b"Content-Length", b"11"),
            (b"Content-Type", b"application/json"),
            (b"X-Request-Id", b"req_1"),
        ]
        assert response.body == b'{"data":[]}'


async def test_a_post_goes_up_whole_and_both_connections_serve_the_next_one() -> None:
    async with data_path() as stack:
        client = await stack.client()
        body = json.dumps({"model": "x"}).encode()
        for number in range(3):
            await client.send(stack.head("POST", "/v1/responses", f"Content-Length: {len(body)}") + body)
            if number == 0:
                origin = await stack.origin.accept()
            request = await origin.message()
            assert request.body == body
            assert request.one(b"transfer-encoding") is None
            await origin.send(answer(b"%d" % number))
            assert (await client.message()).body == b"%d" % number
        assert stack.origin.nobody_else()


async def test_events_come_one_by_one_as_upstream_says_them() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("POST", "/v1/responses", "Content-Length: 2") + b"{}")
        origin = await stack.origin.accept()
        await origin.message()
        await origin.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
            b"Transfer-Encoding: chunked\r\n\r\n"
        )
        head = await client.head()
        assert head.one(b"transfer-encoding") == b"chunked"
        assert head.one(b"x-accel-buffering") == b"no"
        for number in range(5):
            event = b"data: %d\n\n" % number
            await origin.send(b"%x\r\n%b\r\n" % (len(event), event))
            assert await client.chunk() == event
        await origin.send(b"0\r\n\r\n")
        assert await client.chunk() is None
