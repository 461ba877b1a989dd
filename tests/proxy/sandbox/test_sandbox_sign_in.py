"""Signing in at the sandbox: the authorize page, the click, the code, the device code, revocation."""

from __future__ import annotations

from collections.abc import AsyncIterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import aiohttp
import jwt
import pytest
from yarl import URL

from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import (
    AuthorizeRefused,
    AuthorizeWithoutCode,
    DeviceDenied,
    DevicePending,
    DevicePollFails,
    DeviceUnavailable,
    JwksUnavailable,
    RevokeFails,
    Sandbox,
    SandboxAccount,
    SandboxProject,
    SandboxSettings,
)
from sidekey_proxy.sandbox.issued import challenge_of
from sidekey_proxy.sandbox.pages import Choice, authorize_page, device_page, message_page

from .conftest import Hand, Reply

VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
REDIRECT = "http://localhost:1455/auth/callback"


def wish(sandbox: Sandbox, **other: str | None) -> str:
    """Return an authorize URL; None leaves a parameter out."""
    fields: dict[str, str | None] = {
        "response_type": "code",
        "client_id": sandbox.client_id,
        "redirect_uri": REDIRECT,
        "scope": "openid profile email offline_access",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
        "state": "a-state-of-32-bytes",
        "id_token_add_organizations": "true",
        "codex_cli_simplified_flow": "true",
        "originator": "codex_cli_rs",
        **other,
    }
    query = urlencode({name: value for name, value in fields.items() if value is not None})
    return f"{sandbox.issuer}/oauth/authorize?{query}"


async def sent_back(http: aiohttp.ClientSession, url: str) -> dict[str, str]:
    """Return the query that the browser is sent back with."""
    async with http.get(URL(url, encoded=True), allow_redirects=False) as answer:
        assert answer.status == 302, await answer.text()
        return query_of(answer.headers["Location"])


def query_of(location: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}


class Form(HTMLParser):
    """The first form of a page, as a browser would find it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag == "form":
            self.action = named["action"] or ""
        if tag == "input" and named.get("type") == "hidden":
            self.hidden[named["name"] or ""] = named["value"] or ""


@pytest.fixture
async def quick(http: aiohttp.ClientSession) -> AsyncIterator[Hand]:
    async with Sandbox(SandboxSettings(auto_approve=True)) as sandbox:
        yield Hand(http, sandbox)


# --- the page ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("decision", "expected"), [("approve", "code"), ("deny", "error")])
async def test_a_click_on_the_page_leads_back_with_the_state(
    hand: Hand, decision: str, expected: str
) -> None:
    async with hand.http.get(wish(hand.sandbox)) as answer:
        html = await answer.text()
    form = Form(html)
    assert hand.sandbox.account.email in html
    url = f"{hand.sandbox.issuer}{form.action}"
    click = {**form.hidden, "decision": decision}
    async with hand.http.post(url, data=click, allow_redirects=False) as answer:
        assert answer.status == 302
        assert answer.headers["Location"].startswith(REDIRECT)
        query = query_of(answer.headers["Location"])
    assert query["state"] == "a-state-of-32-bytes"
    assert expected in query
    async with hand.http.post(url, data=click, allow_redirects=False) as answer:
        assert answer.status == 400


async def test_what_the_page_shows_is_escaped(http: aiohttp.ClientSession) -> None:
    account = SandboxAccount(email='"><script>alert(1)</script>', plan="<b>plus</b>")
    async with Sandbox(SandboxSettings(account=account)) as sandbox:
        url = wish(sandbox, scope="openid <img src=x>", state="<svg/onload=1>")
        async with http.get(url) as answer:
            html = await answer.text()
            policy = answer.headers["Content-Security-Policy"]
    for raw in ("<script>", "<b>plus", "<img", "<svg/onload"):
        assert raw not in html
    assert "&lt;script&gt;" in html
    assert policy.startswith("default-src 'none'")


ODD_PROJECT = SandboxProject(organization_id="<i>", organization="<i>", project_id="<i>", project="<i>")


@pytest.mark.parametrize(
    "html",
    [
        authorize_page("<i>", about={"<i>": "<i>"}, action="<i>"),
        authorize_page("<i>", about={}, action="<i>", projects=[Choice("<i>", ODD_PROJECT, chosen=True)]),
        device_page(action="<i>", user_code="<i>", note="<i>"),
        message_page("<i>", "<i>"),
    ],
)
def test_every_page_escapes_everything(html: str) -> None:
    assert "<i>" not in html
    assert "&lt;i&gt;" in html


# --- choosing an organisation -----------------------------------------------------------------------------


async def opened(hand: Hand, **other: str | None) -> str:
    """Return the page that a browser is shown."""
    async with hand.http.get(URL(wish(hand.sandbox, **other), encoded=True)) as answer:
        assert answer.status == 200
        return await answer.text()


async def clicked(hand: Hand, html: str, **fields: str) -> dict[str, str]:
    """Return the query that a click on a page leads back with."""
    form = Form(html)
    url, data = f"{hand.sandbox.issuer}{form.action}", {**form.hidden, "decision": "approve", **fields}
    async with hand.http.post(url, data=data, allow_redirects=False) as answer:
        assert answer.status == 302
        return query_of(answer.headers["Location"])


async def about(hand: Hand, code: str) -> dict[str, Any]:
    """Return what the id_token says that a code is exchanged for."""
    status, fields = await code_exchange(hand, code)
    assert status == 200
    said: dict[str, Any] = jwt.decode(fields["id_token"], options={"verify_signature": False})
    return dict(said["https://api.openai.com/auth"])


async def test_the_simplified_page_takes_the_accounts_own_organisation(hand: Hand) -> None:
    html = await opened(hand)
    assert 'type="radio"' not in html
    assert "org-sandbox" in html
    said = await about(hand, (await clicked(hand, html, project="1"))["code"])
    assert (said["organization_id"], said["project_id"]) == ("org-sandbox", "proj_sandbox")


async def test_the_older_page_lets_choose_and_the_choice_stands_in_the_id_token(hand: Hand) -> None:
    html = await opened(hand, codex_cli_simplified_flow=None)
    assert html.count('type="radio"') == 3
    assert html.count(" checked") == 1
    said = await about(hand, (await clicked(hand, html, project="2"))["code"])
    assert (said["organization_id"], said["project_id"]) == ("org-engines", "proj_notes")
    assert hand.sandbox.events.of("approve")[-1].field("project") == "2"


@pytest.mark.parametrize("project", ["", "3", "-1", "proj_notes"])
async def test_a_choice_that_was_not_offered_is_refused(hand: Hand, project: str) -> None:
    html = await opened(hand, codex_cli_simplified_flow=None)
    assert (await clicked(hand, html, project=project))["error"] == "access_denied"


async def test_an_account_without_an_organisation_may_have_one_to_choose_or_none(hand: Hand) -> None:
    hand.sandbox.account = SandboxAccount(organization_id=None, project_id=None, onboarded=False)
    said = await about(hand, (await clicked(hand, await opened(hand)))["code"])
    assert {"organization_id", "project_id"} & set(said) == set()
    assert said["completed_platform_onboarding"] is False
    html = await opened(hand, codex_cli_simplified_flow=None)
    said = await about(hand, (await clicked(hand, html, project="0"))["code"])
    assert said["organization_id"] == "org-sandbox"
    hand.sandbox.account = SandboxAccount(organization_id=None, project_id=None, projects=())
    html = await opened(hand, codex_cli_simplified_flow=None)
    assert "no organisation on the Platform" in html
    said = await about(hand, (await clicked(hand, html))["code"])
    assert "organization_id" not in said


async def test_without_a_click_the_older_page_takes_the_own_project_else_the_first(quick: Hand) -> None:
    url = wish(quick.sandbox, codex_cli_simplified_flow=None)
    for organization, expected in (("org-engines", "org-engines"), (None, "org-sandbox")):
        project = "proj_engines" if organization else None
        quick.sandbox.account = SandboxAccount(organization_id=organization, project_id=project)
        said = await about(quick, (await sent_back(quick.http, url))["code"])
        assert said["organization_id"] == expected


# --- the authorization request ----------------------------------------------------------------------------


async def test_with_auto_approve_the_browser_is_sent_back_at_once(quick: Hand) -> None:
    query = await sent_back(quick.http, wish(quick.sandbox))
    assert query["code"]
    assert query["state"] == "a-state-of-32-bytes"


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://localhost:1456/auth/callback",
        "http://localhost:1455/elsewhere",
        "https://localhost:1455/auth/callback",
        "http://evil.example:1455/auth/callback",
        "http://localhost:1455@evil.example/auth/callback",
        "http://somebody@localhost:1455/auth/callback",
        "http://localhost:1455/auth/callback?next=x",
        "http://127.0.0.2:1455/auth/callback",
        "http://localhost/auth/callback",
        "http://localhost:99999/auth/callback",
        "",
    ],
)
async def test_an_unregistered_redirect_uri_is_never_redirected_to(quick: Hand, redirect_uri: str) -> None:
    async with quick.http.get(
        wish(quick.sandbox, redirect_uri=redirect_uri), allow_redirects=False
    ) as answer:
        assert answer.status == 400
        assert "Location" not in answer.headers


@pytest.mark.parametrize("port", [1455, 1457])
@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
async def test_both_hosts_and_both_ports_are_registered(quick: Hand, host: str, port: int) -> None:
    url = wish(quick.sandbox, redirect_uri=f"http://{host}:{port}/auth/callback")
    assert "code" in await sent_back(quick.http, url)


async def test_other_ports_are_accepted_where_a_setting_says_so(http: aiohttp.ClientSession) -> None:
    async with Sandbox(SandboxSettings(auto_approve=True, any_redirect_port=True)) as sandbox:
        url = wish(sandbox, redirect_uri="http://127.0.0.1:43210/auth/callback")
        assert "code" in await sent_back(http, url)


@pytest.mark.parametrize(
    ("name", "wrong", "error"),
    [
        ("response_type", "token", "unsupported_response_type"),
        ("code_challenge", None, "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "profile", "invalid_scope"),
        ("state", None, "invalid_request"),
        ("allowed_workspace_id", "another-workspace", "access_denied"),
    ],
)
async def test_a_wrong_parameter_leads_back_with_an_error(
    quick: Hand, name: str, wrong: str | None, error: str
) -> None:
    assert (await sent_back(quick.http, wish(quick.sandbox, **{name: wrong})))["error"] == error


async def test_an_unknown_client_is_not_redirected(quick: Hand) -> None:
    async with quick.http.get(wish(quick.sandbox, client_id="app_x"), allow_redirects=False) as answer:
        assert answer.status == 400


async def test_the_sign_in_can_be_refused_or_lack_its_code_on_demand(quick: Hand) -> None:
    quick.sandbox.faults.put(AuthorizeRefused(error="server_error", description="<b>No & never</b>"))
    quick.sandbox.faults.put(AuthorizeWithoutCode())
    refused = await sent_back(quick.http, wish(quick.sandbox))
    assert (refused["error"], refused["error_description"]) == ("server_error", "<b>No & never</b>")
    assert refused["state"] == "a-state-of-32-bytes"
    assert set(await sent_back(quick.http, wish(quick.sandbox))) == {"state"}
    assert "code" in await sent_back(quick.http, wish(quick.sandbox))


async def test_the_event_of_an_authorization_has_every_parameter_as_it_came(quick: Hand) -> None:
    url = wish(quick.sandbox)
    await sent_back(quick.http, url)
    event = await quick.sandbox.wait_for("authorize")
    assert f"{quick.sandbox.issuer}{event.target}" == url


# --- the code ---------------------------------------------------------------------------------------------


async def code_exchange(hand: Hand, code: str, **other: str) -> Reply:
    fields = {
        "grant_type": "authorization_code",
        "client_id": hand.sandbox.client_id,
        "code": code,
        "redirect_uri": REDIRECT,
        "code_verifier": VERIFIER,
    }
    return await hand.form(**{**fields, **other})


async def test_a_code_is_traded_for_three_tokens_once(quick: Hand) -> None:
    code = (await sent_back(quick.http, wish(quick.sandbox)))["code"]
    status, fields = await code_exchange(quick, code)
    assert status == 200
    assert {"id_token", "access_token", "refresh_token", "token_type", "expires_in"} <= set(fields)
    assert (await quick.exchange(Secret(fields["id_token"])))[0] == 200
    status, fields = await code_exchange(quick, code)
    assert (status, fields["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("code_verifier", "another-verifier-that-is-43-characters-long"),
        ("redirect_uri", "http://127.0.0.1:1455/auth/callback"),
        ("code", "ac_unknown"),
    ],
)
async def test_a_code_with_a_wrong_companion_is_refused_and_spent(quick: Hand, name: str, wrong: str) -> None:
    code = (await sent_back(quick.http, wish(quick.sandbox)))["code"]
    status, fields = await code_exchange(quick, **{"code": code, name: wrong})
    assert (status, fields["error"]) == (400, "invalid_grant")
    if name != "code":
        assert (await code_exchange(quick, code))[0] == 400


async def test_a_code_exchange_in_json_is_refused(quick: Hand) -> None:
    code = (await sent_back(quick.http, wish(quick.sandbox)))["code"]
    status, _ = await quick.json("/oauth/token", grant_type="authorization_code", code=code)
    assert status == 400


async def test_the_organisation_and_the_refresh_token_come_only_when_asked_for(quick: Hand) -> None:
    url = wish(quick.sandbox, id_token_add_organizations=None, scope="openid email")
    _, fields = await code_exchange(quick, (await sent_back(quick.http, url))["code"])
    assert "refresh_token" not in fields
    status, refused = await quick.exchange(Secret(fields["id_token"]))
    assert status == 401
    assert "organization_id" in refused["error"]["message"]


async def test_events_hold_fingerprints_instead_of_secrets(quick: Hand) -> None:
    code = (await sent_back(quick.http, wish(quick.sandbox)))["code"]
    await code_exchange(quick, code)
    event = await quick.sandbox.wait_for("code_exchange")
    assert event.encoding == "form"
    assert event.field("grant_type") == "authorization_code"
    assert event.field("code") == Secret(code).fingerprint()
    assert event.field("code_verifier") == Secret(VERIFIER).fingerprint()
    for secret in quick.sandbox.issued_secrets():
        assert secret.reveal() not in repr(list(quick.sandbox.events))


# --- the device code --------------------------------------------------------------------------------------


async def start_device(hand: Hand) -> dict[str, Any]:
    status, fields = await hand.json("/api/accounts/deviceauth/usercode", client_id=hand.sandbox.client_id)
    assert status == 200
    return fields


async def poll(hand: Hand, device: dict[str, Any]) -> Reply:
    return await hand.json(
        "/api/accounts/deviceauth/token",
        device_auth_id=device["device_auth_id"],
        user_code=device["user_code"],
    )


async def test_a_device_is_signed_in_by_its_code_on_the_page(hand: Hand) -> None:
    device = await start_device(hand)
    assert device["interval"] == "5"
    assert (await poll(hand, device))[0] == 403
    url = f"{hand.sandbox.issuer}/codex/device"
    async with hand.http.get(url) as answer:
        form = Form(await answer.text())
    typed = {"user_code": f" {device['user_code'].lower()} ", "decision": "approve"}
    async with hand.http.post(f"{hand.sandbox.issuer}{form.action}", data=typed) as answer:
        assert answer.status == 200
    status, fields = await poll(hand, device)
    assert status == 200
    assert challenge_of(fields["code_verifier"]) == fields["code_challenge"]
    status, tokens = await hand.form(
        grant_type="authorization_code",
        client_id=hand.sandbox.client_id,
        code=fields["authorization_code"],
        redirect_uri=f"{hand.sandbox.issuer}/deviceauth/callback",
        code_verifier=fields["code_verifier"],
    )
    assert status == 200
    assert (await hand.exchange(Secret(tokens["id_token"])))[0] == 200


async def test_a_wrong_code_on_the_device_page_is_said(hand: Hand) -> None:
    await start_device(hand)
    wrong = {"user_code": "<script>", "decision": "approve"}
    async with hand.http.post(f"{hand.sandbox.issuer}/codex/device", data=wrong) as answer:
        assert answer.status == 400
        assert "<script>" not in await answer.text()


async def test_a_denied_device_gets_a_final_answer(hand: Hand) -> None:
    device = await start_device(hand)
    assert hand.sandbox.deny_device(device["user_code"])
    assert (await poll(hand, device))[0] == 400
    assert (await poll(hand, device))[0] == 400


async def test_the_device_flow_can_be_pending_denied_failing_or_absent_on_demand(quick: Hand) -> None:
    quick.sandbox.faults.put(DevicePending(status=404, times=2))
    device = await start_device(quick)
    assert [(await poll(quick, device))[0] for _ in range(3)] == [404, 404, 200]
    quick.sandbox.faults.put(DeviceDenied(status=401))
    assert (await poll(quick, await start_device(quick)))[0] == 401
    quick.sandbox.faults.put(DevicePollFails(status=400, code="slow_down"))
    device = await start_device(quick)
    assert [(await poll(quick, device))[0] for _ in range(2)] == [400, 200]
    quick.sandbox.faults.put(DeviceUnavailable())
    status, _ = await quick.json("/api/accounts/deviceauth/usercode", client_id=quick.sandbox.client_id)
    assert status == 404


async def test_the_interval_can_be_a_number(http: aiohttp.ClientSession) -> None:
    async with Sandbox(SandboxSettings(device_interval=1)) as sandbox:
        assert (await start_device(Hand(http, sandbox)))["interval"] == 1


# --- revocation and keys ----------------------------------------------------------------------------------


async def test_a_revoked_session_cannot_be_refreshed(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    status, _ = await hand.json(
        "/oauth/revoke",
        token=token.reveal(),
        token_type_hint="refresh_token",
        client_id=hand.sandbox.client_id,
    )
    assert status == 200
    assert not hand.sandbox.knows(token)
    assert (await hand.refresh(token))[1]["error"]["code"] == "refresh_token_invalidated"


async def test_revoking_a_spent_token_ends_the_session_that_it_belongs_to(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    _, fields = await hand.refresh(token)
    await hand.json("/oauth/revoke", token=token.reveal(), client_id=hand.sandbox.client_id)
    assert not hand.sandbox.knows(Secret(fields["refresh_token"]))


async def test_revoking_an_unknown_token_is_no_error(hand: Hand) -> None:
    status, _ = await hand.json("/oauth/revoke", token="rt_unknown", client_id=hand.sandbox.client_id)
    assert status == 200


async def test_revocation_can_fail_on_demand_and_then_revokes_nothing(hand: Hand) -> None:
    token = hand.sandbox.sign_in().refresh_token
    assert token
    hand.sandbox.faults.put(RevokeFails(status=500))
    status, _ = await hand.json("/oauth/revoke", token=token.reveal(), client_id=hand.sandbox.client_id)
    assert status == 500
    assert hand.sandbox.knows(token)


async def test_the_keys_can_be_unavailable_on_demand(hand: Hand) -> None:
    hand.sandbox.faults.put(JwksUnavailable(times=1))
    statuses = []
    for _ in range(2):
        async with hand.http.get(f"{hand.sandbox.issuer}/.well-known/jwks.json") as answer:
            statuses.append(answer.status)
    assert statuses == [503, 200]
    assert hand.sandbox.faults.struck(JwksUnavailable) == 1


async def test_who_signs_in_can_change_while_it_runs(hand: Hand) -> None:
    hand.sandbox.account = SandboxAccount(email="grace@example.com", plan="pro")
    id_token = hand.sandbox.sign_in().id_token
    assert id_token
    assert jwt.decode(id_token.reveal(), options={"verify_signature": False})["email"] == "grace@example.com"
