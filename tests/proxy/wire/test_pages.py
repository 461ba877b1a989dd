"""Web pages that call sidekey, as their browsers put it on the wire."""

from __future__ import annotations

import json

import pytest

from raw_http import CLIENT_KEY, Stack, answer, data_path
from sidekey_auth.secret import Secret
from sidekey_proxy.guard import GuardRules

PAGE = "https://app.example"
LISTED = GuardRules(origins=frozenset({PAGE}), client_keys=(Secret(CLIENT_KEY),))


def preflight(origin: str = PAGE, *fields: str) -> bytes:
    lines = [
        "OPTIONS /v1/responses HTTP/1.1",
        "Host: localhost:8484",
        f"Origin: {origin}",
        "Access-Control-Request-Method: POST",
        "Access-Control-Request-Headers: authorization,content-type",
        "Sec-Fetch-Mode: cors",
        "Sec-Fetch-Site: cross-site",
        *fields,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


async def test_a_listed_pages_preflight_is_answered_without_a_key_and_without_upstream() -> None:
    async with data_path(rules=LISTED) as stack:
        client = await stack.request(preflight(PAGE, "Access-Control-Request-Private-Network: true"))
        response = await client.message(bodiless=True)
        assert response.line == b"HTTP/1.1 204 No Content"
        assert response.names()[-1] == b"date"
        assert response.headers[:-1] == [
            (b"access-control-allow-origin", PAGE.encode()),
            (b"access-control-allow-methods", b"POST"),
            (b"access-control-max-age", b"7200"),
            (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
            (b"access-control-allow-headers", b"authorization,content-type"),
            (b"access-control-allow-private-network", b"true"),
        ]
        assert stack.origin.nobody_else()
        record = await stack.record()
        assert (record.status, record.code, record.ending) == (204, None, "whole")
        await allowed(stack, client_bytes=stack.head("GET", "/v1/models", f"Origin: {PAGE}"))


async def allowed(stack: Stack, *, client_bytes: bytes) -> None:
    client = await stack.request(client_bytes)
    origin = await stack.origin.accept()
    request = await origin.message()
    assert request.one(b"origin") == PAGE.encode()
    fields = ("Access-Control-Allow-Origin: *", "X-Request-ID: req_1", "Vary: Accept-Encoding")
    await origin.send(answer(b"{}", *fields))
    response = await client.message()
    assert response.one(b"access-control-allow-origin") == PAGE.encode()
    assert response.one(b"access-control-expose-headers") == b"x-request-id"
    assert response.every(b"vary") == [b"Accept-Encoding", b"Origin"]


@pytest.mark.parametrize("rules", [LISTED, GuardRules(client_keys=LISTED.client_keys), GuardRules()])
@pytest.mark.parametrize("origin", ["https://other.example", "http://localhost:3000", "null"])
async def test_a_page_that_is_not_listed_gets_nothing_that_it_could_read(
    rules: GuardRules, origin: str
) -> None:
    async with data_path(rules=rules) as stack:
        for data in (preflight(origin), stack.head("GET", "/v1/models", f"Origin: {origin}")):
            client = await stack.request(data)
            response = await client.message()
            assert response.status == 403
            assert json.loads(response.body)["error"]["code"] == "sidekey_origin_not_allowed"
            assert not [name for name in response.names() if name.lower().startswith(b"access-control-")]
        assert stack.origin.nobody_else()


async def test_an_image_on_a_page_that_is_not_listed_is_refused_without_an_origin() -> None:
    async with data_path() as stack:
        fields = ("Sec-Fetch-Site: same-site", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: image")
        client = await stack.request(stack.head("GET", "/v1/models", *fields))
        assert (await client.message()).status == 403
        assert stack.origin.nobody_else()


@pytest.mark.parametrize(
    ("target", "key", "status"), [("/v1/models", "sk-side-wrong", 401), ("/models", CLIENT_KEY, 404)]
)
async def test_a_listed_page_can_read_what_sidekey_itself_says(target: str, key: str, status: int) -> None:
    async with data_path(rules=LISTED) as stack:
        lines = [
            f"GET {target} HTTP/1.1",
            "Host: localhost",
            f"Origin: {PAGE}",
            f"Authorization: Bearer {key}",
        ]
        client = await stack.request("\r\n".join(lines).encode() + b"\r\n\r\n")
        response = await client.message()
        assert response.status == status
        assert response.one(b"access-control-allow-origin") == PAGE.encode()
        assert response.one(b"vary") == b"Origin"


async def test_who_is_no_page_is_told_that_the_answer_may_differ_for_one() -> None:
    async with data_path(rules=LISTED) as stack:
        client = await stack.request(stack.head())
        origin = await stack.origin.accept()
        await origin.message()
        await origin.send(answer())
        response = await client.message()
        assert response.one(b"vary") == b"Origin"
        assert response.one(b"access-control-allow-origin") is None
