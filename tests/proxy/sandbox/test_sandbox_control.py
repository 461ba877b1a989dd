"""The control endpoint: its levers, and that nobody moves them without its token, or from elsewhere."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import aiohttp
import pytest

from canary import Canary
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import ApiStatus, RefreshLeavesOut, Sandbox
from sidekey_proxy.sandbox.ready import Whereabouts, read_ready_file, write_ready_file

from .conftest import Hand


def url(sandbox: Sandbox, action: str = "secrets") -> str:
    return f"{sandbox.base_url}/sandbox/control/{action}"


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer "}])
async def test_without_its_token_the_control_endpoint_does_nothing(
    hand: Hand, header: dict[str, str]
) -> None:
    async with hand.http.post(url(hand.sandbox), headers=header, json={}) as answer:
        assert answer.status == 401
        body = await answer.text()
    assert not [secret for secret in hand.sandbox.issued_secrets() if secret.reveal() in body]


@pytest.mark.parametrize(
    "header", [{"Host": "evil.example"}, {"Host": "evil.example:80"}, {"Origin": "http://localhost:3000"}]
)
async def test_a_foreign_host_or_a_browser_is_refused_with_the_token(
    hand: Hand, header: dict[str, str]
) -> None:
    headers = {"Authorization": f"Bearer {hand.sandbox.control_token.reveal()}", **header}
    async with hand.http.post(url(hand.sandbox), headers=headers, json={}) as answer:
        assert answer.status == 403


async def test_an_api_key_is_not_a_control_token(hand: Hand) -> None:
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    async with hand.http.post(url(hand.sandbox), headers=headers, json={}) as answer:
        assert answer.status == 401


async def test_a_body_that_is_not_json_is_refused(hand: Hand) -> None:
    headers = {"Authorization": f"Bearer {hand.sandbox.control_token.reveal()}"}
    async with hand.http.post(url(hand.sandbox), headers=headers, data={"a": "b"}) as answer:
        assert answer.status == 400


async def test_faults_are_put_listed_and_cleared(hand: Hand) -> None:
    assert (await hand.control("faults", fault="ApiStatus", status=429, times=2))[0] == 200
    assert (await hand.control("faults", fault="RefreshLeavesOut", fields=["id_token"]))[0] == 200
    assert hand.sandbox.faults.waiting() == (
        ApiStatus(status=429, times=2),
        RefreshLeavesOut(fields=("id_token",)),
    )
    _, listed = await hand.control("waiting-faults")
    assert [fault["fault"] for fault in listed["faults"]] == ["ApiStatus", "RefreshLeavesOut"]
    await hand.control("clear-faults")
    assert hand.sandbox.faults.waiting() == ()


@pytest.mark.parametrize(
    "wish",
    [
        {"fault": "Earthquake"},
        {},
        {"fault": "ApiStatus", "status": "many"},
        {"fault": "ApiStatus", "colour": "red"},
        {"fault": "ApiStatus", "times": 0},
        {"fault": "TokenLifetime"},
        {"fault": "RefreshLeavesOut", "fields": ["everything"]},
    ],
)
async def test_a_fault_that_cannot_be_is_refused(hand: Hand, wish: dict[str, object]) -> None:
    status, answer = await hand.control("faults", **wish)
    assert status == 400
    assert answer["error"]["message"]
    assert hand.sandbox.faults.waiting() == ()


async def test_keys_are_issued_and_revoked(hand: Hand) -> None:
    one, other = [Secret((await hand.control("issue-key"))[1]["key"]) for _ in range(2)]
    await hand.control("revoke-keys", key=one.reveal())
    assert [await hand.models(key) for key in (one, other)] == [401, 200]
    await hand.control("revoke-keys")
    assert await hand.models(other) == 401


async def test_a_sign_in_by_control_gives_tokens_that_work(hand: Hand) -> None:
    _, tokens = await hand.control("sign-in")
    known = {"refresh_token": tokens["refresh_token"]}
    assert (await hand.control("knows", **known))[1] == {"knows": True}
    assert (await hand.refresh(Secret(tokens["refresh_token"])))[0] == 200
    assert (await hand.control("knows", **known))[1] == {"knows": False}


async def test_who_signs_in_can_be_changed(hand: Hand) -> None:
    status, account = await hand.control("account", email="grace@example.com", organization_id=None)
    assert (status, account["email"], account["plan"]) == (200, "grace@example.com", "plus")
    assert (await hand.exchange(hand.sandbox.id_token()))[0] == 401
    assert (await hand.control("account", shoe_size=42))[0] == 400


async def test_the_signing_key_is_rotated(hand: Hand) -> None:
    _, answer = await hand.control("rotate-signing-key", keep_old=False)
    async with hand.http.get(f"{hand.sandbox.issuer}/.well-known/jwks.json") as jwks:
        assert [key["kid"] for key in (await jwks.json())["keys"]] == [answer["kid"]]


async def test_events_are_listed_and_waited_for(hand: Hand) -> None:
    waiting = asyncio.create_task(hand.control("events", kind="jwks", count=1, timeout=10))
    async with hand.http.get(f"{hand.sandbox.issuer}/.well-known/jwks.json") as answer:
        await answer.read()
    status, found = await waiting
    assert (status, [event["status"] for event in found["events"]]) == (200, [200])
    assert (await hand.control("events"))[1]["events"] == found["events"]
    assert (await hand.control("events", kind="refresh", timeout=0.01))[0] == 408


async def test_every_secret_ever_issued_is_told(hand: Hand) -> None:
    tokens = hand.sandbox.sign_in()
    key = hand.sandbox.issue_key()
    assert tokens.refresh_token
    await hand.refresh(tokens.refresh_token)
    _, answer = await hand.control("secrets")
    assert set(answer["secrets"]) == {secret.reveal() for secret in hand.sandbox.issued_secrets()}
    assert {key, tokens.id_token, tokens.access_token, tokens.refresh_token, hand.sandbox.control_token} <= {
        Secret(value) for value in answer["secrets"]
    }


async def test_a_waiting_device_is_approved(hand: Hand) -> None:
    _, device = await hand.json("/api/accounts/deviceauth/usercode", client_id=hand.sandbox.client_id)
    assert (await hand.control("approve-device", user_code=device["user_code"]))[1] == {"approved": True}
    assert (await hand.control("approve-device", user_code="WRONG"))[1] == {"approved": False}


async def test_an_unknown_action_is_answered_with_the_known_ones(hand: Hand) -> None:
    status, answer = await hand.control("explode")
    assert status == 404
    assert "revoke-keys" in answer["error"]["message"]


# --- other processes --------------------------------------------------------------------------------------


def test_the_ready_file_is_for_its_owner_only_and_can_be_read_back(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    for port in (1, 2):
        there = Whereabouts(f"http://127.0.0.1:{port}", Secret("a-control-token"))
        write_ready_file(path, there)
        assert path.stat().st_mode & 0o777 == 0o600
        assert read_ready_file(path) == there
    assert list(tmp_path.glob("ready*")) == [path]


@pytest.mark.parametrize("text", [None, "", "[]", '{"base_url": "x"}', '{"base_url":"x","control_token":""}'])
def test_a_missing_or_broken_ready_file_means_no_sandbox(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "ready.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match="no running sandbox"):
        read_ready_file(path)


async def test_a_sandbox_of_its_own_process_serves_until_it_is_told_to_end(
    tmp_path: Path, http: aiohttp.ClientSession, canary: Canary
) -> None:
    path = tmp_path / "ready.json"
    arguments = (sys.executable, "-m", "sidekey_proxy.sandbox", "--ready-file", str(path))
    process = await asyncio.create_subprocess_exec(
        *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    assert process.stdout
    try:
        line = (await process.stdout.readline()).decode()
        there = read_ready_file(path)
        headers = {"Authorization": f"Bearer {there.control_token.reveal()}"}
        address = f"{there.base_url}/sandbox/control/issue-key"
        async with http.post(address, headers=headers, json={}) as answer:
            assert json.loads(await answer.text())["key"].startswith("sk-")
    finally:
        process.terminate()
        rest = await process.communicate()
    assert process.returncode == 0
    assert there.base_url in line
    canary.check(line + rest[0].decode())
    assert not path.exists()
