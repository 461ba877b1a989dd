"""The issuer's client against the sandbox: every request as the protocol says, every kind of failure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sidekey_auth.clock import SystemClock
from sidekey_auth.credential import Credential
from sidekey_auth.errors import (
    ConfigurationError,
    DeviceCodeUnavailable,
    IdTokenInvalid,
    IssuerError,
    IssuerRefused,
    IssuerUnavailable,
    NoPlatformKey,
)
from sidekey_auth.issuer import Issuer, Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import (
    DevicePending,
    DeviceUnavailable,
    ExchangeForbidden,
    ExchangeRefused,
    Fault,
    JwksUnavailable,
    KeyNameRefused,
    RevokeFails,
    Sandbox,
    SandboxSettings,
    TokenAnswer,
    TokenDropped,
    TokenHang,
)

VERIFIER = Secret("v" * 86)
CODE = Secret("ac_canary_0123456789")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings(auto_approve=True, device_interval="0.01")) as running:
        yield running
        running.release()


def settings_for(sandbox: Sandbox) -> IssuerSettings:
    return IssuerSettings(issuer=sandbox.issuer, client_id=sandbox.client_id, retry_wait=0.001)


@pytest.fixture
async def issuer(sandbox: Sandbox) -> AsyncIterator[Issuer]:
    async with Issuer(settings_for(sandbox)) as client:
        yield client


def refresh_token_of(sandbox: Sandbox) -> Secret:
    token = sandbox.sign_in().refresh_token
    assert token is not None
    return token


# --- what is sent -------------------------------------------------------------------------------------------


async def test_a_refresh_is_json_without_a_scope(sandbox: Sandbox, issuer: Issuer) -> None:
    token = refresh_token_of(sandbox)
    tokens = await issuer.refresh(token, sandbox.client_id)
    assert tokens.refresh_token not in {None, token}
    (event,) = sandbox.events.of("refresh")
    assert (event.method, event.target, event.encoding) == ("POST", "/oauth/token", "json")
    assert event.fields == (
        ("client_id", sandbox.client_id),
        ("grant_type", "refresh_token"),
        ("refresh_token", token.fingerprint()),
    )
    assert event.header("Accept") == "application/json"
    assert event.header("Connection") == "close"
    assert event.header("User-Agent") == "sidekey"


async def test_a_key_exchange_is_a_form_with_requested_token(sandbox: Sandbox, issuer: Issuer) -> None:
    id_token = sandbox.id_token()
    key = await issuer.exchange_key(id_token, sandbox.client_id)
    assert key.value.reveal().startswith("sk-")
    assert key.name is None
    (event,) = sandbox.events.of("key_exchange")
    assert event.encoding == "form"
    assert event.fields == (
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("client_id", sandbox.client_id),
        ("requested_token", "openai-api-key"),
        ("subject_token", id_token.fingerprint()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
    )


async def test_a_code_exchange_is_a_form(sandbox: Sandbox, issuer: Issuer) -> None:
    with pytest.raises(IssuerRefused) as caught:
        await issuer.exchange_code(CODE, "http://localhost:1455/auth/callback", VERIFIER)
    assert caught.value.error_code == "invalid_grant"
    (event,) = sandbox.events.of("code_exchange")
    assert event.encoding == "form"
    assert event.header("Accept") == "application/json"
    assert event.fields == (
        ("grant_type", "authorization_code"),
        ("client_id", sandbox.client_id),
        ("code", CODE.fingerprint()),
        ("redirect_uri", "http://localhost:1455/auth/callback"),
        ("code_verifier", VERIFIER.fingerprint()),
    )


async def test_a_revocation_is_json_with_its_hint(sandbox: Sandbox, issuer: Issuer) -> None:
    token = refresh_token_of(sandbox)
    await issuer.revoke(token, sandbox.client_id)
    assert not sandbox.knows(token)
    (event,) = sandbox.events.of("revoke")
    assert event.encoding == "json"
    assert event.fields == (
        ("token", token.fingerprint()),
        ("token_type_hint", "refresh_token"),
        ("client_id", sandbox.client_id),
    )


# --- refreshes ----------------------------------------------------------------------------------------------


async def test_a_reused_refresh_token_is_refused_for_good(sandbox: Sandbox, issuer: Issuer) -> None:
    token = refresh_token_of(sandbox)
    await issuer.refresh(token, sandbox.client_id)
    with pytest.raises(IssuerRefused) as caught:
        await issuer.refresh(token, sandbox.client_id)
    assert caught.value.error_code == "refresh_token_reused"


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_refresh_is_never_repeated_by_itself(sandbox: Sandbox, issuer: Issuer, status: int) -> None:
    sandbox.faults.put(TokenAnswer(grant="refresh", status=status, retry_after=3, times=5))
    with pytest.raises(IssuerUnavailable) as caught:
        await issuer.refresh(refresh_token_of(sandbox), sandbox.client_id)
    error = caught.value
    assert (error.sent, error.answered, error.status, error.retry_after) == (True, True, status, 3.0)
    assert sandbox.events.seen("refresh") == 1


async def test_a_captive_portals_page_is_no_refusal(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(
        TokenAnswer(grant="refresh", status=401, body="<html>Log in", content_type="text/html")
    )
    with pytest.raises(IssuerUnavailable, match="401: <html>Log in"):
        await issuer.refresh(refresh_token_of(sandbox), sandbox.client_id)


async def test_a_connection_that_breaks_after_sending_has_perhaps_arrived(
    sandbox: Sandbox, issuer: Issuer
) -> None:
    sandbox.faults.put(TokenDropped(grant="refresh", consumed=True))
    with pytest.raises(IssuerUnavailable) as caught:
        await issuer.refresh(refresh_token_of(sandbox), sandbox.client_id)
    assert (caught.value.sent, caught.value.answered) == (True, False)
    assert sandbox.events.seen("refresh") == 1


async def test_an_issuer_that_says_nothing_is_left_after_a_while(sandbox: Sandbox) -> None:
    sandbox.faults.put(TokenHang(grant="refresh"))
    async with Issuer(replace(settings_for(sandbox), request_timeout=0.2)) as issuer:
        with pytest.raises(IssuerUnavailable, match="did not answer in time") as caught:
            await issuer.refresh(refresh_token_of(sandbox), sandbox.client_id)
    assert (caught.value.sent, caught.value.answered) == (True, False)


async def test_where_nobody_listens_nothing_was_sent() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        async with Issuer(IssuerSettings(issuer=address)) as issuer:
            with pytest.raises(IssuerUnavailable, match="cannot be reached") as caught:
                await issuer.refresh(Secret("rt_canary_0123456789"), "client")
    assert (caught.value.sent, caught.value.answered) == (False, False)


async def test_two_refreshes_share_no_connection(sandbox: Sandbox, issuer: Issuer) -> None:
    tokens = await issuer.refresh(refresh_token_of(sandbox), sandbox.client_id)
    assert tokens.refresh_token is not None
    await issuer.refresh(tokens.refresh_token, sandbox.client_id)
    assert {event.header("Connection") for event in sandbox.events.of("refresh")} == {"close"}


# --- the key's name -----------------------------------------------------------------------------------------

NAME = "sidekey name-server default 2026-11-24"
ABOUT_THE_NAME = '{"error":{"message":"Unknown parameter: name","param":"name"}}'


async def test_a_key_is_asked_for_by_its_name(sandbox: Sandbox, issuer: Issuer) -> None:
    key = await issuer.exchange_key(sandbox.id_token(), sandbox.client_id, name=NAME)
    assert key.name == NAME
    (event,) = sandbox.events.of("key_exchange")
    assert event.fields[-1] == ("name", NAME)


@pytest.mark.parametrize(
    "refusal",
    [
        KeyNameRefused(),
        KeyNameRefused(status=401, code="invalid_request", message="The name is too long.", parameter=None),
        KeyNameRefused(status=422, code="name_not_allowed", message="No.", parameter=None),
    ],
    ids=["parameter", "message", "code"],
)
async def test_a_name_that_is_refused_is_left_out_once(
    sandbox: Sandbox, issuer: Issuer, refusal: KeyNameRefused
) -> None:
    sandbox.faults.put(refusal)
    key = await issuer.exchange_key(sandbox.id_token(), sandbox.client_id, name=NAME)
    assert key.name is None, "the key is not called so"
    named, unnamed = sandbox.events.of("key_exchange")
    assert (named.field("name"), named.status) == (NAME, refusal.status)
    assert (unnamed.field("name"), unnamed.status) == (None, 200)


@pytest.mark.parametrize(
    "trouble",
    [
        TokenAnswer(grant="key_exchange", status=503, body=ABOUT_THE_NAME, times=None),
        TokenAnswer(grant="key_exchange", status=429, body=ABOUT_THE_NAME, times=None),
        TokenAnswer(grant="key_exchange", status=400, body=f"Bad name {NAME}", times=None),
        TokenAnswer(grant="key_exchange", status=400, body='{"error":"invalid_request"}', times=None),
        TokenAnswer(
            grant="key_exchange", status=400, body=f'{{"error":"bad","error_description":"{NAME}?"}}'
        ),
        TokenDropped(grant="key_exchange", times=None),
        ExchangeForbidden(policy="service_account_keys_only", times=None),
    ],
    ids=["503", "429", "not JSON", "another reason", "only repeated", "no answer", "policy"],
)
async def test_any_other_failure_is_never_tried_without_the_name_which_could_make_a_second_key(
    sandbox: Sandbox, issuer: Issuer, trouble: Fault
) -> None:
    sandbox.faults.put(trouble)
    with pytest.raises(IssuerError):
        await issuer.exchange_key(sandbox.id_token(), sandbox.client_id, name=NAME)
    assert {event.field("name") for event in sandbox.events.of("key_exchange")} == {NAME}


async def test_a_refusal_that_stays_without_the_name_is_the_answer(sandbox: Sandbox, issuer: Issuer) -> None:
    body = '{"error":{"message":"Your name is not on the list.","code":"not_listed"}}'
    sandbox.faults.put(TokenAnswer(grant="key_exchange", status=403, body=body, times=None))
    with pytest.raises(
        IssuerRefused, match="the issuer answered 403: Your name is not on the list"
    ) as caught:
        await issuer.exchange_key(sandbox.id_token(), sandbox.client_id, name=NAME)
    assert caught.value.error_code == "not_listed"
    assert sandbox.events.seen("key_exchange") == 2


async def test_the_name_is_made_of_the_setting_this_host_the_profile_and_the_date(sandbox: Sandbox) -> None:
    clock = SystemClock()
    settings = IssuerSettings(issuer=sandbox.issuer, key_name="{profile} on {host}, {date}")
    async with Issuer(settings, clock=clock) as issuer:
        before = datetime.fromtimestamp(clock.wall(), UTC).date()
        name = issuer.key_name("work")
        after = datetime.fromtimestamp(clock.wall(), UTC).date()
    host = socket.gethostname().partition(".")[0]
    assert name in {f"work on {host}, {before}", f"work on {host}, {after}"}
    async with Issuer(IssuerSettings(issuer=sandbox.issuer, key_name="")) as issuer:
        assert issuer.key_name("work") is None


# --- what may be repeated -----------------------------------------------------------------------------------


async def test_a_key_exchange_is_repeated_on_transient_failures(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(TokenAnswer(grant="key_exchange", status=503))
    sandbox.faults.put(TokenDropped(grant="key_exchange"))
    assert await issuer.exchange_key(sandbox.id_token(), sandbox.client_id)
    assert sandbox.events.seen("key_exchange") == 3


async def test_it_is_repeated_so_often_and_no_further(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(TokenAnswer(grant="key_exchange", status=503, times=None))
    with pytest.raises(IssuerUnavailable):
        await issuer.exchange_key(sandbox.id_token(), sandbox.client_id)
    assert sandbox.events.seen("key_exchange") == 3


async def test_refusals_are_not_repeated(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(ExchangeRefused(times=2))
    with pytest.raises(NoPlatformKey, match="the account has no Platform organisation"):
        await issuer.exchange_key(sandbox.id_token(), sandbox.client_id)
    assert sandbox.events.seen("key_exchange") == 1
    with pytest.raises(IssuerRefused) as caught:
        await issuer.exchange_key(sandbox.id_token(client_id="app_other"), sandbox.client_id)
    assert caught.value.error_code == "invalid_subject_token"


async def test_an_issuer_that_asks_for_a_long_pause_is_left_alone(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(TokenAnswer(grant="key_exchange", status=429, retry_after=600))
    with pytest.raises(IssuerUnavailable) as caught:
        await issuer.exchange_key(sandbox.id_token(), sandbox.client_id)
    assert caught.value.retry_after == 600
    assert sandbox.events.seen("key_exchange") == 1


async def test_a_code_that_may_have_arrived_is_not_sent_again(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(TokenAnswer(grant="code_exchange", status=503, times=None))
    with pytest.raises(IssuerUnavailable):
        await issuer.exchange_code(CODE, "r", VERIFIER)
    assert sandbox.events.seen("code_exchange") == 1


async def test_a_code_that_cannot_have_left_is_sent_again() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        settings = IssuerSettings(issuer=f"http://127.0.0.1:{port}", retry_wait=0.3)
        async with Issuer(settings) as issuer:
            exchange = asyncio.ensure_future(issuer.exchange_code(CODE, "r", VERIFIER))
            await asyncio.sleep(0)
            sock.close()
            async with Sandbox(SandboxSettings(port=port)) as sandbox:
                with pytest.raises(IssuerRefused):
                    await exchange
                assert sandbox.events.seen("code_exchange") == 1


# --- who somebody is ----------------------------------------------------------------------------------------


async def test_an_id_token_is_checked_against_the_issuers_keys(sandbox: Sandbox, issuer: Issuer) -> None:
    claims = await issuer.verify(sandbox.id_token(), sandbox.client_id)
    assert claims.email == "ada@example.com"
    await issuer.verify(sandbox.id_token(), sandbox.client_id)
    assert sandbox.events.seen("jwks") == 1


async def test_forged_foreign_and_expired_id_tokens_are_refused(sandbox: Sandbox, issuer: Issuer) -> None:
    odd = [
        sandbox.id_token(forged=True),
        sandbox.id_token(iss="https://evil.example"),
        sandbox.id_token(client_id="app_other"),
        sandbox.id_token(lifetime=-3600),
        sandbox.id_token(exp=None),
    ]
    for token in odd:
        with pytest.raises(IdTokenInvalid):
            await issuer.verify(token, sandbox.client_id)


async def test_a_new_signing_key_is_fetched_when_it_is_met(sandbox: Sandbox, issuer: Issuer) -> None:
    await issuer.verify(sandbox.id_token(), sandbox.client_id)
    sandbox.rotate_signing_key(keep_old=False)
    assert await issuer.verify(sandbox.id_token(), sandbox.client_id)
    assert sandbox.events.seen("jwks") == 2


async def test_keys_out_of_reach_are_transient(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(JwksUnavailable(times=3))
    with pytest.raises(IssuerUnavailable, match="public keys"):
        await issuer.verify(sandbox.id_token(), sandbox.client_id)
    assert sandbox.events.seen("jwks") == 3
    assert await issuer.verify(sandbox.id_token(), sandbox.client_id)


async def test_what_is_asked_again_is_logged_and_printed_nowhere(
    sandbox: Sandbox,
    issuer: Issuer,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    sandbox.faults.put(JwksUnavailable(times=2))
    await issuer.jwks()
    assert capfd.readouterr() == ("", "")
    assert [(record.name, record.levelname) for record in caplog.records] == [
        ("sidekey.issuer", "WARNING"),
        ("sidekey.issuer", "WARNING"),
    ]
    assert caplog.messages[0].startswith("asking again reason=\"the issuer's public keys cannot be had: ")


# --- the rest -----------------------------------------------------------------------------------------------


async def test_a_device_code_is_polled_with_both_of_its_names(sandbox: Sandbox, issuer: Issuer) -> None:
    sandbox.faults.put(DevicePending(status=403))
    sandbox.faults.put(DevicePending(status=404))
    start = await issuer.start_device()
    assert start.interval == 0.01
    assert await issuer.poll_device(start) is None
    assert await issuer.poll_device(start) is None
    grant = await issuer.poll_device(start)
    assert grant is not None
    tokens = await issuer.exchange_code(grant.code, issuer.device_redirect_uri(), grant.verifier)
    assert tokens.refresh_token is not None
    (event,) = sandbox.events.of("device_usercode")
    assert (event.encoding, event.fields) == ("json", (("client_id", sandbox.client_id),))
    (*_, poll) = sandbox.events.of("device_token")
    assert [name for name, _ in poll.fields] == ["device_auth_id", "user_code"]
    (exchange,) = sandbox.events.of("code_exchange")
    assert exchange.field("redirect_uri") == f"{sandbox.issuer}/deviceauth/callback"


async def test_a_device_code_that_is_not_enabled_says_what_else_there_is(
    sandbox: Sandbox, issuer: Issuer
) -> None:
    sandbox.faults.put(DeviceUnavailable())
    with pytest.raises(DeviceCodeUnavailable) as caught:
        await issuer.start_device()
    assert "--paste" in caught.value.remedy


async def test_a_revocation_waits_no_longer_than_its_limit(sandbox: Sandbox) -> None:
    sandbox.faults.put(RevokeFails(delay=30))
    async with Issuer(replace(settings_for(sandbox), revoke_timeout=0.1)) as issuer:
        with pytest.raises(IssuerUnavailable, match="in time"):
            await issuer.revoke(refresh_token_of(sandbox), sandbox.client_id)


async def test_each_credential_has_the_issuer_it_came_from(sandbox: Sandbox) -> None:
    settings = replace(settings_for(sandbox), allowed_issuers=("https://b.example",))
    async with Issuers(settings) as issuers:
        ours = await issuers.of(Credential())
        assert ours is await issuers.of(Credential(issuer=sandbox.issuer + "/"))
        assert ours.settings is settings
        assert (
            await issuers.of(Credential(issuer="https://b.example"))
        ).settings.issuer == "https://b.example"
        with pytest.raises(ConfigurationError):
            await issuers.of(Credential(issuer="https://c.example"))


async def test_other_settings_hold_for_what_is_asked_next_and_what_is_under_way_ends_as_it_began(
    sandbox: Sandbox,
) -> None:
    settings = IssuerSettings(issuer=sandbox.issuer)
    async with Issuers(settings) as issuers:
        before = await issuers.of(Credential())
        issuers.change(settings)
        assert await issuers.of(Credential()) is before
        issuers.change(replace(settings, connect_timeout=1.0))
        after = await issuers.of(Credential())
        assert (before.settings.connect_timeout, after.settings.connect_timeout) == (10.0, 1.0)
        claims = await before.verify(sandbox.id_token(), settings.client_id)
        assert claims.exp is not None


async def test_a_token_with_half_a_character_that_an_older_version_kept_is_refused_and_breaks_nothing(
    sandbox: Sandbox, issuer: Issuer
) -> None:
    kept = Secret("rt_canary_\ud8000123456789")
    with pytest.raises(IssuerRefused):
        await issuer.refresh(kept, sandbox.client_id)
    with pytest.raises(IssuerError):
        await issuer.exchange_key(kept, sandbox.client_id)
    await issuer.revoke(kept, sandbox.client_id)
    with pytest.raises(IdTokenInvalid):
        await issuer.verify(kept, sandbox.client_id)
