"""Claims are read as they stand, whoever signed them and whatever type they are of."""

from __future__ import annotations

import base64
import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.claims import (
    AUTH_CLAIMS,
    PROFILE_CLAIMS,
    Claims,
    claims_of,
    read_claims,
    same_account,
    same_organization,
)
from sidekey_auth.errors import IdTokenInvalid
from sidekey_auth.secret import Secret

ISSUER = "https://auth.example"
CLIENT = "app_test"
NOW = 1_800_000_000.0
SAID: dict[str, Any] = {
    "iss": ISSUER,
    "aud": [CLIENT],
    "sub": "auth0|ada",
    "iat": NOW - 10,
    "exp": NOW + 3600,
    "email": "ada@example.com",
    AUTH_CLAIMS: {
        "organization_id": "org-1",
        "project_id": "proj-1",
        "chatgpt_plan_type": "quantum",
        "chatgpt_account_id": "account-1",
        "chatgpt_user_id": "user-1",
        "completed_platform_onboarding": True,
        "is_org_owner": False,
        "chatgpt_subscription_active_start": "2026-01-01T00:00:00+00:00",
        "groups": ["a", 5, "b"],
    },
}


def token(**changes: Any) -> Secret:
    said = {name: value for name, value in {**SAID, **changes}.items() if value is not None}
    return Secret(jwt.encode(said, "k" * 32, algorithm="HS256"))


def test_every_claim_is_read() -> None:
    assert read_claims(token()) == Claims(
        sub="auth0|ada",
        iss=ISSUER,
        aud=(CLIENT,),
        exp=NOW + 3600,
        iat=NOW - 10,
        email="ada@example.com",
        account_id="account-1",
        user_id="user-1",
        plan="quantum",
        organization_id="org-1",
        project_id="proj-1",
        onboarded=True,
        org_owner=False,
        subscribed_since="2026-01-01T00:00:00+00:00",
        groups=("a", "b"),
    )


def test_the_email_may_stand_in_the_profile() -> None:
    assert (
        read_claims(token(email=None, **{PROFILE_CLAIMS: {"email": "b@example.com"}})).email
        == "b@example.com"
    )


@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("time", [1e20, 253_402_300_800, -1, 10**400])
def test_a_time_that_no_calendar_has_is_none(name: str, time: float) -> None:
    """Else whoever shows it to people, such as the status, would break at it."""
    assert getattr(read_claims(token(**{name: time})), name) is None
    latest = getattr(read_claims(token(**{name: 253_402_300_799})), name)
    assert datetime.fromtimestamp(latest, UTC).year == 9999


def test_an_expired_token_is_still_read() -> None:
    assert read_claims(token(exp=1)).email == "ada@example.com"


@pytest.mark.parametrize("value", ["x", "a.b", "a.b.c", "a.b.c.d", "eyJhbGciOiJSUzI1NiJ9.W10.x", "ä.ö.ü"])
def test_what_is_not_a_jwt_is_said_to_be_none(value: str) -> None:
    with pytest.raises(IdTokenInvalid, match="not a JWT"):
        read_claims(Secret(value))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
names = ["iss", "aud", "sub", "iat", "exp", "nbf", "email", AUTH_CLAIMS, PROFILE_CLAIMS]


@given(
    st.dictionaries(st.sampled_from(names), anything)
    | st.fixed_dictionaries(
        {AUTH_CLAIMS: st.dictionaries(st.sampled_from(sorted(SAID[AUTH_CLAIMS])), anything)}
    )
)
def test_claims_of_any_type_are_read_or_passed_over(said: dict[str, Any]) -> None:
    encoder = jwt.PyJWS()
    value = Secret(encoder.encode(json.dumps(said).encode(), "k" * 32, algorithm="HS256"))
    claims = read_claims(value)
    assert claims.exp is None or isinstance(claims.exp, float)
    assert all(isinstance(item, str) for item in (*claims.aud, *claims.groups))


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (Claims(), Claims(), False),
        (Claims(account_id="a"), Claims(), False),
        (Claims(account_id="a"), Claims(account_id="a"), False),
        (Claims(account_id="a", sub="s"), Claims(account_id="a", sub="s"), True),
        (Claims(account_id="a", sub="s"), Claims(sub="s"), True),
        (Claims(account_id="a", sub="s"), Claims(account_id="b", sub="s"), False),
        (Claims(account_id="a", user_id="u"), Claims(account_id="a", user_id="v"), False),
        (Claims(account_id="a", user_id="u"), Claims(account_id="a"), False),
        (Claims(user_id="u", sub="s"), Claims(sub="s"), True),
        (Claims(user_id="u"), Claims(sub="s"), False),
        (Claims(user_id="u", sub="s"), Claims(user_id="u", sub="t"), True),
        (Claims(user_id="u", sub="s"), Claims(sub="t"), False),
        (Claims(sub="s"), Claims(sub="s"), True),
        (Claims(sub="s"), Claims(sub="t"), False),
        (Claims(email="a"), Claims(email="a"), False),
        (Claims(sub="s", iss="https://one.example"), Claims(sub="s", iss="https://two.example"), False),
        (Claims(sub="s", iss="https://one.example/"), Claims(sub="s", iss="https://one.example"), True),
        (Claims(sub="s", iss="https://one.example"), Claims(sub="s"), True),
    ],
)
def test_an_account_is_the_same_when_both_name_its_person_and_nothing_that_both_say_differs(
    old: Claims, new: Claims, same: bool
) -> None:
    assert same_account(old, new) is same
    assert same_account(new, old) is same


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        (Claims(), Claims(), True),
        (Claims(organization_id="a"), Claims(), True),
        (Claims(organization_id="a"), Claims(organization_id="a"), True),
        (Claims(organization_id="a"), Claims(organization_id="b"), False),
        (Claims(organization_id="a", project_id="p"), Claims(organization_id="a", project_id="q"), False),
    ],
)
def test_an_organisation_differs_only_where_both_name_one(old: Claims, new: Claims, same: bool) -> None:
    assert same_organization(old, new) is same
    assert same_organization(new, old) is same


def encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


parts = anything.map(encoded) | st.text("aA-_=.1", max_size=6)
headers = st.dictionaries(st.sampled_from(["alg", "kid", "typ"]), anything, max_size=2).map(encoded)
payloads = st.dictionaries(st.sampled_from(names), anything).map(encoded)


@given(headers | parts, payloads | parts, parts)
def test_what_another_reader_takes_for_a_jwt_is_read_the_same(
    header: str, payload: str, signature: str
) -> None:
    value = f"{header}.{payload}.{signature}"
    try:
        said = jwt.decode(value, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError):
        with contextlib.suppress(IdTokenInvalid):
            read_claims(Secret(value))
    else:
        assert repr(read_claims(Secret(value))) == repr(claims_of(said))


def test_an_error_keeps_nothing_of_the_token_behind_it() -> None:
    with pytest.raises(IdTokenInvalid) as caught:
        read_claims(Secret("e30." + base64.urlsafe_b64encode(b'{"canary":').decode() + ".AA"))

    assert caught.value.__context__ is None
