"""What a 401 says of the bearer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.replay.refusals import FOREIGN, Refusal, judge


def body(code: object = None, message: str = "No.", kind: str = "invalid_request_error") -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}}).encode()


@pytest.mark.parametrize("code", sorted(FOREIGN))
def test_a_code_that_speaks_of_something_else_is_foreign(code: str) -> None:
    assert judge(body(code)) == Refusal(code, foreign=True)


@pytest.mark.parametrize("code", ["invalid_api_key", "token_expired", "something_new"])
def test_any_other_code_is_the_bearers_own(code: str) -> None:
    assert judge(body(code)) == Refusal(code, foreign=False)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        (
            "You have insufficient permissions for this operation. Missing scopes: api.responses.write.",
            "missing_scope",
        ),
        ("You must be a member of an organization to use the API.", "no_organization"),
        ("OpenAI-Organization header should match organization for API key", "mismatched_organization"),
        ("OpenAI-Project header should match project for API key", "mismatched_project"),
        ("IP not authorized: add it to the allowlist.", "ip_not_authorized"),
    ],
)
def test_without_a_code_the_message_tells(message: str, kind: str) -> None:
    assert judge(body(None, message)) == Refusal(kind, foreign=True)
    assert judge(json.dumps({"error": message}).encode()) == Refusal(kind, foreign=True)
    assert judge(body("invalid_api_key", message)) == Refusal("invalid_api_key"), "a code tells more"


def test_without_a_code_the_type_may_tell() -> None:
    assert judge(body(None, kind="insufficient_permissions")) == Refusal("insufficient_permissions", True)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (b'{"error": "invalid_token"}', "invalid_token"),
        (b'{"code": "token_expired"}', "token_expired"),
        (b'{"error": {"code": " Invalid_API_Key "}}', "invalid_api_key"),
        (body(401), ""),
        (body("a sentence is no code"), ""),
        (body("x" * 65), ""),
        (body({"a": 1}), ""),
        (b'{"error": null}', ""),
        (b'{"error": {"type": ["missing_scope"]}}', ""),
        (b'["missing_scope"]', ""),
        (b"missing_scope", ""),
        (b"<html>Missing scopes: a</html>", ""),
        (b"\xff\xfe", ""),
        (b"[" * 60_000, ""),
        (b"9" * 10_000, ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_a_401_that_says_nothing_else_is_believed(said: bytes | None, kind: str) -> None:
    assert judge(said) == Refusal(kind, foreign=False)


def test_further_codes_can_be_named() -> None:
    assert judge(body("account_on_hold"), {"account_on_hold"}).foreign
    assert judge(body("Account_On_Hold"), {"account_on_hold"}).foreign
    assert not judge(body("invalid_api_key"), {"account_on_hold"}).foreign


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "message"]), inner, max_size=4)
    ),
)


@given(JSON)
def test_whatever_json_comes_it_is_judged(said: object) -> None:
    refusal = judge(json.dumps(said).encode())
    assert len(refusal.kind) <= 64
    assert refusal.foreign is (refusal.kind in FOREIGN)
