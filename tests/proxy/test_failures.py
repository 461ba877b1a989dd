"""What sidekey itself answers, in OpenAI's shape."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.errors import NoBearer
from sidekey_proxy.message import failures
from sidekey_proxy.message.exchange import first
from sidekey_proxy.message.failures import Failure
from sidekey_proxy.message.framing import BadFraming
from sidekey_proxy.upstream.interface import (
    UpstreamCut,
    UpstreamError,
    UpstreamInvalid,
    UpstreamTimedOut,
    UpstreamUnreachable,
)

EVERY = [
    failures.no_bearer(
        NoBearer("Nobody is signed in.", state_code="signed_out", remedy="Run `sidekey login`.")
    ),
    failures.no_bearer(NoBearer("A refresh is under way", state_code="refreshing", transient=True)),
    failures.bearer_not_allowed_there(),
    failures.upstream_failed(UpstreamUnreachable("it is not there")),
    failures.internal(),
    failures.foreign_host("evil.example"),
    failures.foreign_origin("https://evil.example"),
    failures.foreign_origin(None),
    failures.client_key_required(),
    failures.client_key_invalid(),
    failures.not_below_v1("/models"),
    failures.method_not_allowed("TRACE"),
    failures.bad_request("no"),
]


@pytest.mark.parametrize("failure", EVERY, ids=lambda failure: failure.code)
def test_every_failure_has_openais_shape(failure: Failure) -> None:
    error = json.loads(failure.body())["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["param"] is None
    assert error["code"] == failure.code
    assert failure.code.startswith("sidekey_")
    assert error["message"].endswith(".")
    assert first(failure.headers(), b"content-type") == b"application/json"
    assert first(failure.headers(), b"content-length") == str(len(failure.body())).encode()
    assert failure.reason


def test_without_a_bearer_the_message_says_what_to_run_and_sdks_stop() -> None:
    failure = failures.no_bearer(
        NoBearer("Nobody is signed in", state_code="signed_out", remedy="Run `sidekey login`.")
    )
    assert (failure.status, failure.code) == (401, "sidekey_login_required")
    assert failure.message == "Nobody is signed in. Run `sidekey login`."
    assert first(failure.headers(), b"x-should-retry") == b"false"


def test_while_a_bearer_may_come_clients_are_asked_to_come_again() -> None:
    failure = failures.no_bearer(NoBearer("A refresh is under way", state_code="refreshing", transient=True))
    assert (failure.status, failure.code) == (503, "sidekey_bearer_unavailable")
    assert first(failure.headers(), b"retry-after") == b"5"
    assert first(failure.headers(), b"x-should-retry") is None


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (UpstreamUnreachable("x"), 502, "sidekey_upstream_unreachable"),
        (UpstreamCut("x"), 502, "sidekey_upstream_unreachable"),
        (UpstreamInvalid("x"), 502, "sidekey_upstream_invalid"),
        (UpstreamTimedOut("x"), 504, "sidekey_upstream_timeout"),
    ],
)
def test_upstreams_failures_have_their_own_status(error: UpstreamError, status: int, code: str) -> None:
    failure = failures.upstream_failed(error)
    assert (failure.status, failure.code) == (status, code)


def test_refusals_name_the_setting_that_changes_them() -> None:
    assert "setting hosts" in failures.foreign_host("box.example").message
    assert "setting origins" in failures.foreign_origin("https://page.example").message
    assert "setting allow_upstream" in failures.bearer_not_allowed_there().message


def test_a_path_outside_v1_is_answered_with_the_usual_mistake() -> None:
    failure = failures.not_below_v1("/chat/completions")
    assert failure.status == 404
    assert "must end in /v1" in failure.message


words = st.text(max_size=60)
words_of_any_kind = words | words.map(lambda text: text + "\udcff\0\r\n")
ERRORS = [UpstreamError, UpstreamUnreachable, UpstreamCut, UpstreamInvalid, UpstreamTimedOut]


def check(failure: Failure, statuses: set[int]) -> None:
    error = json.loads(failure.body())["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert failure.status in statuses
    assert first(failure.headers(), b"content-length") == str(len(failure.body())).encode()
    head = b"".join(name + value for name, value in failure.headers())
    assert not {*b"\r\n\0"} & {*head}, "no word of anybody's gets into a header"
    assert failure.reason.isascii()


@given(st.sampled_from(ERRORS), words_of_any_kind)
def test_whatever_upstream_is_accused_of_is_told_as_json(kind: type[UpstreamError], text: str) -> None:
    check(failures.upstream_failed(kind(text)), {504 if kind is UpstreamTimedOut else 502})


@given(words_of_any_kind, words_of_any_kind, st.booleans())
def test_whatever_the_reason_for_no_bearer_is_told_as_json(text: str, remedy: str, transient: bool) -> None:
    error = NoBearer(text, state_code="x", remedy=remedy, transient=transient)
    check(failures.no_bearer(error), {503 if transient else 401})


@given(words_of_any_kind)
def test_whatever_a_client_says_is_told_back_as_json(text: str) -> None:
    check(failures.foreign_host(text), {421})
    check(failures.foreign_origin(text), {403})
    check(failures.not_below_v1(text), {404})
    check(failures.method_not_allowed(text), {405})


@given(words_of_any_kind, st.sampled_from([400, 413, 414, 431, 501, 505]))
def test_whatever_is_wrong_with_the_framing_is_told_as_json(text: str, status: int) -> None:
    fault = BadFraming(text, status)
    check(failures.bad_request(str(fault), fault.status), {status})
