"""What sidekey itself answers, in OpenAI's shape."""

from __future__ import annotations

import json

import pytest

from sidekey_auth.errors import NoBearer
from sidekey_proxy import failures
from sidekey_proxy.exchange import first
from sidekey_proxy.failures import Failure
from sidekey_proxy.upstream import (
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
