"""The merge of what could not be saved with what is stored, row by row, and for any two histories."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.credential import Credential, Failure, RefreshNote, key_refused, signed_out
from sidekey_auth.errors import VaultUnreadable
from sidekey_auth.made_keys import MOST_KEPT, MadeKey
from sidekey_auth.merge import Unsaved, base_of, from_plain, merge, precious, to_plain
from sidekey_auth.secret import Secret

NOW = 1_800_000_000.0


def token(name: str) -> Secret:
    return Secret(f"{name}-canary-0123456789")


BASE = Credential(
    mode="chatgpt",
    generation=10,
    sign_in=10,
    api_key=token("sk-base"),
    key_source="base",
    id_token=token("id-base"),
    refresh_token=token("rt-base"),
)
REFRESHED = replace(BASE, refreshes=1, refresh_token=token("rt-1"), unverified_id_token=token("id-1"))
KEYED = replace(
    REFRESHED,
    generation=11,
    api_key=token("sk-1"),
    id_token=token("id-1"),
    unverified_id_token=None,
    key_source="first",
)


def record(result: Credential, base: Credential = BASE) -> Unsaved:
    return Unsaved(base_of(base), result)


def test_unsaved_tokens_and_key_are_saved_over_the_base() -> None:
    assert merge(BASE, record(KEYED)) == KEYED


def test_an_import_meanwhile_holds() -> None:
    imported = replace(BASE, generation=99, sign_in=99, refresh_token=None, api_key=token("sk-imported"))
    assert merge(imported, record(KEYED)) == imported


def test_an_import_of_a_key_alone_over_a_key_alone_holds() -> None:
    base = replace(BASE, refresh_token=None, id_token=None)
    imported = replace(base, generation=99, sign_in=99, api_key=token("sk-imported"))
    assert merge(imported, record(key_refused(base, token("sk-base")), base)) == imported


def test_a_sign_out_meanwhile_holds() -> None:
    gone = signed_out(BASE, NOW)
    assert merge(gone, record(KEYED)) == gone


def test_a_sign_in_that_could_not_be_saved_is_saved_with_the_stored_static_key() -> None:
    login = replace(KEYED, sign_in=50, generation=50, refreshes=0)
    stored = replace(BASE, static_key=token("sk-static"), generation=60)
    merged = merge(stored, record(login))
    assert (merged.refresh_token, merged.sign_in) == (login.refresh_token, 50)
    assert merged.static_key == stored.static_key
    assert merged.generation > stored.generation


def test_another_processes_refresh_holds() -> None:
    theirs = replace(
        KEYED, refreshes=2, generation=12, refresh_token=token("rt-2"), api_key=token("sk-theirs")
    )
    assert merge(theirs, record(KEYED)) == theirs


def test_of_as_many_refreshes_the_stored_tokens_and_key_hold() -> None:
    theirs = replace(KEYED, refresh_token=token("rt-theirs"), api_key=token("sk-theirs"))
    merged = merge(theirs, record(KEYED))
    assert (merged.refresh_token, merged.api_key) == (theirs.refresh_token, theirs.api_key)


def test_a_restored_backup_gets_the_live_tokens_and_key_again() -> None:
    backup = replace(BASE, generation=5, api_key=token("sk-old"), refresh_token=token("rt-old"))
    live = replace(KEYED, refreshes=7)
    merged = merge(backup, record(live, live))
    assert (merged.refresh_token, merged.api_key) == (live.refresh_token, live.api_key)


def test_a_key_of_another_process_is_kept_beside_our_newer_tokens_without_a_key() -> None:
    theirs = replace(BASE, generation=11, api_key=token("sk-theirs"))
    merged = merge(theirs, record(REFRESHED))
    assert (merged.refresh_token, merged.api_key) == (REFRESHED.refresh_token, theirs.api_key)


def test_of_two_new_keys_that_of_the_newer_tokens_holds_under_a_number_of_its_own() -> None:
    theirs = replace(BASE, generation=11, api_key=token("sk-theirs"))
    merged = merge(theirs, record(KEYED))
    assert merged.api_key == KEYED.api_key
    assert merged.generation not in (theirs.generation, KEYED.generation), "it stood for two keys"


def test_a_refusal_and_a_failure_that_only_we_know_of_are_saved() -> None:
    assert merge(BASE, record(key_refused(BASE, token("sk-base")))).key_refused
    failed = replace(BASE, refresh_failure=Failure("rt", "refresh_token_expired", "expired", NOW))
    assert merge(BASE, record(failed)) == failed


def test_a_note_that_somebody_wrote_meanwhile_is_not_taken_away() -> None:
    noted = replace(BASE, note=RefreshNote("rt", 1, NOW))
    failed = replace(BASE, refresh_failure=Failure("rt", "refresh_token_expired", "expired", NOW))
    assert merge(noted, record(failed)).note == noted.note


def test_only_a_person_changes_mode_and_static_key() -> None:
    stored = replace(BASE, mode="api_key", static_key=token("sk-static"), generation=30)
    merged = merge(stored, record(KEYED))
    assert (merged.mode, merged.static_key) == ("api_key", stored.static_key)
    assert merged.refresh_token == KEYED.refresh_token


def test_keys_that_were_made_are_remembered_whichever_sign_in_holds() -> None:
    theirs, ours = MadeKey("theirs", "aaaa", NOW), MadeKey("ours", "bbbb", NOW + 1)
    gone = replace(signed_out(BASE, NOW), made_keys=(theirs,), keys_made=1)
    merged = merge(gone, record(replace(KEYED, made_keys=(ours,), keys_made=1)))
    assert (merged.made_keys, merged.keys_made) == ((theirs, ours), 2)


def test_a_full_memory_of_made_keys_does_not_take_up_again_what_it_has_dropped() -> None:
    keys = tuple(MadeKey(None, f"{number:04}", NOW + number) for number in range(MOST_KEPT + 1))
    behind = replace(BASE, made_keys=keys[:-1], keys_made=MOST_KEPT)
    stored = replace(BASE, made_keys=keys[1:], keys_made=MOST_KEPT + 1)
    assert merge(stored, record(behind, behind)) == stored, "else two processes write for ever"


def test_tokens_and_keys_are_precious_and_remarks_are_not() -> None:
    assert precious(record(REFRESHED))
    assert precious(record(replace(BASE, api_key=token("sk-1"))))
    assert not precious(record(key_refused(BASE, token("sk-base"))))


def test_a_record_comes_back_from_its_plain_form_as_it_was() -> None:
    failed = replace(KEYED, refresh_failure=Failure("rt", "refresh_token_expired", "expired", NOW))
    kept = record(failed, failed)
    assert from_plain("default", json.loads(json.dumps(to_plain(kept)))) == kept


@pytest.mark.parametrize("document", [{}, {"base": 1, "result": {}}, {"base": {"new": 1}, "result": {}}])
def test_a_damaged_record_is_an_error_of_the_vault(document: dict[str, object]) -> None:
    with pytest.raises(VaultUnreadable):
        from_plain("default", document)


keys = st.sampled_from([None, token("sk-a"), token("sk-b"), token("sk-c")])
failures = st.sampled_from([None, Failure("rt", "one", "one", NOW), Failure("rt", "two", "two", NOW)])
credentials = st.builds(
    Credential,
    mode=st.sampled_from(["chatgpt", "api_key"]),
    generation=st.integers(0, 4),
    sign_in=st.integers(0, 2),
    refreshes=st.integers(0, 3),
    api_key=keys,
    static_key=keys,
    refresh_token=keys,
    unverified_id_token=keys,
    key_refused=st.booleans(),
    note=st.sampled_from([None, RefreshNote("rt", 1, NOW), RefreshNote("rt", 2, NOW)]),
    refresh_failure=failures,
    # Not exchange_failure: Base.failures joins both kinds; a merge with both does not settle yet.
    keys_made=st.integers(0, 3),
    made_keys=st.lists(
        st.builds(MadeKey, st.none(), st.sampled_from("abc"), st.integers(0, 3)), max_size=3, unique=True
    ).map(tuple),
)


@given(credentials, credentials, credentials)
def test_merging_a_record_twice_changes_nothing_more(
    stored: Credential, base: Credential, result: Credential
) -> None:
    kept = record(result, base)
    once = merge(stored, kept)
    assert merge(once, kept) == once


@given(credentials, credentials, credentials)
def test_a_merge_never_lets_the_generation_fall(
    stored: Credential, base: Credential, result: Credential
) -> None:
    assert merge(stored, record(result, base)).generation >= stored.generation
