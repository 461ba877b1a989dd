from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential, Failure
from sidekey_auth.key_refusals import KEY_REFUSALS, UNKNOWN_REMEDY, UNKNOWN_REMEDY_WITH_KEY
from sidekey_auth.secret import Secret
from sidekey_auth.states import TABLE, Facts, Runtime, Standing, standing_of

ID, REFRESH = Secret("id-token-0123456789"), Secret("refresh-token-0123456789")
KEY, STATIC = Secret("sk-key-0123456789"), Secret("sk-static-0123456789")
SIGNED_IN = Credential(
    mode="chatgpt", id_token=ID, refresh_token=REFRESH, api_key=KEY, key_source=ID.fingerprint()
)
REUSED = Failure(REFRESH.fingerprint(), "refresh_token_reused", "the token was used before.", 0)
NO_KEY = Failure(ID.fingerprint(), "no_platform_key", "the account has no organisation", 0)
NO_KEYS = [replace(NO_KEY, code=code) for code in (*(row.code for row in KEY_REFUSALS), "shoe_size_unknown")]


def stand(credential: Credential, *, expired: bool = False, **runtime: object) -> Standing:
    return standing_of(credential, Runtime(**runtime), expired=expired)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("credential", "state", "code", "ready"),
    [
        (Credential(), "signed_out", "signed_out", False),
        (Credential(static_key=STATIC), "ready", "ready", True),
        (replace(SIGNED_IN, mode="api_key"), "signed_out", "no_api_key", False),
        (replace(SIGNED_IN, mode="api_key", static_key=STATIC), "ready", "ready", True),
        (SIGNED_IN, "ready", "ready", True),
        (replace(SIGNED_IN, refresh_failure=REUSED), "reauth_required", "refresh_token_reused", True),
        (
            replace(SIGNED_IN, refresh_failure=REUSED, key_refused=True),
            "reauth_required",
            "refresh_token_reused",
            False,
        ),
        (
            replace(SIGNED_IN, api_key=None, exchange_failure=NO_KEY),
            "no_platform_key",
            "no_platform_key",
            False,
        ),
        (replace(SIGNED_IN, exchange_failure=NO_KEY), "ready", "ready", True),
        (replace(SIGNED_IN, api_key=None), "degraded", "key_pending", False),
        (
            replace(SIGNED_IN, refresh_token=None, key_refused=True, traded_again=ID.fingerprint()),
            "reauth_required",
            "key_refused",
            False,
        ),
        (Credential(mode="chatgpt"), "signed_out", "signed_out", False),
    ],
)
def test_what_is_stored_decides_the_state(credential: Credential, state: str, code: str, ready: bool) -> None:
    standing = stand(credential)
    assert (standing.state, standing.code, standing.ready) == (state, code, ready)


def test_a_renewal_under_way_and_a_passing_failure_show_and_leave_the_bearer() -> None:
    assert stand(SIGNED_IN, renewing=True).state == "refreshing"
    failing = stand(SIGNED_IN, trouble="the issuer answered 503.")
    assert failing.state == "degraded"
    assert failing.sentence == "Refreshing fails for now: the issuer answered 503."
    assert failing.ready


def test_tokens_that_could_not_be_saved_are_told_of() -> None:
    standing = stand(SIGNED_IN, unsaved=True)
    assert (standing.state, standing.code) == ("degraded", "unsaved")
    assert standing.ready


def test_the_static_key_stands_in_and_says_so() -> None:
    broken = replace(SIGNED_IN, refresh_failure=REUSED, key_refused=True, static_key=STATIC)
    standing = stand(broken)
    assert standing.fallback
    assert standing.bearer is not None
    assert standing.bearer.value == STATIC
    assert standing.sentence == (
        "The sign-in has ended: the token was used before. The stored API key is used instead."
    )
    assert not stand(replace(SIGNED_IN, static_key=STATIC)).fallback
    assert not stand(Credential(static_key=STATIC)).fallback


def test_who_has_stored_a_key_is_not_told_to_store_one() -> None:
    for credential in every_credential():
        if credential.static_key and stand(credential).fallback:
            assert "key set" not in stand(credential).remedy


def test_a_missing_bearer_is_transient_only_where_one_may_come_by_itself() -> None:
    assert stand(replace(SIGNED_IN, api_key=None)).transient
    assert stand(replace(SIGNED_IN, key_refused=True)).transient
    assert not stand(replace(SIGNED_IN, api_key=None, exchange_failure=NO_KEY)).transient
    assert not stand(replace(SIGNED_IN, key_refused=True, refresh_failure=REUSED), expired=True).transient
    assert not stand(Credential()).transient


@pytest.mark.parametrize("failure", NO_KEYS, ids=lambda failure: failure.code)
def test_each_reason_without_a_key_keeps_its_code_and_words_and_has_a_remedy_of_its_own(
    failure: Failure,
) -> None:
    credential = replace(SIGNED_IN, api_key=None, exchange_failure=failure)
    standing = stand(credential)
    assert (standing.state, standing.code) == ("no_platform_key", failure.code)
    assert standing.sentence == "Signed in, but without an API key: the account has no organisation."
    known = next((row for row in KEY_REFUSALS if row.code == failure.code), None)
    assert standing.remedy == (known.remedy if known else UNKNOWN_REMEDY)
    with_key = stand(replace(credential, static_key=STATIC))
    assert with_key.fallback
    assert with_key.remedy == (known.remedy_with_key if known else UNKNOWN_REMEDY_WITH_KEY)


def every_credential() -> list[Credential]:
    choices = itertools.product(
        ("chatgpt", "api_key"), (None, KEY), (None, STATIC), (None, ID), (None, REFRESH), (False, True),
        (None, REUSED), (None, *NO_KEYS),
    )  # fmt: skip
    return [
        Credential(
            mode=mode, api_key=key, static_key=static, id_token=token, refresh_token=refresh,
            key_refused=refused, refresh_failure=reuse, exchange_failure=no_key,
        )
        for mode, key, static, token, refresh, refused, reuse, no_key in choices
    ]  # fmt: skip


def test_every_credential_has_exactly_one_state_with_a_sentence_and_every_trouble_a_remedy() -> None:
    for credential, expired, renewing in itertools.product(every_credential(), (True, False), (True, False)):
        standing = stand(credential, expired=expired, renewing=renewing)
        assert standing.sentence.endswith(".")
        assert not standing.sentence.endswith("..")
        if standing.state in {"signed_out", "reauth_required", "no_platform_key"}:
            assert standing.remedy
        assert not (standing.ready and standing.transient)


def test_a_bearer_that_upstream_has_not_refused_is_served_in_every_state() -> None:
    for credential in every_credential():
        if credential.mode == "chatgpt" and credential.api_key and not credential.key_refused:
            bearer = stand(credential).bearer
            assert bearer is not None
            assert bearer.value == KEY


def test_every_row_of_the_table_can_be_reached() -> None:
    runtimes = (Runtime(), Runtime(renewing=True), Runtime(trouble="x"), Runtime(unsaved=True))
    runtimes += (Runtime(unsaved=True, aside="/somewhere"),)
    nowhere = (None, lambda _: False)
    reached = {
        next(row.when for row in TABLE if row.holds(Facts(credential, runtime, False, carries)))
        for credential, runtime, carries in itertools.product(every_credential(), runtimes, nowhere)
    }
    assert reached == {row.when for row in TABLE}


def test_the_documented_table_is_the_one_in_the_code() -> None:
    text = (Path(__file__).parents[2] / "docs/credentials.md").read_text()
    documented = text.partition("<!-- states -->\n")[2].partition("<!-- /states -->")[0]
    assert documented == table_as_markdown()


def table_as_markdown() -> str:
    rows = [f"| `{row.state}` | `{row.code}` | {row.when} | {row.sentence} |\n" for row in TABLE]
    return "| state | code | when | sentence |\n|---|---|---|---|\n" + "".join(rows)
