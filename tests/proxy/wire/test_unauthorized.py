"""401 answers: which of them are the bearer's, and that all pass on as they came."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable

import brotli
import pytest

from raw_http import Message, Stack, Wire, answer, data_path, until
from sidekey_proxy.replay.copies import Copies

OLD, NEW = "sk-upstream-key-number-one", "sk-upstream-key-number-two"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: x")


def said(code: str | None, message: str = "No.") -> bytes:
    return json.dumps({"error": {"message": message, "type": "x", "param": None, "code": code}}).encode()


def refusal(body: bytes, *fields: str) -> bytes:
    return answer(body, *fields, status="401 Unauthorized")


FOREIGN = refusal(said("mismatched_organization"))
BELIEVED = refusal(said("invalid_api_key"))


async def asked(stack: Stack, request: bytes | None = None) -> tuple[Wire, Wire]:
    """Send a request, and return its two ends when it has arrived."""
    client = await stack.request(request or stack.head())
    origin = await stack.origin.accept()
    await origin.message()
    return client, origin


async def passed_on(stack: Stack, client: Wire) -> Message:
    """Return a 401 that caused nothing."""
    response = await client.message()
    assert response.status == 401
    assert response.one(b"x-sidekey-replay") is None
    assert stack.bearers.refusals == []
    assert stack.bearers.in_vain_told == []
    assert (await stack.record()).replayed is None
    assert stack.forward.unauthorized.renewals == set()
    return response


@pytest.mark.parametrize(
    ("coding", "encode"),
    [("gzip", gzip.compress), ("deflate", zlib.compress), ("br", brotli.compress), ("identity", bytes)],
)
async def test_a_401_that_speaks_of_something_else_passes_on_as_it_came_and_causes_no_refresh(
    coding: str, encode: Callable[[bytes], bytes]
) -> None:
    body = encode(said("mismatched_organization"))
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(refusal(body, f"Content-Encoding: {coding}", "X-Request-Id: req_foreign"))
        response = await passed_on(stack, client)
        assert response.body == body
        assert response.one(b"content-encoding") == coding.encode()
        assert response.one(b"content-length") == b"%d" % len(body)
        assert response.one(b"x-request-id") == b"req_foreign"


async def test_missing_scopes_that_only_the_message_tells_of_cause_no_refresh() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(refusal(said(None, "You have insufficient permissions. Missing scopes: a.b.")))
        await passed_on(stack, client)


async def test_a_code_of_the_setting_causes_no_refresh() -> None:
    async with data_path(OLD, NEW, forward={"foreign_refusals": ("Account_On_Hold",)}) as stack:
        client, origin = await asked(stack)
        await origin.send(refusal(said("account_on_hold")))
        await passed_on(stack, client)


async def test_a_foreign_401_to_a_body_that_is_not_kept_causes_nothing_either() -> None:
    async with data_path(OLD, NEW, forward={"copies": Copies(limit=1)}) as stack:
        client, origin = await asked(stack, stack.head("POST", "/v1/x", "Content-Length: 2") + b"{}")
        await origin.send(FOREIGN)
        await passed_on(stack, client)


async def test_a_connection_whose_401_was_looked_at_serves_the_next_request() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(FOREIGN)
        await passed_on(stack, client)
        await client.send(stack.head())
        await origin.message()
        await origin.send(answer(b"fine"))
        assert (await client.message()).body == b"fine"


@pytest.mark.parametrize("body", [b"", b"<html>no</html>", b"\x1f\x8bbroken"])
async def test_a_401_that_cannot_be_understood_is_believed(body: bytes) -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(refusal(body, "Content-Encoding: gzip"))
        assert (await origin.message()).one(b"authorization") == b"Bearer " + NEW.encode()
        await origin.send(answer(b"fine"))
        assert (await client.message()).body == b"fine"
        assert stack.bearers.kinds == [""]


async def test_the_broker_is_told_the_kind() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(refusal(said("token_expired")))
        await origin.message()
        await origin.send(refusal(said("invalid_api_key")))
        assert (await client.message()).status == 401
        assert stack.bearers.kinds == ["token_expired"]
        assert stack.bearers.in_vain_told == [(stack.bearers.all[1], "token_expired")]


async def test_a_fresh_bearer_whose_401_speaks_of_something_else_was_not_in_vain() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(BELIEVED)
        await origin.message()
        await origin.send(FOREIGN)
        response = await client.message()
        assert (response.status, response.body) == (401, said("mismatched_organization"))
        assert response.one(b"x-sidekey-replay") == b"done"
        assert stack.bearers.in_vain_told == []


async def test_a_second_try_that_fails_is_told_of_too() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack, stack.head("POST", "/v1/x", "Content-Length: 2") + b"{}")
        await origin.send(BELIEVED)
        await origin.message()
        origin.abort()
        response = await client.message()
        assert (response.status, response.one(b"x-sidekey-replay")) == (502, b"done")


async def test_a_second_try_whose_bearer_must_not_go_there_is_none() -> None:
    async with data_path(OLD, NEW, forward={"may_carry": lambda bearer: bearer.generation == 1}) as stack:
        client, origin = await asked(stack)
        await origin.send(BELIEVED)
        response = await client.message()
        assert (response.status, response.one(b"x-sidekey-replay")) == (403, None)


async def test_a_401_whose_body_does_not_come_is_not_waited_for_long() -> None:
    async with data_path(OLD, NEW) as stack:
        stack.forward.unauthorized.patience = 0.05
        client, origin = await asked(stack)
        await origin.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\n{")
        second = await stack.origin.accept()
        assert (await second.message()).one(b"authorization") == b"Bearer " + NEW.encode()
        await second.send(answer(b"fine"))
        assert (await client.message()).body == b"fine"


async def test_a_body_that_comes_late_passes_on_whole_all_the_same() -> None:
    async with data_path(OLD) as stack:
        stack.forward.unauthorized.patience = 0.05
        client, origin = await asked(stack)
        body = said("invalid_api_key")
        await origin.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:5])
        assert (await client.head()).status == 401
        await origin.send(body[5:])
        assert await client.exactly(len(body)) == body


async def test_a_long_401_is_looked_at_in_its_beginning_and_streams_on() -> None:
    head, rest = b"x" * 70_000, b"y" * 300_000
    async with data_path(OLD) as stack:
        stack.forward.unauthorized.patience = 60
        client, origin = await asked(stack)
        length = len(head) + len(rest)
        await origin.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: %d\r\n\r\n" % length + head)
        assert (await client.head()).status == 401
        assert await client.exactly(len(head)) == head
        await origin.send(rest)
        assert await client.exactly(len(rest)) == rest


async def test_a_chunked_401_is_looked_at_and_passes_on() -> None:
    body = said("no_organization")
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(b"HTTP/1.1 401 Unauthorized\r\nTransfer-Encoding: chunked\r\n\r\n")
        for byte in body:
            await origin.send(b"1\r\n%c\r\n" % byte)
        await origin.send(b"0\r\n\r\n")
        assert (await passed_on(stack, client)).body == body


async def test_a_401_that_is_cut_reaches_the_client_as_cut() -> None:
    async with data_path(OLD) as stack:
        client, origin = await asked(stack)
        await origin.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nhalf")
        origin.close()
        assert (await client.head()).status == 401
        assert await client.rest() == b"half"
        assert (await stack.record()).ending == "cut"


async def test_a_client_that_leaves_while_its_401_is_looked_at_ends_the_request() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack)
        await origin.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 100\r\n\r\nhalf")
        client.abort()
        await origin.ended()
        assert (await stack.record()).ending == "gone"
        assert stack.bearers.refusals == []


async def test_a_handshake_that_is_refused_for_another_reason_causes_no_refresh() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack, stack.head("GET", "/v1/realtime", *UPGRADE))
        await origin.send(FOREIGN)
        assert (await passed_on(stack, client)).body == said("mismatched_organization")


async def test_a_handshake_whose_bearer_is_refused_is_made_again() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await asked(stack, stack.head("GET", "/v1/realtime", *UPGRADE))
        await origin.send(BELIEVED)
        again = await origin.head()
        assert again.one(b"authorization") == b"Bearer " + NEW.encode()
        assert again.one(b"upgrade") == b"websocket"
        await origin.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
        )
        switched = await client.head()
        assert (switched.status, switched.one(b"x-sidekey-replay")) == (101, b"done")
        assert stack.bearers.kinds == ["invalid_api_key"]


async def test_a_body_announced_longer_than_may_be_kept_waits_for_a_renewal_that_is_due() -> None:
    async with data_path(OLD, NEW, forward={"copies": Copies(limit=10)}) as stack:
        stack.bearers.due_gate.clear()
        client = await stack.request(stack.head("POST", "/v1/files", "Content-Length: 11") + b"x" * 11)
        await until(lambda: stack.bearers.due_renewals == 1)
        assert stack.origin.nobody_else()
        stack.bearers.current = stack.bearers.all[1]
        stack.bearers.due_gate.set()
        origin = await stack.origin.accept()
        request = await origin.message()
        assert request.one(b"authorization") == b"Bearer " + NEW.encode()
        assert request.body == b"x" * 11
        await origin.send(answer(b"fine"))
        assert (await client.message()).body == b"fine"


async def test_a_body_that_can_be_sent_again_waits_for_no_renewal() -> None:
    async with data_path(OLD, forward={"copies": Copies(limit=10)}) as stack:
        stack.bearers.due_gate.clear()
        client, origin = await asked(stack, stack.head("POST", "/v1/files", "Content-Length: 10") + b"x" * 10)
        await origin.send(answer(b"fine"))
        assert (await client.message()).body == b"fine"
        assert stack.bearers.due_renewals == 0
