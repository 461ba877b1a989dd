"""What could not be saved meets what is stored by now: the table of ``merge``, row by row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.credential import Credential, Failure, RefreshNote, TokenSet, signed_out, with_tokens
from sidekey_auth.errors import VaultUnreadable
from sidekey_auth.made_keys import MadeKey
from sidekey_auth.merge import Unsaved, base_of, from_plain, merge, precious, to_plain
from sidekey_auth.secret import Secret

ID, OTHER_ID = Secret("id-token-0123456789"), Secret("id-token-9876543210")
OLD, NEW, THIRD = (Secret(f"refresh-token-{name}-0123456789") for name in ("old", "new", "third"))
KEY, NEW_KEY, OTHER_KEY = (Secret(f"sk-{name}-0123456789") for name in ("key", "new", "other"))
STATIC = Secret("sk-static-0123456789")
BASE = Credential(
    mode="chatgpt",
    generation=100,
    sign_in=100,
    refreshes=4,
    api_key=KEY,
    id_token=ID,
    refresh_token=OLD,
    key_source=ID.fingerprint(),
    last_refresh=datetime(2026, 11, 24, tzinfo=UTC),
)
REFRESHED = with_tokens(BASE, TokenSet(id_token=OTHER_ID, refresh_token=NEW), 1e9)
TRADED = replace(
    REFRESHED,
    id_token=OTHER_ID,
    unverified_id_token=None,
    api_key=NEW_KEY,
    key_source=OTHER_ID.fingerprint(),
    generation=101,
)
MINE = Unsaved(base_of(BASE), TRADED)


def test_on_what_it_was_based_on_the_result_holds() -> None:
    assert merge(BASE, MINE) == TRADED


def test_the_note_that_was_written_before_sending_does_not_stand_in_the_way() -> None:
    noted = replace(BASE, note=RefreshNote(OLD.fingerprint(), 1, 1.0))
    assert merge(noted, Unsaved(base_of(noted), TRADED)) == TRADED
    assert merge(noted, MINE).refresh_token == NEW


@pytest.mark.parametrize(
    "stored",
    [
        replace(BASE, sign_in=200, generation=200, api_key=OTHER_KEY, refresh_token=THIRD, refreshes=0),
        Credential(mode="chatgpt", sign_in=200, generation=200, api_key=OTHER_KEY),
        signed_out(BASE, 1.0),
    ],
    ids=["a sign-in", "an import of a key alone", "a sign-out"],
)
def test_what_a_person_has_stored_since_holds(stored: Credential) -> None:
    assert merge(stored, MINE) == stored


def test_a_key_alone_that_was_refused_is_not_put_over_an_imported_one() -> None:
    alone = Credential(mode="chatgpt", generation=100, sign_in=100, api_key=KEY)
    imported = Credential(mode="chatgpt", generation=200, sign_in=200, api_key=OTHER_KEY)
    record = Unsaved(base_of(alone), replace(alone, key_refused=True))
    assert merge(imported, record) == imported


def test_another_processs_refresh_holds() -> None:
    theirs = replace(TRADED, refresh_token=THIRD, refreshes=6, api_key=OTHER_KEY, generation=105)
    assert merge(theirs, MINE) == theirs


def test_a_restored_backup_is_older_than_what_this_process_holds() -> None:
    backup = replace(BASE, refreshes=2, refresh_token=THIRD, api_key=OTHER_KEY, generation=98)
    merged = merge(backup, Unsaved(base_of(TRADED), TRADED))
    assert (merged.refresh_token, merged.api_key, merged.refreshes) == (NEW, NEW_KEY, 5)
    assert merge(backup, MINE).refresh_token == NEW


def test_what_is_saved_and_unchanged_leaves_everything_as_stored() -> None:
    for stored in (BASE, TRADED, replace(BASE, key_refused=True), replace(BASE, static_key=STATIC)):
        assert merge(stored, Unsaved(base_of(BASE), BASE)) == stored


def test_another_processs_refusal_of_the_spent_token_does_not_undo_the_new_one() -> None:
    failure = Failure(OLD.fingerprint(), "refresh_answer_lost", "lost", 1.0)
    theirs = replace(BASE, refresh_failure=failure, key_refused=True)
    merged = merge(theirs, MINE)
    assert (merged.refresh_token, merged.refresh_failure, merged.api_key) == (NEW, None, NEW_KEY)


def test_a_sign_in_that_could_not_be_saved_holds_over_the_one_that_it_replaces() -> None:
    fresh = Credential(mode="chatgpt", generation=300, sign_in=300, refresh_token=THIRD, static_key=None)
    stored = replace(BASE, static_key=STATIC, generation=500)
    merged = merge(stored, Unsaved(base_of(BASE), fresh))
    assert (merged.refresh_token, merged.sign_in, merged.static_key) == (THIRD, 300, STATIC)
    assert merged.generation > 500


def test_mode_and_static_key_are_as_stored() -> None:
    stored = replace(BASE, mode="api_key", static_key=STATIC, generation=150)
    merged = merge(stored, MINE)
    assert (merged.mode, merged.static_key, merged.refresh_token) == ("api_key", STATIC, NEW)


def test_no_number_stands_for_two_bearers() -> None:
    theirs = replace(TRADED, api_key=OTHER_KEY)
    merged = merge(theirs, Unsaved(base_of(REFRESHED), TRADED))
    assert merged.api_key == OTHER_KEY
    assert merged.generation > TRADED.generation


def test_a_remark_is_kept_where_nobody_else_made_one() -> None:
    refused = replace(BASE, key_refused=True)
    assert merge(BASE, Unsaved(base_of(BASE), refused)).key_refused
    newer = replace(BASE, api_key=OTHER_KEY, generation=101)
    assert not merge(newer, Unsaved(base_of(BASE), refused)).key_refused


def test_every_key_that_was_made_stays_on_the_list() -> None:
    mine = replace(TRADED, keys_made=1, made_keys=(MadeKey("a", "aaaa", 1.0),))
    theirs = signed_out(replace(BASE, keys_made=1, made_keys=(MadeKey("b", "bbbb", 2.0),)), 3.0)
    merged = merge(theirs, Unsaved(base_of(BASE), mine))
    assert (merged.keys_made, {key.last_four for key in merged.made_keys}) == (2, {"aaaa", "bbbb"})


def test_tokens_and_keys_are_precious_and_remarks_are_not() -> None:
    assert precious(MINE)
    assert precious(Unsaved(base_of(REFRESHED), TRADED))
    assert not precious(Unsaved(base_of(BASE), replace(BASE, key_refused=True)))


def test_a_record_comes_back_from_its_plain_form() -> None:
    assert from_plain("default", to_plain(MINE)) == MINE


@pytest.mark.parametrize("damaged", [{}, {"base": {}, "result": {}}, {"base": 1, "result": {}}])
def test_a_damaged_record_is_said_to_be_damaged(damaged: dict[str, object]) -> None:
    with pytest.raises(VaultUnreadable):
        from_plain("default", damaged)


KEYS = st.sampled_from([None, KEY, NEW_KEY, OTHER_KEY])
CREDENTIALS = st.builds(
    Credential,
    mode=st.sampled_from(["chatgpt", "api_key"]),
    generation=st.integers(1, 9),
    sign_in=st.integers(1, 3),
    refreshes=st.integers(0, 3),
    api_key=KEYS,
    static_key=st.sampled_from([None, STATIC]),
    refresh_token=st.sampled_from([None, OLD, NEW, THIRD]),
    id_token=st.sampled_from([None, ID, OTHER_ID]),
    unverified_id_token=st.sampled_from([None, OTHER_ID]),
    key_refused=st.booleans(),
)


@given(CREDENTIALS, CREDENTIALS, CREDENTIALS)
def test_merging_once_more_changes_nothing_and_no_number_comes_back(
    stored: Credential, base: Credential, result: Credential
) -> None:
    record = Unsaved(base_of(base), result)
    merged = merge(stored, record)
    assert merged.generation >= stored.generation
    assert merge(merged, Unsaved(base_of(merged), merged)) == merged
    assert (merged.refresh_token, merged.sign_in) in {
        (stored.refresh_token, stored.sign_in),
        (result.refresh_token, result.sign_in),
    }


def test_a_refused_exchange_and_a_refused_refresh_do_not_sway_each_other() -> None:
    exchange = Failure(ID.fingerprint(), "no_platform_key", "none", 1.0)
    refresh = Failure(OLD.fingerprint(), "refresh_token_reused", "used", 2.0)
    mine = Unsaved(base_of(BASE), replace(BASE, exchange_failure=exchange))
    merged = merge(replace(BASE, refresh_failure=refresh), mine)
    assert (merged.refresh_failure, merged.exchange_failure) == (refresh, exchange)


@given(CREDENTIALS, CREDENTIALS, CREDENTIALS)
def test_merging_a_record_twice_changes_nothing_more(
    stored: Credential, base: Credential, result: Credential
) -> None:
    merged = merge(stored, Unsaved(base_of(base), result))
    again = merge(merged, Unsaved(base_of(stored), merged))
    assert again == merged
