"""The token endpoint: each grant as the protocol page has it, and each way it can go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import jwt
import pytest

from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import (
    ExchangeRefused,
    KeyNameRefused,
    RefreshByStranger,
    RefreshLeavesOut,
    Sandbox,
    SandboxAccount,
    SandboxSettings,
    TokenAnswer,
    TokenDropped,
    TokenHang,
    TokenLifetime,
)
from sidekey_proxy.sandbox.tokens import AUTH_CLAIMS

from .conftest import TOKEN_EXCHANGE, Hand


def claims(id_token: str) -> dict[str, object]:
    found: dict[str, object] = jwt.decode(id_token, options={"verify_signature": False})
    return found


# --- refresh ----------------------------------------------------------------------------------------------


async def test_a_refresh_rotates_the_refresh_token_and_returns_all_three(hand: Hand) -> None:
    old = hand.sandbox.sign_in().refresh_token
    assert old
    status, fields = await hand.refresh(old)
    assert status == 200
    assert {"id_token", "access_token", "refresh_token", "token_type", "expires_in"} <= set(fields)
    assert fields["refresh_token"] != old.reveal()
    assert not hand.sandbox.knows(old)
    assert hand.sandbox.knows(Secret(fields["refresh_token"]))


async def test_a_refresh_token_works_once_and_then_is_called_reused(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    first, second = await asyncio.gather(hand.refresh(token), hand.refresh(token))
    assert sorted((first[0], second[0])) == [200, 401]
    refused = first if first[0] == 401 else second
    assert refused[1]["error"]["code"] == "refresh_token_reused"


async def test_the_rest_of_the_session_survives_a_reuse(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    _, fields = await hand.refresh(token)
    await hand.refresh(token)
    assert (await hand.refresh(Secret(fields["refresh_token"])))[0] == 200


async def test_expired_revoked_and_unknown_refresh_tokens_have_codes_of_their_own(hand: Hand) -> None:
    expired, revoked = (hand.sandbox.sign_in().refresh_token for _ in range(2))
    assert expired
    assert revoked
    hand.sandbox.expire_refresh_token(expired)
    hand.sandbox.revoke_refresh_token(revoked)
    codes = [
        (await hand.refresh(token))[1]["error"]["code"]
        for token in (expired, revoked, Secret("rt_never-issued"))
    ]
    assert codes == ["refresh_token_expired", "refresh_token_invalidated", "invalid_grant"]


async def test_a_refresh_in_a_form_is_refused_and_spends_nothing(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    status, fields = await hand.form(
        grant_type="refresh_token", client_id=hand.sandbox.client_id, refresh_token=token.reveal()
    )
    assert (status, fields["error"]) == (400, "invalid_request")
    assert hand.sandbox.knows(token)


async def test_a_refresh_for_another_client_is_refused_and_spends_nothing(
    http: aiohttp.ClientSession,
) -> None:
    async with Sandbox(SandboxSettings(client_ids=("app_one", "app_two"))) as sandbox:
        token = sandbox.sign_in().refresh_token
        assert token
        status, fields = await Hand(http, sandbox).refresh(token, client_id="app_two")
        assert (status, fields["error"]["code"]) == (401, "invalid_client")
        assert sandbox.knows(token)


async def test_refresh_tokens_expire_where_they_have_a_lifetime(http: aiohttp.ClientSession) -> None:
    async with Sandbox(SandboxSettings(refresh_lifetime=-1.0)) as sandbox:
        token = sandbox.sign_in().refresh_token
        assert token
        _, fields = await Hand(http, sandbox).refresh(token)
        assert fields["error"]["code"] == "refresh_token_expired"


@pytest.mark.parametrize("left_out", ["id_token", "access_token", "refresh_token"])
async def test_a_refresh_can_leave_out_any_token(hand: Hand, left_out: str) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    hand.sandbox.faults.put(RefreshLeavesOut(fields=(left_out,)))  # type: ignore[arg-type]
    status, fields = await hand.refresh(token)
    assert status == 200
    assert {"id_token", "access_token", "refresh_token"} - set(fields) == {left_out}
    assert hand.sandbox.knows(token) is (left_out == "refresh_token")


async def test_a_refresh_can_bring_a_strangers_id_token(hand: Hand) -> None:
    tokens = hand.sandbox.sign_in()
    assert tokens.refresh_token
    hand.sandbox.faults.put(RefreshByStranger(email="eve@example.com"))
    _, fields = await hand.refresh(tokens.refresh_token)
    assert claims(fields["id_token"])["email"] == "eve@example.com"
    _, again = await hand.refresh(Secret(fields["refresh_token"]))
    assert claims(again["id_token"])["email"] == hand.sandbox.account.email


async def test_a_lifetime_on_demand_holds_for_as_many_refreshes_as_asked(hand: Hand) -> None:
    hand.sandbox.faults.put(TokenLifetime(seconds=30, times=2))
    lifetimes = []
    for _ in range(3):
        token = hand.sandbox.sign_in().id_token
        assert token
        said = jwt.decode(token.reveal(), options={"verify_signature": False})
        lifetimes.append(said["exp"] - said["iat"])
    assert lifetimes == [30, 30, 3600]


async def test_a_preset_answer_replaces_the_refresh_and_spends_nothing(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    portal = "<html>Please log in to the café's network</html>"
    hand.sandbox.faults.put(TokenAnswer(status=401, body=portal, content_type="text/html", retry_after=7))
    url = f"{hand.sandbox.issuer}/oauth/token"
    wish = {"client_id": hand.sandbox.client_id, "grant_type": "refresh_token"}
    async with hand.http.post(url, json={**wish, "refresh_token": token.reveal()}) as answer:
        assert (answer.status, answer.content_type, answer.headers["Retry-After"]) == (401, "text/html", "7")
        assert await answer.text() == portal
    assert (await hand.refresh(token))[0] == 200


async def test_a_refresh_can_be_consumed_and_never_answered(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    hand.sandbox.faults.put(TokenDropped())
    with pytest.raises(aiohttp.ClientError):
        await hand.refresh(token)
    assert not hand.sandbox.knows(token)
    assert (await hand.sandbox.wait_for("refresh")).outcome == "dropped"
    assert (await hand.refresh(token))[1]["error"]["code"] == "refresh_token_reused"


async def test_a_connection_can_drop_before_the_refresh_was_consumed(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    hand.sandbox.faults.put(TokenDropped(consumed=False))
    with pytest.raises(aiohttp.ClientError):
        await hand.refresh(token)
    assert (await hand.refresh(token))[0] == 200


@pytest.mark.parametrize("consumed", [True, False])
async def test_a_refresh_can_hang_before_and_after_it_was_consumed(hand: Hand, consumed: bool) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    hand.sandbox.faults.put(TokenHang(consumed=consumed))
    asking = asyncio.create_task(hand.refresh(token))
    assert (await hand.sandbox.wait_for("refresh")).outcome == "hung"
    assert hand.sandbox.knows(token) is not consumed
    hand.sandbox.release()
    with pytest.raises(aiohttp.ClientError):
        await asking


async def test_a_hung_refresh_does_not_hold_up_the_end(http: aiohttp.ClientSession) -> None:
    sandbox = Sandbox(SandboxSettings(faults=(TokenHang(),)))
    await sandbox.start()
    token = sandbox.sign_in().refresh_token
    assert token
    asking = asyncio.create_task(Hand(http, sandbox).refresh(token))
    await sandbox.wait_for("refresh")
    async with asyncio.timeout(3):
        await sandbox.stop()
    with pytest.raises(aiohttp.ClientError):
        await asking


# --- the key exchange -------------------------------------------------------------------------------------


async def test_an_id_token_is_traded_for_a_key_that_opens_the_api(hand: Hand) -> None:
    id_token = hand.sandbox.sign_in().id_token
    assert id_token
    status, fields = await hand.exchange(id_token)
    assert status == 200
    assert await hand.models(Secret(fields["access_token"])) == 200


async def test_each_exchange_makes_another_key(hand: Hand) -> None:
    id_token = hand.sandbox.id_token()
    first, second = await hand.exchange(id_token), await hand.exchange(id_token)
    assert first[1]["access_token"] != second[1]["access_token"]


async def test_without_an_organisation_there_is_no_key_and_openais_words_say_why(
    http: aiohttp.ClientSession,
) -> None:
    async with Sandbox(SandboxSettings(account=SandboxAccount(organization_id=None))) as sandbox:
        status, fields = await Hand(http, sandbox).exchange(sandbox.id_token())
    assert status == 401
    assert fields["error"]["code"] == "invalid_subject_token"
    assert fields["error"]["message"] == "Invalid ID token: missing organization_id"


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("requested_token", "openai-session"),
        ("requested_token", ""),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:jwt"),
        ("subject_token", ""),
        ("client_id", ""),
    ],
)
async def test_an_exchange_with_a_wrong_field_is_refused(hand: Hand, name: str, wrong: str) -> None:
    status, fields = await hand.exchange(hand.sandbox.id_token(), **{name: wrong})
    assert (status, fields["error"]) == (400, "invalid_request")


async def test_an_exchange_in_json_is_refused(hand: Hand) -> None:
    status, _ = await hand.json(
        "/oauth/token",
        grant_type=TOKEN_EXCHANGE,
        client_id=hand.sandbox.client_id,
        requested_token="openai-api-key",
        subject_token=hand.sandbox.id_token().reveal(),
        subject_token_type="urn:ietf:params:oauth:token-type:id_token",
    )
    assert status == 400


async def test_expired_forged_foreign_and_tampered_id_tokens_are_not_traded(
    http: aiohttp.ClientSession,
) -> None:
    async with Sandbox(SandboxSettings(client_ids=("app_one", "app_two"))) as sandbox:
        good = sandbox.id_token()
        head, payload, signature = good.reveal().split(".")
        odd = [
            sandbox.id_token(lifetime=-60),
            sandbox.id_token(forged=True),
            sandbox.id_token(client_id="app_two"),
            sandbox.id_token(iss="https://elsewhere.example"),
            sandbox.id_token(exp=None),
            Secret(f"{head}.{payload}.{signature[::-1]}"),
            Secret("not-a-token-at-all"),
        ]
        answers = [await Hand(http, sandbox).exchange(token) for token in odd]
        assert {(status, fields["error"]["code"]) for status, fields in answers} == {
            (401, "invalid_subject_token")
        }
        assert (await Hand(http, sandbox).exchange(good))[0] == 200


async def test_the_exchange_can_be_refused_on_demand(hand: Hand) -> None:
    hand.sandbox.faults.put(ExchangeRefused(status=403, code="account_deactivated", message="No.", times=2))
    id_token = hand.sandbox.id_token()
    answers = [await hand.exchange(id_token) for _ in range(3)]
    assert [status for status, _ in answers] == [403, 403, 200]
    assert answers[0][1]["error"]["code"] == "account_deactivated"


@pytest.mark.parametrize(
    ("policy", "code"),
    [
        ("service_account_keys_only", "service_account_required"),
        ("key_creation_disabled", "api_key_creation_disabled"),
        ("key_expiry_required", "api_key_expiration_required"),
    ],
)
async def test_an_organisations_policy_can_forbid_the_key(hand: Hand, policy: str, code: str) -> None:
    assert (await hand.control("faults", fault="ExchangeForbidden", policy=policy))[0] == 200
    id_token = hand.sandbox.id_token()
    status, fields = await hand.exchange(id_token)
    assert (status, fields["error"]["code"]) == (403, code)
    assert (await hand.exchange(id_token))[0] == 200


async def test_a_name_can_be_refused_and_nothing_but_a_name_is_struck(hand: Hand) -> None:
    hand.sandbox.faults.put(KeyNameRefused(times=None))
    id_token = hand.sandbox.id_token()
    status, fields = await hand.exchange(id_token, name="a name")
    assert (status, fields["error"]["param"]) == (400, "name")
    assert (await hand.exchange(id_token))[0] == 200
    hand.sandbox.faults.clear()
    assert (await hand.exchange(id_token, name="a name"))[0] == 200
    assert hand.sandbox.events.of("key_exchange")[-1].field("name") == "a name"


async def test_an_exchange_can_answer_200_without_a_key(hand: Hand) -> None:
    hand.sandbox.faults.put(TokenAnswer(grant="key_exchange", status=200, body="{}"))
    assert await hand.exchange(hand.sandbox.id_token()) == (200, {})


async def test_a_fault_of_one_grant_does_not_strike_another(hand: Hand) -> None:
    hand.sandbox.faults.put(TokenAnswer(grant="refresh", status=500))
    assert (await hand.exchange(hand.sandbox.id_token()))[0] == 200
    assert len(hand.sandbox.faults.waiting(TokenAnswer)) == 1


# --- the others -------------------------------------------------------------------------------------------


async def test_a_machines_token_is_traded_for_one_that_opens_the_api_until_it_expires(hand: Hand) -> None:
    status, fields = await hand.json(
        "/oauth/token",
        grant_type=TOKEN_EXCHANGE,
        subject_token="a-cluster's-word",
        subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        identity_provider_id="idp_1",
        service_account_id="svc_1",
    )
    assert (status, fields["expires_in"]) == (200, 3600)
    assert await hand.models(Secret(fields["access_token"])) == 200


@pytest.mark.parametrize("fields", [{}, {"grant_type": "password"}, {"grant_type": "client_credentials"}])
async def test_an_unknown_grant_is_refused(hand: Hand, fields: dict[str, str]) -> None:
    status, answer = await hand.form(**fields)
    assert (status, answer["error"]) == (400, "unsupported_grant_type")


async def test_token_answers_are_not_to_be_stored(hand: Hand) -> None:
    async with hand.http.post(f"{hand.sandbox.issuer}/oauth/token", json={}) as answer:
        assert answer.headers["Cache-Control"] == "no-store"


# --- id_tokens and keys -----------------------------------------------------------------------------------


async def test_an_id_token_has_every_claim_and_its_signature_checks_against_the_jwks(hand: Hand) -> None:
    id_token = hand.sandbox.sign_in().id_token
    assert id_token
    async with hand.http.get(f"{hand.sandbox.issuer}/.well-known/jwks.json") as answer:
        published = jwt.PyJWKSet.from_dict(await answer.json())
    kid = jwt.get_unverified_header(id_token.reveal())["kid"]
    said = jwt.decode(
        id_token.reveal(),
        published[kid],
        algorithms=["RS256"],
        audience=hand.sandbox.client_id,
        issuer=hand.sandbox.issuer,
    )
    assert said["email"] == "ada@example.com"
    assert said["sub"] == said[AUTH_CLAIMS]["chatgpt_user_id"]
    assert set(said[AUTH_CLAIMS]) >= {
        "organization_id",
        "project_id",
        "chatgpt_plan_type",
        "chatgpt_account_id",
        "chatgpt_user_id",
        "completed_platform_onboarding",
        "is_org_owner",
        "chatgpt_subscription_active_start",
        "groups",
    }


async def test_a_rotated_signing_key_has_a_new_kid_and_old_tokens_still_trade(hand: Hand) -> None:
    old = hand.sandbox.id_token()
    kid = hand.sandbox.rotate_signing_key()
    assert jwt.get_unverified_header(hand.sandbox.id_token().reveal())["kid"] == kid
    assert jwt.get_unverified_header(old.reveal())["kid"] != kid
    assert (await hand.exchange(old))[0] == 200
    async with hand.http.get(f"{hand.sandbox.issuer}/.well-known/jwks.json") as answer:
        assert len((await answer.json())["keys"]) == 2
    newest = hand.sandbox.rotate_signing_key(keep_old=False)
    async with hand.http.get(f"{hand.sandbox.issuer}/.well-known/jwks.json") as answer:
        assert [key["kid"] for key in (await answer.json())["keys"]] == [newest]


@pytest.fixture
async def two(http: aiohttp.ClientSession) -> AsyncIterator[tuple[Hand, Hand]]:
    async with Sandbox() as one, Sandbox() as other:
        yield Hand(http, one), Hand(http, other)


async def test_one_sandboxs_tokens_mean_nothing_to_another(two: tuple[Hand, Hand]) -> None:
    one, other = two
    tokens = one.sandbox.sign_in()
    assert tokens.refresh_token
    assert tokens.id_token
    assert (await other.refresh(tokens.refresh_token))[0] == 401
    assert (await other.exchange(tokens.id_token))[0] == 401
    assert await other.models(one.sandbox.issue_key()) == 401
