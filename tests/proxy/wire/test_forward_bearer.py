"""What happens with the bearer: none there, refused, refused again."""

from __future__ import annotations

import asyncio
import json

from raw_http import PATIENCE, Stack, Wire, answer, data_path, until
from sidekey_auth.errors import NoBearer, VaultUnreadable
from sidekey_proxy.replay.copies import Copies

OLD, NEW = "sk-upstream-key-number-one", "sk-upstream-key-number-two"
REFUSAL = answer(
    b'{"error":{"code":"invalid_api_key"}}', "X-Request-Id: req_refused", status="401 Unauthorized"
)


def code_in(body: bytes) -> str:
    code: str = json.loads(body)["error"]["code"]
    return code


async def _first_try(stack: Stack, request: bytes) -> tuple[Wire, Wire]:
    client = await stack.request(request)
    return client, await stack.origin.accept()


async def test_a_refused_bearer_is_renewed_and_the_request_sent_again() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await _first_try(
            stack, stack.head("POST", "/v1/responses", "Content-Length: 5") + b"hello"
        )
        refused = await origin.message()
        assert refused.one(b"authorization") == b"Bearer " + OLD.encode()
        await origin.send(REFUSAL)
        again = await origin.message()
        assert again.one(b"authorization") == b"Bearer " + NEW.encode()
        assert again.body == refused.body == b"hello"
        await origin.send(answer(b"fine"))
        response = await client.message()
        assert (response.status, response.body) == (200, b"fine")
        assert response.one(b"x-sidekey-replay") == b"done"
        assert [b.generation for b in stack.bearers.refusals] == [1]
        assert [b.generation for b in stack.bearers.acceptances] == [2]
        record = await stack.record()
        assert (record.status, record.generation, record.replayed) == (200, 2, "done")


async def test_a_refusal_that_no_other_bearer_helps_is_passed_on_as_it_is() -> None:
    async with data_path(OLD) as stack:
        client, origin = await _first_try(stack, stack.head())
        await origin.message()
        await origin.send(REFUSAL)
        response = await client.message()
        assert (response.status, response.one(b"x-request-id")) == (401, b"req_refused")
        assert response.body == b'{"error":{"code":"invalid_api_key"}}'
        assert response.one(b"x-sidekey-replay") is None
        assert len(stack.bearers.refusals) == 1
        assert stack.bearers.acceptances == []


async def test_a_second_refusal_is_upstreams_own_answer() -> None:
    async with data_path(OLD, NEW, "sk-upstream-key-number-three") as stack:
        client, origin = await _first_try(stack, stack.head())
        await origin.message()
        await origin.send(REFUSAL)
        await origin.message()
        await origin.send(REFUSAL)
        response = await client.message()
        assert response.status == 401
        assert response.one(b"x-sidekey-replay") == b"done"
        assert [b.generation for b in stack.bearers.refusals] == [1]
        assert stack.bearers.in_vain_told == [(stack.bearers.all[1], "invalid_api_key")]


async def test_a_body_that_was_too_long_to_keep_is_not_repeated_but_the_refusal_is_told() -> None:
    async with data_path(OLD, NEW, forward={"copies": Copies(limit=10)}) as stack:
        client, origin = await _first_try(
            stack, stack.head("POST", "/v1/files", "Content-Length: 11") + b"x" * 11
        )
        await origin.message()
        await origin.send(REFUSAL)
        response = await client.message()
        assert response.status == 401
        assert response.one(b"x-sidekey-replay") == b"not-possible"
        await until(lambda: stack.bearers.current == stack.bearers.all[1])
        assert (await stack.record()).replayed == "not-possible"


async def test_a_refusal_before_the_body_is_there_replays_what_came_and_streams_the_rest() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await _first_try(
            stack, stack.head("POST", "/v1/responses", "Content-Length: 10") + b"01234"
        )
        await origin.head()
        assert await origin.exactly(5) == b"01234"
        await origin.send(REFUSAL)
        second = await stack.origin.accept()
        head = await second.head()
        assert head.one(b"authorization") == b"Bearer " + NEW.encode()
        assert await second.exactly(5) == b"01234"
        await client.send(b"56789")
        assert await second.exactly(5) == b"56789"
        await second.send(answer(b"fine"))
        response = await client.message()
        assert (response.status, response.body) == (200, b"fine")
        assert len(stack.bearers.refusals) == 1


async def test_a_client_that_sends_on_while_a_bearer_is_fetched_does_not_spoil_the_replay() -> None:
    """The copy would outgrow its limit; what comes after the refusal is streamed the second time."""
    async with data_path(OLD, NEW, forward={"copies": Copies(limit=1000)}) as stack:
        stack.bearers.gate.clear()
        client, origin = await _first_try(
            stack, stack.head("POST", "/v1/responses", "Content-Length: 3000") + b"a" * 900
        )
        await origin.head()
        await origin.exactly(900)
        await origin.send(REFUSAL)
        await until(lambda: len(stack.bearers.refusals) == 1)
        await client.send(b"b" * 2100)
        await until(lambda: stack.exchanges[0].received == 3000)
        stack.bearers.gate.set()
        second = await stack.origin.accept()
        assert (await second.message()).body == b"a" * 900 + b"b" * 2100
        await second.send(answer(b"fine"))
        assert (await client.message()).status == 200


async def test_a_chunked_body_is_replayed_in_chunks() -> None:
    async with data_path(OLD, NEW) as stack:
        client, origin = await _first_try(
            stack,
            stack.head("POST", "/v1/responses", "Transfer-Encoding: chunked") + b"3\r\nabc\r\n0\r\n\r\n",
        )
        assert (await origin.message()).body == b"abc"
        await origin.send(REFUSAL)
        again = await origin.message()
        assert again.one(b"transfer-encoding") == b"chunked"
        assert again.body == b"abc"
        await origin.send(answer(b"fine"))
        assert (await client.message()).status == 200


async def test_without_a_bearer_nothing_goes_up_and_the_answer_says_what_to_run() -> None:
    async with data_path() as stack:
        stack.bearers.current = None
        client = await stack.request(stack.head("POST", "/v1/responses", "Content-Length: 2") + b"{}")
        response = await client.message()
        assert response.status == 401
        assert response.one(b"x-should-retry") == b"false"
        assert code_in(response.body) == "sidekey_login_required"
        assert b"Run sidekey login" in response.body
        assert stack.bearers.obtained == 0
        assert stack.origin.nobody_else()
        record = await stack.record()
        assert (record.status, record.code, record.generation) == (401, "sidekey_login_required", None)


async def test_a_bearer_that_may_come_is_waited_for() -> None:
    async with data_path(OLD) as stack:
        bearer, stack.bearers.current = stack.bearers.current, None
        stack.bearers.missing = NoBearer("A refresh is under way", state_code="refreshing", transient=True)
        stack.bearers.gate.clear()
        client = await stack.request(stack.head())
        await until(lambda: stack.bearers.obtained == 1)
        stack.bearers.current = bearer
        stack.bearers.gate.set()
        origin = await stack.origin.accept()
        assert (await origin.message()).one(b"authorization") == b"Bearer " + OLD.encode()
        await origin.send(answer())
        assert (await client.message()).status == 200


async def test_a_bearer_that_did_not_come_this_time_makes_a_503() -> None:
    async with data_path() as stack:
        stack.bearers.current = None
        stack.bearers.missing = NoBearer("The issuer is away", state_code="degraded", transient=True)
        client = await stack.request(stack.head())
        response = await client.message()
        assert response.status == 503
        assert response.one(b"retry-after") is not None
        assert code_in(response.body) == "sidekey_bearer_unavailable"


async def test_a_vault_that_cannot_be_read_leaves_upstreams_refusal() -> None:
    async with data_path(OLD, NEW) as stack:

        async def unreadable(_bearer: object, _kind: str) -> None:
            raise VaultUnreadable("the vault is damaged")

        stack.bearers.refused = unreadable  # type: ignore[assignment,method-assign]
        client, origin = await _first_try(stack, stack.head())
        await origin.message()
        await origin.send(REFUSAL)
        assert (await client.message()).one(b"x-request-id") == b"req_refused"


async def test_a_bearer_that_must_not_go_there_does_not() -> None:
    async with data_path(forward={"may_carry": lambda bearer: bearer.origin == "api_key"}) as stack:
        client = await stack.request(stack.head())
        response = await client.message()
        assert response.status == 403
        assert code_in(response.body) == "sidekey_upstream_not_allowed"
        assert stack.origin.nobody_else()


async def test_a_client_that_leaves_does_not_end_the_renewal_for_later_requests() -> None:
    async with data_path(OLD, NEW, forward={"copies": Copies(limit=1)}) as stack:
        stack.bearers.gate.clear()
        client, origin = await _first_try(stack, stack.head("POST", "/v1/x", "Content-Length: 2") + b"{}")
        await origin.message()
        await origin.send(REFUSAL)
        assert (await client.message()).status == 401
        client.close()
        stack.bearers.gate.set()
        async with asyncio.timeout(PATIENCE):
            while stack.forward.unauthorized.renewals:
                await asyncio.wait(stack.forward.unauthorized.renewals)
        assert stack.bearers.current == stack.bearers.all[1]
