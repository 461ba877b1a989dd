from __future__ import annotations

import pickle
import traceback

import pytest

from sidekey_auth.secret import Secret, secret_or_none

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
