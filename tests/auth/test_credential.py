from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.credential import (
    Credential,
    Failure,
    RefreshNote,
    TokenSet,
    bearer_of,
    checked_profile,
    from_document,
    next_generation,
    signed_out,
    to_document,
    with_tokens,
)
from sidekey_auth.errors import ConfigurationError, VaultUnreadable
from sidekey_auth.made_keys import MadeKey
from sidekey_auth.secret import Secret

texts = st.text(min_size=1, max_size=30)
secrets = st.one_of(st.none(), texts.map(Secret))
numbers = st.integers(min_value=0, max_value=2**53)
credentials = st.builds(
    Credential,
    mode=st.sampled_from(["chatgpt", "api_key", "workload"]),
    generation=numbers,
    api_key=secrets,
    static_key=secrets,
    id_token=secrets,
    unverified_id_token=secrets,
    access_token=secrets,
    refresh_token=secrets,
    last_refresh=st.one_of(st.none(), st.datetimes(timezones=st.just(UTC))),
    issuer=st.one_of(st.none(), texts),
    client_id=st.one_of(st.none(), texts),
    received_at=st.one_of(st.none(), numbers.map(float)),
    key_source=st.one_of(st.none(), texts),
    key_refused=st.booleans(),
    traded_again=st.one_of(st.none(), texts),
    note=st.one_of(st.none(), st.builds(RefreshNote, texts, numbers, numbers.map(float))),
    refresh_failure=st.one_of(st.none(), st.builds(Failure, texts, texts, texts, numbers.map(float))),
    exchange_failure=st.none(),
    imported_from=st.one_of(st.none(), texts),
    keys_made=numbers,
    made_keys=st.lists(st.builds(MadeKey, st.none() | texts, texts, st.floats(0, 2**37)), max_size=3).map(
        tuple
    ),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
)


@given(credentials)
def test_a_credential_comes_back_from_its_document_unchanged(credential: Credential) -> None:
    document = json.loads(json.dumps(to_document(credential)))
    assert from_document(credential.profile, document) == credential


@given(st.dictionaries(st.sampled_from(sorted(to_document(Credential()))), json_values))
def test_a_damaged_document_is_read_or_refused_by_field_and_never_shown(document: dict[str, Any]) -> None:
    try:
        from_document("default", document)
    except VaultUnreadable as error:
        assert any(name in str(error) for name in document)  # noqa: PT017


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "soon"])
def test_a_time_that_no_calendar_has_is_refused_by_its_field(time: str) -> None:
    with pytest.raises(VaultUnreadable, match="last_refresh is not a time"):
        from_document("default", {"last_refresh": time})


def test_the_documents_fields_have_the_names_the_design_gives_them() -> None:
    document = to_document(Credential(last_refresh=datetime(2026, 11, 24, tzinfo=UTC)))
    assert {"mode", "api_key", "id_token", "access_token", "refresh_token", "last_refresh"} <= set(document)
    assert document["last_refresh"] == "2026-11-24T00:00:00+00:00"


def test_numbers_of_generations_never_start_again() -> None:
    assert next_generation(5, now=1_700_000_000.123) == 1_700_000_000_123
    assert next_generation(2**60, now=1_700_000_000.0) == 2**60 + 1


def test_a_sign_out_leaves_the_static_key_and_a_tombstone() -> None:
    before = Credential(
        mode="chatgpt",
        generation=7,
        api_key=Secret("k"),
        refresh_token=Secret("r"),
        static_key=Secret("s"),
        last_refresh=datetime.now(UTC),
    )
    after = signed_out(before, now=1.0)
    assert after == Credential(mode="api_key", generation=1000, sign_in=1000, static_key=Secret("s"))
    assert not after.signed_in


def test_tokens_that_a_refresh_leaves_out_stay_the_old_ones() -> None:
    before = Credential(
        id_token=Secret("i"),
        access_token=Secret("a"),
        refresh_token=Secret("r"),
        note=RefreshNote("x", 1, 0),
    )
    after = with_tokens(before, TokenSet(refresh_token=Secret("r2")), now=0.0)
    assert (after.id_token, after.access_token, after.refresh_token) == (
        Secret("i"),
        Secret("a"),
        Secret("r2"),
    )
    assert after.note is None
    assert after.last_refresh == datetime.fromtimestamp(0, UTC)


def test_a_new_id_token_stays_apart_until_it_is_checked() -> None:
    after = with_tokens(Credential(id_token=Secret("old")), TokenSet(id_token=Secret("new")), now=0.0)
    assert after.id_token == Secret("old")
    assert after.unverified_id_token == Secret("new")


def test_the_bearer_is_the_modes_own_key_or_the_static_one() -> None:
    key, static = Secret("exchanged"), Secret("static")
    both = Credential(mode="chatgpt", api_key=key, static_key=static, generation=3)
    assert bearer_of(both) is not None
    cases = [
        (both, key),
        (Credential(mode="chatgpt", api_key=key, key_refused=True, static_key=static), static),
        (Credential(mode="api_key", api_key=key, static_key=static), static),
    ]
    for credential, expected in cases:
        bearer = bearer_of(credential)
        assert bearer is not None
        assert bearer.value == expected
    assert bearer_of(Credential(mode="api_key", api_key=key)) is None
    assert bearer_of(Credential(mode="chatgpt", api_key=key, key_refused=True)) is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\\b", "A", ".hidden", "x" * 65, "ä", "a\n"])
def test_a_profiles_name_can_be_a_file_name_everywhere(name: str) -> None:
    with pytest.raises(ConfigurationError):
        checked_profile(name)
    assert checked_profile("work-2.x") == "work-2.x"
