from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.authorize import LONGEST_CALLBACK, authorize_url, parse_callback, redirect_uri
from sidekey_auth.errors import NoAuthorizationCode, SignInRefused, StateMismatch
from sidekey_auth.issuer_settings import IssuerSettings

STATE = "s" * 43
CALLBACK = "http://localhost:1455/auth/callback"
CODE = "ac_0123456789abcdef"


def test_the_authorize_url_has_each_parameter_in_the_protocols_order() -> None:
    url = authorize_url(
        IssuerSettings(),
        redirect_uri="http://localhost:1455/auth/callback",
        challenge="E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        state=STATE,
    )
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}{parts.path}" == "https://auth.openai.com/oauth/authorize"
    assert parse_qsl(parts.query, strict_parsing=True) == [
        ("response_type", "code"),
        ("client_id", "app_EMoamEEZ73f0CkXaXp7hrann"),
        ("redirect_uri", "http://localhost:1455/auth/callback"),
        ("scope", "openid profile email offline_access"),
        ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
        ("code_challenge_method", "S256"),
        ("state", STATE),
        ("id_token_add_organizations", "true"),
        ("codex_cli_simplified_flow", "true"),
        ("originator", "codex_cli_rs"),
    ]
    assert "scope=openid%20profile%20email%20offline_access" in url


def test_without_the_simplified_page_its_parameter_alone_is_left_out() -> None:
    wish = {"redirect_uri": "r", "challenge": "c", "state": "s"}
    simple = authorize_url(IssuerSettings(), **wish)
    chosen = authorize_url(IssuerSettings(), **wish, simplified=False)
    assert chosen == simple.replace("&codex_cli_simplified_flow=true", "")
    assert chosen != simple


def test_an_empty_originator_falls_and_workspaces_are_joined() -> None:
    settings = IssuerSettings(
        issuer="https://issuer.example/tenant/", originator="", allowed_workspace_id=("ws-1", "ws-2")
    )
    url = authorize_url(settings, redirect_uri="r", challenge="c", state="s")
    assert url.startswith("https://issuer.example/tenant/oauth/authorize?response_type=code&")
    assert "originator" not in url
    assert url.endswith("&allowed_workspace_id=ws-1%2Cws-2")


def test_the_redirect_uri_has_the_chosen_host_and_port() -> None:
    assert redirect_uri(IssuerSettings(), 1455) == "http://localhost:1455/auth/callback"
    settings = IssuerSettings(redirect_host="127.0.0.1")
    assert redirect_uri(settings, 1457) == "http://127.0.0.1:1457/auth/callback"


@pytest.mark.parametrize(
    "pasted",
    [
        f"{CALLBACK}?code={CODE}&scope=openid&state={STATE}",
        f"  {CALLBACK}?state={STATE}&code={CODE}\r\n",
        f"/auth/callback?code={CODE}&state={STATE}",
        f"?code={CODE}&state={STATE}",
        f"code={CODE}&state={STATE}",
        f'"{CALLBACK}?code={CODE}&state={STATE}"',
        f"<{CALLBACK}?code={CODE}&state={STATE}>",
        f"{CALLBACK}?code={CODE}&state={STATE}#",
        f"{CALLBACK}?code={CODE}&state={STATE}#_=_",
        f"{CALLBACK}?code={CODE[:5]}\n{CODE[5:]}&state={STATE}",
        f"{CALLBACK}?code=&code={CODE}&state={STATE}",
        f"{CALLBACK}?error=&code={CODE}&state={STATE}",
        f"http://[::1]:1455/auth/callback?code={CODE}&state={STATE}",
    ],
)
def test_a_callback_is_understood_however_it_was_pasted(pasted: str) -> None:
    assert parse_callback(pasted, STATE).reveal() == CODE


@pytest.mark.parametrize(
    "pasted",
    [
        "",
        "nonsense",
        CALLBACK,
        f"{CALLBACK}?code={CODE}",
        f"{CALLBACK}?code={CODE}&state=",
        f"{CALLBACK}?code={CODE}&state={STATE}x",
        f"{CALLBACK}?code={CODE}&state={STATE.upper()}",
        f"{CALLBACK}?code={CODE}&state={STATE}&state={STATE}",
        f"{CALLBACK}?code={CODE}&state={STATE}&state=other",
        f"{CALLBACK}?code={CODE}&State={STATE}",
        f"{CALLBACK}#code={CODE}&state={STATE}",
        f"{CALLBACK}?error=access_denied&error_description=no&state=other",
        f"{CALLBACK}?code={CODE}&state=%ff%fe",
        f"{CALLBACK}?code={CODE}&state=\udcff",
        f"{CALLBACK}?code={CODE}&state={STATE}" + "&x=1" * 60,
        f"{CALLBACK}?code={'c' * LONGEST_CALLBACK}&state={STATE}",
    ],
)
def test_with_a_wrong_state_nothing_else_is_looked_at(pasted: str) -> None:
    with pytest.raises(StateMismatch, match=r"^Invalid OAuth state - possible CSRF attack$"):
        parse_callback(pasted, STATE)


def test_an_expected_state_that_is_empty_matches_nothing() -> None:
    with pytest.raises(StateMismatch):
        parse_callback(f"{CALLBACK}?code={CODE}&state=", "")


def test_an_issuers_error_ends_the_sign_in_with_its_own_words() -> None:
    query = {"error": "access_denied", "error_description": "<b>No</b>\x1b[2J", "state": STATE, "code": CODE}
    with pytest.raises(SignInRefused) as caught:
        parse_callback(f"{CALLBACK}?{urlencode(query)}", STATE)
    assert str(caught.value) == "OAuth error: access_denied: <b>No</b> [2J"
    assert caught.value.error_code == "access_denied"


def test_an_error_without_a_description_is_its_code() -> None:
    with pytest.raises(SignInRefused, match=r"^OAuth error: server_error$"):
        parse_callback(f"error=server_error&state={STATE}", STATE)


@pytest.mark.parametrize("rest", ["", "&code=", "&code=a&code=b", "&code=a&code=a", "&codes=a"])
def test_no_code_or_several_are_no_code(rest: str) -> None:
    with pytest.raises(NoAuthorizationCode, match=r"^No authorization code received$"):
        parse_callback(f"{CALLBACK}?state={STATE}{rest}", STATE)


@given(st.text(max_size=300))
def test_no_text_gets_through_or_breaks_anything(text: str) -> None:
    with pytest.raises(StateMismatch):
        parse_callback(text, STATE)


@given(
    code=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
    state=st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60),
)
def test_any_code_and_state_come_back_as_they_were_sent(code: str, state: str) -> None:
    query = urlencode({"code": code, "state": state}, quote_via=quote)
    assert parse_callback(f"{CALLBACK}?{query}", state).reveal() == code
