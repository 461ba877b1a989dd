"""What is remembered of the keys that were made."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.claims import Claims
from sidekey_auth.codex import CodexAuth
from sidekey_auth.codex_import import imported
from sidekey_auth.credential import Credential, TokenSet, from_document, signed_out, to_document
from sidekey_auth.errors import VaultUnreadable
from sidekey_auth.made_keys import MOST_KEPT, MadeKey, NewKey, from_list, remembered, to_list
from sidekey_auth.secret import Secret
from sidekey_auth.signed_in import signed_in, with_key

KEY = NewKey(Secret("sk-proj-canary-0123456789-wxyz"), "sidekey ada-laptop default 2026-11-24")
BEFORE = Credential(keys_made=7, made_keys=(MadeKey("an older one", "abcd", 1.0),))


def test_a_made_key_is_remembered_by_name_last_four_and_time() -> None:
    after = with_key(BEFORE, KEY, 1_795_521_600.0)
    assert after.keys_made == 8
    assert after.made_keys == (
        MadeKey("an older one", "abcd", 1.0),
        MadeKey("sidekey ada-laptop default 2026-11-24", "wxyz", 1_795_521_600.0),
    )
    assert after.api_key == KEY.value


def test_only_so_many_are_kept_and_all_are_counted() -> None:
    credential = Credential()
    for number in range(MOST_KEPT + 5):
        credential = with_key(credential, KEY, float(number))
    assert credential.keys_made == MOST_KEPT + 5
    assert [made.at for made in credential.made_keys] == [float(n) for n in range(5, MOST_KEPT + 5)]


def test_the_records_outlive_a_sign_out_a_sign_in_and_an_import() -> None:
    tokens = TokenSet(Secret("id"), Secret("access"), Secret("refresh"))
    for after in (
        signed_out(BEFORE, 2.0),
        signed_in(BEFORE, tokens, Claims(), issuer="https://i.example", client_id="app", now=2.0),
        imported(BEFORE, CodexAuth(api_key=Secret("sk-imported-0123456789")), 2.0),
    ):
        assert (after.keys_made, after.made_keys) == (BEFORE.keys_made, BEFORE.made_keys)


def test_a_program_that_tokens_were_imported_from_is_remembered_until_the_next_sign_in() -> None:
    tokens = TokenSet(Secret("id"), Secret("access"), Secret("refresh"))
    after = imported(BEFORE, CodexAuth(refresh_token=Secret("refresh")), 2.0)
    assert after.imported_from == "codex"
    assert with_key(after, KEY, 3.0).imported_from == "codex"
    assert signed_out(after, 3.0).imported_from is None
    again = signed_in(after, tokens, Claims(), issuer="https://i.example", client_id="app", now=3.0)
    assert again.imported_from is None


def test_a_document_of_an_older_sidekey_has_none_of_it() -> None:
    document = to_document(BEFORE)
    for name in ("made_keys", "keys_made", "imported_from"):
        del document[name]
    assert from_document("default", document) == Credential()


@given(st.lists(st.builds(MadeKey, st.none() | st.text(), st.text(), st.floats(0, 2**37))))
def test_records_come_back_from_json_unchanged(kept: list[MadeKey]) -> None:
    assert from_list(json.loads(json.dumps(to_list(kept)))) == tuple(kept)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"name": "n", "last_four": "abcd"},
        {"name": 1, "last_four": "abcd", "at": 1},
        {"name": "n", "last_four": None, "at": 1},
        {"name": "n", "last_four": "abcd", "at": True},
        {"name": "n", "last_four": "abcd", "at": float("nan")},
        {"name": "n", "last_four": "abcd", "at": 10**400},
        {"name": "n", "last_four": "abcd", "at": -1},
    ],
)
def test_what_is_no_record_is_refused_by_the_fields_name(value: object) -> None:
    with pytest.raises(ValueError, match="not a record of a key"):
        from_list([value])
    with pytest.raises(VaultUnreadable, match="made_keys"):
        from_document("default", {"made_keys": [value]})


def test_of_a_short_key_nothing_is_remembered() -> None:
    assert remembered((), NewKey(Secret("sk-short")), 1.0) == (MadeKey(None, "", 1.0),)
