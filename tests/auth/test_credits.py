from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from canary import Canary
from sidekey_auth.credits import redeem_credits
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_proxy.sandbox import RedeemRefused, Sandbox, SandboxAccount, SandboxSettings


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings()) as running:
        yield running


async def test_a_subscriber_gets_credits(sandbox: Sandbox) -> None:
    token = sandbox.id_token()
    result = await redeem_credits(sandbox.upstream, token, IssuerSettings())
    assert result.problem is None
    assert result.granted is not None
    assert result.granted > 0
    (event,) = sandbox.events.of("redeem")
    assert (event.method, event.target) == ("POST", "/v1/billing/redeem_credits")
    assert event.header("Authorization") is None


async def test_a_refusal_is_one_line_and_no_exception(sandbox: Sandbox, canary: Canary) -> None:
    account = SandboxAccount(plan="free")
    result = await redeem_credits(sandbox.upstream, sandbox.id_token(account=account), IssuerSettings())
    assert result.granted is None
    assert result.problem is not None
    assert result.problem.startswith("the API credits were not redeemed: 403 ")
    assert len(result.problem.splitlines()) == 1
    canary.check(result.problem)


async def test_a_time_out_is_no_exception(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidekey_auth.credits.TIMEOUT", 0.1)
    sandbox.faults.put(RedeemRefused(delay=30))
    result = await redeem_credits(sandbox.upstream, sandbox.id_token(), IssuerSettings())
    assert result.problem is not None
    assert "in time" in result.problem


async def test_nobody_there_is_no_exception(sandbox: Sandbox) -> None:
    result = await redeem_credits("http://127.0.0.1:1/v1", sandbox.id_token(), IssuerSettings())
    assert result.problem is not None


async def test_an_id_token_does_not_travel_in_the_clear(sandbox: Sandbox) -> None:
    result = await redeem_credits("http://api.example/v1", sandbox.id_token(), IssuerSettings())
    assert (
        result.problem == "the API credits were not redeemed: api.example would get the id_token in the clear"
    )
