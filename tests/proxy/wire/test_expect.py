"""Expect: 100-continue end to end (RFC 9110 section 10.1.1): upstream is asked whether it wants the body."""

from __future__ import annotations

import pytest

from raw_http import PATIENCE, Stack, Wire, answer, data_path, until
from sidekey_proxy.upstream import sending as upstream_sending

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


async def asked(stack: Stack, *framing: str) -> tuple[Wire, Wire]:
    """Let a client ask, and return both ends when upstream was asked."""
    head = stack.head("POST", "/v1/files", *(framing or ("Content-Length: 3",)), "Expect: 100-continue")
    client = await stack.request(head)
    return client, await upstream_asked(stack)


async def upstream_asked(stack: Stack) -> Wire:
    origin = await stack.origin.accept()
    assert (await origin.head()).every(b"expect") == [b"100-continue"]
    return origin


@pytest.mark.parametrize("framing", ["Content-Length: 3", "Transfer-Encoding: chunked"])
async def test_the_body_is_asked_for_when_upstream_asks_for_it(
    monkeypatch: pytest.MonkeyPatch, framing: str
) -> None:
    monkeypatch.setattr(upstream_sending, "CONTINUE_PATIENCE", 10 * PATIENCE)
    async with data_path() as stack:
        client, origin = await asked(stack, framing)
        await origin.send(CONTINUE)
        assert (await client.head()).line == b"HTTP/1.1 100 Continue"
        if framing.startswith("Content-Length"):
            await client.send(b"abc")
            assert await origin.exactly(3) == b"abc"
        else:
            await client.send(b"3\r\nabc\r\n0\r\n\r\n")
            assert await origin.chunk() == b"abc"
            assert await origin.chunk() is None
        await origin.send(answer(b"ok"))
        assert (await client.message()).body == b"ok"
        again = await stack.request(stack.head())
        await origin.head()
        await origin.send(answer(b"the same connection"))
        assert (await again.message()).body == b"the same connection"


@pytest.mark.parametrize("status", ["413 Content Too Large", "417 Expectation Failed", "307 Elsewhere"])
async def test_a_body_that_upstream_does_not_want_is_not_asked_for(status: str) -> None:
    async with data_path(listener={"linger": 0.05}) as stack:
        client, origin = await asked(stack)
        await origin.send(answer(b"no", status=status))
        response = await client.message()
        assert (response.status, response.body) == (int(status[:3]), b"no")
        assert response.one(b"connection") == b"close"
        assert await origin.rest() == b""
        assert (await stack.record()).bytes_up == 0


async def test_a_body_that_upstream_does_not_want_is_not_sent_while_its_answer_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_sending, "CONTINUE_PATIENCE", 0.05)
    async with data_path(listener={"linger": 0.05}) as stack:
        client, origin = await asked(stack)
        [connection] = stack.pool._open
        sending = connection._sending
        assert sending is not None
        await origin.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nno")
        assert (await client.head()).status == 413
        await client.send(b"abc")
        await until(sending._task.done)
        await origin.send(b"pe")
        assert await client.rest() == b"nope"
        assert await origin.rest() == b""


async def test_a_refused_bearer_is_replaced_before_the_body_is_asked_for() -> None:
    async with data_path("sk-upstream-key-number-one", "sk-upstream-key-number-two") as stack:
        client, origin = await asked(stack)
        await origin.send(answer(status="401 Unauthorized"))
        second = await upstream_asked(stack)
        await second.send(CONTINUE)
        assert (await client.head()).line == b"HTTP/1.1 100 Continue"
        await client.send(b"abc")
        assert await second.exactly(3) == b"abc"
        await second.send(answer(b"ok"))
        response = await client.message()
        assert (response.body, response.one(b"x-sidekey-replay")) == (b"ok", b"done")


async def test_a_401_that_no_bearer_helps_reaches_a_client_that_was_never_asked() -> None:
    async with data_path(listener={"linger": 0.05}) as stack:
        client, origin = await asked(stack)
        await origin.send(answer(b"refused", status="401 Unauthorized"))
        response = await client.message()
        assert (response.status, response.body) == (401, b"refused")


async def test_an_upstream_that_does_not_know_the_expectation_gets_the_body_after_a_while(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_sending, "CONTINUE_PATIENCE", 0.05)
    async with data_path() as stack:
        client, origin = await asked(stack)
        assert (await client.head()).line == b"HTTP/1.1 100 Continue"
        await client.send(b"abc")
        assert await origin.exactly(3) == b"abc"
        await origin.send(CONTINUE + answer(b"ok"))
        assert (await client.message()).body == b"ok"


async def test_an_answer_that_begins_without_a_100_does_not_keep_the_body_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(upstream_sending, "CONTINUE_PATIENCE", 0.05)
    async with data_path() as stack:
        client, origin = await asked(stack)
        await origin.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert (await client.head()).status == 200
        await until(lambda: not stack.exchanges[0]._continue_wanted)  # what comes next must be no 100
        await client.send(b"abc")
        assert await origin.exactly(3) == b"abc"
        await origin.send(b"2\r\nok\r\n0\r\n\r\n")
        assert await client.chunk() == b"ok"


async def test_a_body_that_is_here_already_is_sent_without_asking() -> None:
    async with data_path() as stack:
        head = stack.head("POST", "/v1/files", "Content-Length: 3", "Expect: 100-continue")
        client = await stack.request(head + b"abc")
        origin = await stack.origin.accept()
        request = await origin.message()
        assert (request.body, request.every(b"expect")) == (b"abc", [])
        await origin.send(answer(b"ok"))
        assert (await client.message()).body == b"ok"


async def test_a_client_that_leaves_while_upstream_is_asked_is_noticed_there() -> None:
    async with data_path() as stack:
        client, origin = await asked(stack)
        client.close()
        await origin.ended()
        assert (await stack.record()).ending == "gone"


async def test_upstream_that_closes_when_asked_makes_a_502() -> None:
    async with data_path(listener={"linger": 0.05}) as stack:
        client, origin = await asked(stack)
        origin.close()
        assert (await client.message()).status == 502
