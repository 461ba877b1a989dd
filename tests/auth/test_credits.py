from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from canary import Canary
from sidekey_auth.credits import redeem_credits
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_proxy.sandbox import RedeemRefused, Sandbox, SandboxAccount, SandboxSettings


def anywhere(_: str) -> bool:
    return True


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings()) as running:
        yield running


async def test_a_subscriber_gets_credits(sandbox: Sandbox) -> None:
    token = sandbox.id_token()
    result = await redeem_credits(sandbox.upstream, token, IssuerSettings(), may_carry=anywhere)
    assert result.problem is None
    assert result.granted is not None
    assert result.granted > 0
    (event,) = sandbox.events.of("redeem")
    assert (event.method, event.target) == ("POST", "/v1/billing/redeem_credits")
    assert event.header("Authorization") is None


async def test_a_refusal_is_one_line_and_no_exception(sandbox: Sandbox, canary: Canary) -> None:
    account = SandboxAccount(plan="free")
    result = await redeem_credits(
        sandbox.upstream, sandbox.id_token(account=account), IssuerSettings(), may_carry=anywhere
    )
    assert result.granted is None
    assert result.problem is not None
    assert result.problem.startswith("the API credits were not redeemed: 403 ")
    assert len(result.problem.splitlines()) == 1
    canary.check(result.problem)


async def test_a_time_out_is_no_exception(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidekey_auth.credits.TIMEOUT", 0.1)
    sandbox.faults.put(RedeemRefused(delay=30))
    result = await redeem_credits(sandbox.upstream, sandbox.id_token(), IssuerSettings(), may_carry=anywhere)
    assert result.problem is not None
    assert "in time" in result.problem


async def test_nobody_there_is_no_exception(sandbox: Sandbox) -> None:
    result = await redeem_credits(
        "http://127.0.0.1:1/v1", sandbox.id_token(), IssuerSettings(), may_carry=anywhere
    )
    assert result.problem is not None


async def test_an_id_token_does_not_travel_in_the_clear(sandbox: Sandbox) -> None:
    result = await redeem_credits(
        "http://api.example/v1", sandbox.id_token(), IssuerSettings(), may_carry=anywhere
    )
    assert (
        result.problem == "the API credits were not redeemed: api.example would get the id_token in the clear"
    )


async def test_where_no_token_of_a_sign_in_may_go_nothing_is_sent(sandbox: Sandbox) -> None:
    asked: list[str] = []

    def nowhere(url: str) -> bool:
        asked.append(url)
        return False

    result = await redeem_credits(sandbox.upstream, sandbox.id_token(), IssuerSettings(), may_carry=nowhere)
    assert result.granted is None
    assert result.problem == (
        "the API credits were not redeemed: no token of a sign-in may go to 127.0.0.1; "
        "name it in the setting allow_upstream"
    )
    assert asked == [f"{sandbox.upstream}/billing/redeem_credits"], "the very address that would get it"
    assert sandbox.events.seen("redeem") == 0
