from __future__ import annotations

import json
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.errors import IssuerRefused, IssuerUnavailable
from sidekey_auth.issuer_failures import (
    LONGEST_WISH,
    PERMANENT,
    Answer,
    error_code,
    error_text,
    failure,
    seconds_to_wait,
    worth_repeating,
)
from sidekey_auth.secret import Secret

STATUSES = (200, 204, 302, 400, 401, 403, 404, 408, 409, 418, 422, 425, 429, 500, 502, 503, 504, 529)
WAYS = (
    lambda code: {"error": {"code": code, "message": "m"}},
    lambda code: {"error": code},
    lambda code: {"code": code},
)


def answer(status: int, said: Any, **more: Any) -> Answer:
    return Answer(status, said if isinstance(said, bytes) else json.dumps(said).encode(), **more)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("code", sorted(PERMANENT))
def test_the_four_codes_are_permanent_at_any_status_wherever_and_however_they_stand(
    status: int, code: str
) -> None:
    for way, spelled in product(WAYS, (code, code.upper())):
        error = failure(answer(status, way(spelled)), "it failed")
        assert isinstance(error, IssuerRefused)
        assert error.error_code == code
        assert error.status == status


@pytest.mark.parametrize("status", STATUSES)
def test_any_other_oauth_error_in_json_is_permanent_with_401_only(status: int) -> None:
    for said in (
        *(way("some_error") for way in WAYS),
        {"error": {"message": "no", "code": None}},
        {"error": "x", "error_description": "y"},
    ):
        error = failure(answer(status, said), "it failed")
        assert isinstance(error, IssuerRefused if status == 401 else IssuerUnavailable)


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html><title>Welcome to the hotel</title></html>",
        b'{"error":',
        b"[]",
        b'["invalid_grant"]',
        b'"invalid_grant"',
        b"null",
        b"{}",
        b'{"detail":"Unauthorized"}',
        b'{"error":null}',
        b'{"error":[]}',
        b'{"error":5}',
        b'{"error_description":"invalid_grant"}',
        b"\xff\xfe",
        b"[" * 100_000,
    ],
)
def test_what_holds_no_oauth_error_is_transient_at_any_status(status: int, body: bytes) -> None:
    error = failure(answer(status, body, retry_after=7.0), "it failed")
    assert isinstance(error, IssuerUnavailable)
    assert (error.answered, error.sent, error.status, error.retry_after) == (True, True, status, 7.0)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ({"error_description": "a", "error": {"message": "b", "code": "c"}}, "a"),
        ({"error": {"message": "b", "code": "c"}}, "b"),
        ({"error": "d", "code": "e"}, "d"),
        ({"error": {"code": "c"}}, "c"),
        ({"error": {"message": "", "code": "c"}, "error_description": ""}, "c"),
        ({"code": "e"}, '{"code": "e"}'),
        (b"plain text", "plain text"),
        (b"<h1>Bad   \x00 gateway</h1>", "<h1>Bad gateway</h1>"),
        (b"", ""),
    ],
)
def test_an_errors_text_is_the_first_that_exists(said: Any, text: str) -> None:
    assert error_text(answer(400, said)) == text


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (None, None),
        ({}, None),
        ({"error": {"code": "A"}, "code": "b"}, "a"),
        ({"error": "C", "code": "b"}, "c"),
        ({"code": "B"}, "b"),
        ({"error": {"code": 5}, "code": "b"}, "b"),
        ({"code": 5}, None),
    ],
)
def test_an_errors_code_is_looked_up_in_three_places_in_turn(said: Any, code: str | None) -> None:
    assert error_code(said) == code


@pytest.mark.parametrize("status", [400, 401, 500])
def test_a_token_that_the_issuer_echoes_is_in_no_message(status: int) -> None:
    token = Secret("rt_canary-refresh-token-01")
    for said in (
        {"error": {"message": f"token {token.reveal()} is bad", "code": token.reveal()}},
        {"error": token.reveal(), "error_description": f"<{token.reveal()}>"},
        f"what is {token.reveal()}?".encode(),
    ):
        error = failure(answer(status, said), "it failed", (token,))
        assert token.reveal() not in str(error) + str(error.error_code)
        assert "***" in str(error)


@given(st.integers(100, 599), st.binary(max_size=400))
def test_no_body_breaks_anything_or_makes_a_long_message(status: int, body: bytes) -> None:
    error = failure(Answer(status, body), "it failed")
    assert len(str(error)) < 400
    assert str(error).isprintable()


def test_a_message_says_what_failed_and_what_the_issuer_answered() -> None:
    error = failure(answer(503, {"error": {"message": "busy"}}), "the refresh failed")
    assert str(error) == "the refresh failed: the issuer answered 503: busy"
    assert str(failure(answer(500, b""), "it failed")) == "it failed: the issuer answered 500"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("5", 5.0),
        ("0.5", 0.5),
        ("-3", 0.0),
        ("999999", LONGEST_WISH),
        ("inf", None),
        ("nan", None),
        ("soon", None),
        ("Thu, 01 Jan 1970 00:01:40 GMT", 40.0),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 01 Jan 1970 00:01:40 -0000", 40.0),
        ("Thu, 01 Jan 99999 00:01:40 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert seconds_to_wait(header, now=60.0) == seconds


@pytest.mark.parametrize(
    ("error", "worth"),
    [
        (IssuerUnavailable("x", sent=False), True),
        (IssuerUnavailable("x", sent=True), True),
        (IssuerUnavailable("x", answered=True, status=503), True),
        (IssuerUnavailable("x", answered=True, status=429), True),
        (IssuerUnavailable("x", answered=True, status=429, retry_after=2.0), True),
        (IssuerUnavailable("x", answered=True, status=429, retry_after=60.0), False),
        (IssuerUnavailable("x", answered=True, status=400), False),
        (IssuerUnavailable("x", answered=True, status=200), False),
        (IssuerRefused("x", status=401), False),
        (ValueError("x"), False),
    ],
)
def test_only_what_may_soon_be_better_is_worth_repeating(error: Exception, worth: bool) -> None:
    assert worth_repeating(error) is worth
