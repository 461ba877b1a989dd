from __future__ import annotations

import pickle
import traceback

import pytest

from sidekey_auth.secret import LONGEST_TOKEN, Secret, is_token, secret_or_none, token_or_none

VALUE = "sk-proj-0123456789abcd"


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r:>5}".format, "%s".__mod__, ascii])
def test_no_way_of_printing_shows_the_value(shown: object) -> None:
    text = shown(Secret(VALUE))  # type: ignore[operator]
    assert "***" in text
    assert VALUE not in text


def test_a_traceback_through_containers_does_not_show_the_value() -> None:
    try:
        raise ValueError({"key": [Secret(VALUE)]})
    except ValueError:
        assert VALUE not in traceback.format_exc()


def test_people_see_the_last_four_characters_of_long_secrets_only() -> None:
    assert Secret(VALUE).masked() == "sk-…abcd"
    assert Secret("shortsecret").masked() == "…"


def test_equality_is_by_value_and_never_with_a_plain_string() -> None:
    assert Secret(VALUE) == Secret(VALUE)
    assert Secret(VALUE) != Secret(VALUE + "x")
    assert Secret(VALUE) != VALUE
    assert len({Secret(VALUE), Secret(VALUE)}) == 1


def test_a_secret_cannot_be_pickled() -> None:
    with pytest.raises(TypeError):
        pickle.dumps(Secret(VALUE))


def test_an_empty_secret_is_a_missing_one() -> None:
    with pytest.raises(ValueError, match="must not be empty"):
        Secret("")
    assert secret_or_none("") is None
    assert secret_or_none(None) is None


@pytest.mark.parametrize("value", ["rt_\ud800canary-0123456789", "\udfff", "k" * 15 + "\x1b", "ä" * 20])
def test_a_secret_of_any_characters_can_be_recognised_compared_and_shown(value: str) -> None:
    secret = Secret(value)
    assert secret == Secret(value)
    assert secret != Secret(value + "x")
    assert secret != Secret("x")
    assert len(secret.fingerprint()) == 16
    assert secret.fingerprint() == Secret(value).fingerprint()
    assert hash(secret) == hash(Secret(value))
    assert secret.masked().isprintable()
    assert secret.masked().encode()


@pytest.mark.parametrize("value", ["a", VALUE, "eyJ.a_b-c~+/=", "!" * LONGEST_TOKEN])
def test_a_token_is_printable_ascii_without_spaces(value: str) -> None:
    assert is_token(value)
    assert token_or_none(value) == Secret(value)


@pytest.mark.parametrize(
    "value",
    ["", " ", "a b", "a\n", "a\x00", "ä", "a\ud800", "a\x7f", "!" * (LONGEST_TOKEN + 1), None, 5, ["a"]],
)
def test_what_is_none_counts_as_left_out(value: object) -> None:
    assert token_or_none(value) is None
