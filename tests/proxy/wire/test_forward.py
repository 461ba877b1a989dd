"""A request's whole way, with hand-made bytes at both ends."""

from __future__ import annotations

import json

import pytest

from raw_http import CLIENT_KEY, answer, data_path

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


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        ("/v1", "/v1"),
        ("/v1?", "/v1?"),
        ("/v1/", "/v1/"),
        ("/v1//files///x", "/v1//files///x"),
        ("/v1/files%2Fabc%2fd", "/v1/files%2Fabc%2fd"),
        ("/v1/x?a=&a=b&&c+d=%2B+%20&a", "/v1/x?a=&a=b&&c+d=%2B+%20&a"),
        ("/v1/a..b/.../x;v=1", "/v1/a..b/.../x;v=1"),
        ("/v1/x?after=../y&u=http://z/", "/v1/x?after=../y&u=http://z/"),
        ("/v1/a\\b", "/v1/a\\b"),
        ("http://localhost:8484/v1/models?x", "/v1/models?x"),
        ("HTTP://LOCALHOST/v1/%7Ex", "/v1/%7Ex"),
    ],
)
async def test_path_and_query_go_up_byte_for_byte(given: str, sent: str) -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("GET", given))
        origin = await stack.origin.accept()
        assert (await origin.message()).line == f"GET {sent} HTTP/1.1".encode()
        await origin.send(answer())
        assert (await client.message()).status == 200


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /v1/../admin", 400),
        ("GET /v1/%2e%2E/admin", 400),
        ("GET /v1/files%2f..%2fadmin", 400),
        ("GET /v1/files\\..\\admin", 400),
        ("GET /v1/..;/admin", 400),
        ("GET /v1x", 404),
        ("GET /models", 404),
        ("GET //v1/models", 404),
        ("GET http://localhost/models", 404),
        ("GET http://evil.example/v1/models", 421),
        ("GET http://user@localhost/v1/models", 400),
        ("GET *", 400),
        ("TRACE /v1/models", 405),
        ("CONNECT api.openai.com:443", 405),
        ("CONNECT /v1/models", 400),
        ("CONNECT api.openai.com", 400),
    ],
)
async def test_what_is_no_target_of_ours_is_refused_and_nothing_goes_up(line: str, status: int) -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head(*line.split(" ")))
        response = await client.message()
        assert response.status == status
        assert json.loads(response.body)["error"]["code"].startswith("sidekey_")
        assert (response.one(b"allow") is not None) == (status == 405)
        assert stack.origin.nobody_else()


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("Host: evil.example\r\n", 421),
        ("Host: localhost.evil.example:8484\r\n", 421),
        ("Host: 10.0.0.1\r\n", 421),
        ("", 400),
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: localhost\r\nhost: evil.example\r\n", 400),
        ("Host:\r\n", 400),
        ("Host: user@localhost\r\n", 400),
        ("Host: localhost evil.example\r\n", 400),
    ],
)
async def test_a_request_for_another_host_or_for_none_goes_nowhere(host: str, status: int) -> None:
    async with data_path() as stack:
        client = await stack.request(
            f"GET /v1/models HTTP/1.1\r\n{host}Authorization: Bearer {CLIENT_KEY}\r\n\r\n".encode()
        )
        response = await client.message()
        assert response.status == status
        assert json.loads(response.body)["error"]["code"].startswith("sidekey_")
        assert stack.origin.nobody_else()


async def test_a_path_outside_v1_is_told_where_the_base_url_ends() -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head("POST", "/chat/completions", "Content-Length: 2") + b"{}")
        response = await client.message()
        assert response.status == 404
        assert "must end in /v1" in json.loads(response.body)["error"]["message"]
        assert stack.origin.nobody_else()


@pytest.mark.parametrize("method", ["G(T", "GET,", "G\xcbT", "", "GE\0T", "GET\t", "[GET]", '"GET"'])
async def test_what_is_no_token_is_no_method(method: str) -> None:
    async with data_path() as stack:
        client = await stack.request(stack.head(method))
        response = await client.message()
        assert response.status == 400
        assert json.loads(response.body)["error"]["code"].startswith("sidekey_")
        assert stack.origin.nobody_else()


@pytest.mark.parametrize("target", ["*", "http://localhost:8484"])
async def test_options_about_the_server_itself_are_answered_here_and_the_connection_serves_on(
    target: str,
) -> None:
    async with data_path() as stack:
        client = await stack.request(f"OPTIONS {target} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        response = await client.message()
        assert response.status == 200
        assert response.one(b"allow") == b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        assert response.one(b"content-length") == b"0"
        await client.send(stack.head("QUERY", "/v1/models"))
        origin = await stack.origin.accept()
        assert (await origin.message()).line == b"QUERY /v1/models HTTP/1.1"
        await origin.send(answer())
        assert (await client.message()).status == 200


async def test_what_is_the_clients_own_or_its_connections_stays_here() -> None:
    own = [
        "Cookie: a=b",
        "X-Api-Key: sk-side-other",
        "Api-Key: sk-side-other",
        "Proxy-Authorization: Basic abc",
        "X-Forwarded-For: 10.0.0.1",
        "X-Forwarded-Proto: https",
        "Forwarded: for=10.0.0.1",
        "Connection: keep-alive, X-Hop, Content-Type-Options, Host",
        "Keep-Alive: timeout=5",
        "X-Hop: 1",
        "TE: trailers",
        "Trailer: X-Sum",
    ]
    kept = [
        "X-Twice: 1",
        "x-TWICE: 2",
        "OpenAI-Organization: org-1",
        "Accept-Encoding: gzip",
        "Via: 1.1 here",
    ]
    async with data_path() as stack:
        await stack.request(stack.head("GET", "/v1/models", *own, *kept))
        request = await (await stack.origin.accept()).message()
        assert [name + b": " + value for name, value in request.headers] == [
            f"Host: 127.0.0.1:{stack.origin.port}".encode(),
            *(field.encode() for field in kept),
            b"Authorization: Bearer " + KEY.encode(),
        ]


async def test_what_is_upstreams_connections_stays_there_and_trailers_become_no_headers() -> None:
    own = [
        b"Connection: keep-alive, X-Hop",
        b"Keep-Alive: timeout=5",
        b"X-Hop: 1",
        b"Set-Cookie: a=b",
        b"Access-Control-Allow-Origin: *",
        b"access-control-expose-headers: x-request-id",
        b"Trailer: X-Sum, Set-Cookie",
        b"Transfer-Encoding: chunked",
    ]
    kept = [b"X-Twice: 1", b"x-TWICE: 2", b"Vary: Origin", b"x-request-id: req_1", b"Server: x"]
    async with data_path() as stack:
        client = await stack.request(stack.head())
        origin = await stack.origin.accept()
        for _ in range(2):
            await origin.message()
            await origin.send(b"\r\n".join([b"HTTP/1.1 200 OK", *own, *kept]) + b"\r\n\r\n")
            await origin.send(b"2\r\n{}\r\n0\r\nX-Sum: 1\r\nSet-Cookie: late=1\r\n\r\n")
            response = await client.head()
            fields = [name + b": " + value for name, value in response.headers]
            assert fields == [*kept, b"Transfer-Encoding: chunked"]
            assert await client.exactly(12) == b"2\r\n{}\r\n0\r\n\r\n"
            await client.send(stack.head())


async def test_a_setting_keeps_organization_and_project_down() -> None:
    async with data_path(forward={"pass_organization": False}) as stack:
        await stack.request(
            stack.head("GET", "/v1/models", "OpenAI-Organization: org-1", "OpenAI-Project: p")
        )
        request = await (await stack.origin.accept()).message()
        assert request.every(b"openai-organization") == request.every(b"openai-project") == []
