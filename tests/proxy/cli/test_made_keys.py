"""How the keys that a profile has made are shown."""

from __future__ import annotations

from sidekey_auth.made_keys import MadeKey
from sidekey_proxy.cli.made_keys import MOST_SHOWN, keys_note, keys_table

MADE = tuple(MadeKey(f"key {number}", f"{number:04}", float(number)) for number in range(MOST_SHOWN + 1))


def test_the_newest_come_first_and_only_so_many() -> None:
    table = keys_table(MADE)
    assert table is not None
    assert [row[2] for row in table.rows] == [f"key {number}" for number in range(MOST_SHOWN, 0, -1)]
    assert table.rows[0] == ("1970-01-01 00:00:10 UTC", "…0010", "key 10")


def test_where_no_key_was_made_nothing_is_shown() -> None:
    assert keys_table(()) is None
    assert keys_note(0, ()) == ()


def test_a_key_whose_name_was_not_ours_says_so() -> None:
    table = keys_table((MadeKey(None, "abcd", 0.0),))
    assert table is not None
    assert table.rows == (("1970-01-01 00:00:00 UTC", "…abcd", "(chosen by OpenAI)"),)


def test_it_is_told_how_many_where_to_delete_them_and_where_the_rest_is() -> None:
    (one,) = keys_note(1, MADE[:1])
    assert one.startswith("This profile has made 1 API key. It stays valid until you delete it at https://")
    assert len(keys_note(MOST_SHOWN, MADE[:MOST_SHOWN])) == 1
    many, more = keys_note(500, MADE)
    assert "500 API keys. They stay valid until you delete them" in many
    assert f"`sidekey status --json` has the last {len(MADE)}" in more
