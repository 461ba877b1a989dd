from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.credential import TokenSet
from sidekey_auth.errors import (
    DeviceCodeUnavailable,
    IssuerError,
    IssuerRefused,
    IssuerUnavailable,
    KeyNameRefused,
    KeyRefused,
    NoPlatformKey,
)
from sidekey_auth.issuer_answers import (
    DeviceGrant,
    check_revoked,
    device_grant,
    device_start,
    key_set,
    tokens_of_code,
    tokens_of_refresh,
    traded_key,
)
from sidekey_auth.issuer_failures import Answer
from sidekey_auth.secret import LONGEST_TOKEN, Secret

ALL = {"id_token": "i-0123456789", "access_token": "a-0123456789", "refresh_token": "r-0123456789"}


UNUSABLE = [
    "r_\ud800-0123456789",
    "r 0123456789",
    "r-0123456789\n",
    "ä-0123456789",
    "r" * (LONGEST_TOKEN + 1),
]
"""What no token can be: it could not be sent, compared or stored."""


def answer(status: int, said: Any) -> Answer:
    return Answer(status, said if isinstance(said, bytes) else json.dumps(said).encode())


def tokens(**values: str) -> TokenSet:
    return TokenSet(**{name: Secret(value) for name, value in values.items()})


def test_a_code_brings_all_three_tokens() -> None:
    assert tokens_of_code(answer(200, {**ALL, "token_type": "Bearer", "expires_in": 3600})) == tokens(**ALL)


@pytest.mark.parametrize("missing", sorted(ALL))
@pytest.mark.parametrize("value", [None, "", 5, [], {}, *UNUSABLE])
def test_a_code_without_one_of_the_tokens_is_a_failed_exchange(missing: str, value: object) -> None:
    with pytest.raises(IssuerUnavailable, match=f"lacks {missing}"):
        tokens_of_code(answer(200, {**ALL, missing: value}))


def test_a_refresh_may_leave_any_token_out() -> None:
    assert tokens_of_refresh(answer(200, {})) == TokenSet()
    for name, value in ALL.items():
        assert tokens_of_refresh(answer(200, {name: value})) == tokens(**{name: value})
    assert tokens_of_refresh(answer(200, ALL)) == tokens(**ALL)


def test_a_rotated_refresh_token_is_taken_whatever_stands_beside_it() -> None:
    rotated = tokens(refresh_token=ALL["refresh_token"])
    for beside in ({"id_token": 5}, {"error": "odd"}, {"id_token": "", "access_token": []}):
        assert tokens_of_refresh(answer(200, {**beside, "refresh_token": ALL["refresh_token"]})) == rotated


@pytest.mark.parametrize("name", sorted(ALL))
@pytest.mark.parametrize("value", UNUSABLE)
def test_a_token_that_cannot_be_used_counts_as_left_out_of_a_refresh(name: str, value: str) -> None:
    rest = {other: token for other, token in ALL.items() if other != name}
    assert tokens_of_refresh(answer(200, {**ALL, name: value})) == tokens(**rest)


@pytest.mark.parametrize("value", UNUSABLE)
def test_a_key_that_cannot_be_used_is_none(value: str) -> None:
    with pytest.raises(IssuerUnavailable, match="holds no key"):
        traded_key(answer(200, {"access_token": value}))


@pytest.mark.parametrize("value", UNUSABLE)
def test_a_device_code_that_cannot_be_sent_back_is_none(value: str) -> None:
    with pytest.raises(IssuerUnavailable, match="lacks it"):
        device_start(answer(200, {"device_auth_id": value, "user_code": "ABCD-EFGHJ"}))
    with pytest.raises(IssuerUnavailable, match="lacks the code"):
        device_grant(answer(200, {"authorization_code": value, "code_verifier": "v-0123456789"}))
    with pytest.raises(IssuerUnavailable, match="lacks the code"):
        device_grant(answer(200, {"authorization_code": "c-0123456789", "code_verifier": value}))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", {"error": "server_error"}])
def test_a_refresh_answered_200_without_tokens_in_json_is_transient(body: Any) -> None:
    with pytest.raises(IssuerUnavailable) as caught:
        tokens_of_refresh(answer(200, body))
    assert caught.value.answered


def test_a_key_exchange_brings_a_key() -> None:
    assert traded_key(answer(200, {"access_token": "sk-0123456789"})) == Secret("sk-0123456789")


@pytest.mark.parametrize("said", [{}, {"access_token": ""}, {"access_token": None}, {"access_token": "a\nb"}])
def test_a_key_exchange_without_a_key_has_failed(said: Any) -> None:
    with pytest.raises(IssuerUnavailable, match="holds no key"):
        traded_key(answer(200, said))


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_account_without_an_organisation_is_told_where_to_make_one(status: int) -> None:
    said = {
        "error": {"code": "invalid_subject_token", "message": "Invalid ID token: missing organization_id"}
    }
    with pytest.raises(NoPlatformKey) as caught:
        traded_key(answer(status, said))
    assert str(caught.value) == (
        f"the account has no Platform organisation (the issuer answered {status}: "
        "Invalid ID token: missing organization_id)"
    )
    assert "https://platform.openai.com/" in caught.value.remedy
    assert caught.value.error_code == "invalid_subject_token"


def test_other_refusals_of_the_key_exchange_are_not_that_one() -> None:
    said = {"error": {"code": "invalid_subject_token", "message": "Invalid ID token: expired"}}
    with pytest.raises(IssuerRefused) as caught:
        traded_key(answer(401, said))
    assert not isinstance(caught.value, NoPlatformKey)
    with pytest.raises(IssuerUnavailable):
        traded_key(answer(503, b"organization_id service is down"))


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 409, 422])
def test_what_the_issuer_refuses_in_words_is_refused_for_good_with_code_and_words(status: int) -> None:
    said = {"error": {"code": "Shoe_Size_Unknown", "message": "We do not know your shoe size."}}
    with pytest.raises(IssuerRefused) as caught:
        traded_key(answer(status, said))
    assert str(caught.value) == f"the issuer answered {status}: We do not know your shoe size."
    assert (caught.value.error_code, caught.value.status) == ("shoe_size_unknown", status)
    assert "sidekey key set" in caught.value.remedy


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
def test_what_may_pass_is_not_taken_for_a_refusal_of_the_key(status: int) -> None:
    said = {"error": {"code": "api_key_creation_disabled", "message": "missing organization_id"}}
    with pytest.raises(IssuerUnavailable):
        traded_key(answer(status, said))


@pytest.mark.parametrize("body", [b"<html>Forbidden</html>", b"", b"[]", b"{}", b'{"status": "login"}'])
def test_a_refusal_without_an_error_in_json_is_not_the_issuers(body: bytes) -> None:
    with pytest.raises(IssuerUnavailable):
        traded_key(answer(403, body))


def test_a_policys_refusal_has_a_code_of_its_own_and_the_issuers_words() -> None:
    said = {"error": {"code": "org_policy", "message": "Only service account keys are allowed here."}}
    with pytest.raises(KeyRefused) as caught:
        traded_key(answer(403, said))
    assert (caught.value.code, caught.value.error_code) == ("service_account_keys_only", "org_policy")
    assert "Only service account keys are allowed here." in str(caught.value)
    assert "the organisation's administrator" in caught.value.remedy


def test_a_refused_name_is_told_apart_only_where_one_was_asked_for() -> None:
    said = {"error": {"code": "unknown_parameter", "message": "Unknown parameter.", "param": "name"}}
    with pytest.raises(KeyNameRefused):
        traded_key(answer(400, said), name="sidekey host default 2026-11-24")
    with pytest.raises(IssuerRefused) as caught:
        traded_key(answer(400, said))
    assert not isinstance(caught.value, KeyNameRefused)


@pytest.mark.parametrize(
    ("interval", "seconds"),
    [
        ("5", 5.0),
        (5, 5.0),
        (0.1, 0.1),
        ("2.5", 2.5),
        (None, 5.0),
        ("", 5.0),
        ("soon", 5.0),
        (-1, 5.0),
        (0, 5.0),
        ("inf", 5.0),
        ("nan", 5.0),
        (9999, 60.0),
        ([], 5.0),
        (10**400, 5.0),
    ],
)
def test_the_interval_is_a_string_or_a_number(interval: object, seconds: float) -> None:
    said = {"device_auth_id": "device-0123456789", "user_code": "ABCD-EFGHJ", "interval": interval}
    assert device_start(answer(200, said)).interval == seconds


def test_the_code_may_be_called_usercode() -> None:
    said = {"device_auth_id": "device-0123456789", "usercode": "ABCD-EFGHJ"}
    assert device_start(answer(200, said)).user_code == "ABCD-EFGHJ"


def test_a_device_code_that_is_not_enabled_or_not_whole_is_none() -> None:
    with pytest.raises(DeviceCodeUnavailable, match="not enabled"):
        device_start(answer(404, b""))
    with pytest.raises(IssuerUnavailable, match="lacks it"):
        device_start(answer(200, {"user_code": "ABCD"}))


def test_a_poll_waits_with_403_and_404_and_ends_with_anything_else() -> None:
    said = {"authorization_code": "ac-0123456789", "code_challenge": "c", "code_verifier": "v-0123456789"}
    assert device_grant(answer(200, said)) == DeviceGrant(Secret("ac-0123456789"), Secret("v-0123456789"))
    for status in (403, 404):
        assert device_grant(answer(status, {"error": {"code": "whatever"}})) is None
    for status in (302, 400, 401, 410, 422):
        with pytest.raises(IssuerRefused, match=str(status)):
            device_grant(answer(status, {"error": {"code": "expired_token"}}))
    for status in (429, 500, 503):
        with pytest.raises(IssuerUnavailable):
            device_grant(answer(status, b""))
    for portal in (answer(302, b""), answer(401, b"<html>"), answer(200, b"<html>"), answer(511, b"<html>")):
        with pytest.raises(IssuerUnavailable):
            device_grant(portal)
    with pytest.raises(IssuerUnavailable, match="lacks the code"):
        device_grant(answer(200, {"authorization_code": "ac-0123456789"}))


@pytest.mark.parametrize("shape", [lambda code: {"error": code}, lambda code: {"error": {"code": code}}])
@pytest.mark.parametrize("status", [400, 403, 404])
def test_the_codes_of_a_poll_mean_the_same_at_any_status(status: int, shape: Any) -> None:
    """RFC 8628 section 3.5."""
    assert device_grant(answer(status, shape("authorization_pending"))) is None
    with pytest.raises(IssuerUnavailable) as caught:
        device_grant(answer(status, shape("slow_down")))
    assert caught.value.error_code == "slow_down"
    for code in ("access_denied", "expired_token"):
        with pytest.raises(IssuerRefused):
            device_grant(answer(status, shape(code)))


def test_keys_that_cannot_be_read_are_transient() -> None:
    for given_answer in (answer(404, b""), answer(200, b"<html>"), answer(200, {"keys": []})):
        with pytest.raises(IssuerUnavailable, match="public keys"):
            key_set(given_answer)


def test_only_200_is_a_revocation() -> None:
    check_revoked(answer(200, b""))
    for status in (204, 400, 401, 503):
        with pytest.raises(IssuerError, match="not revoked"):
            check_revoked(answer(status, b""))


@given(st.integers(100, 599), st.binary(max_size=200) | st.just(json.dumps(ALL).encode()))
def test_no_answer_breaks_anything(status: int, body: bytes) -> None:
    for read in (tokens_of_code, tokens_of_refresh, traded_key, device_start, device_grant, key_set):
        try:
            read(Answer(status, body))
        except (IssuerError, DeviceCodeUnavailable) as error:
            assert str(error).isprintable()  # noqa: PT017
