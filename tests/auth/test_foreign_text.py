from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.foreign_text import LONGEST, shown
from sidekey_auth.secret import Secret


@given(st.text(alphabet=st.characters(), max_size=2000))
def test_whatever_comes_is_one_printable_line_of_limited_length(text: str) -> None:
    line = shown(text)
    assert len(line) <= LONGEST
    assert not any(unicodedata.category(char)[0] == "C" for char in line)
    assert len(line.splitlines()) <= 1


@given(
    st.text(max_size=400),
    st.text(alphabet="abcXYZ0123456789_-", min_size=12, max_size=80),
    st.text(max_size=400),
)
def test_a_secret_that_is_echoed_is_masked(before: str, value: str, after: str) -> None:
    assert value not in shown(before + value + after, [Secret(value)]) or value in before + after


def test_what_looks_like_a_token_is_masked_even_if_it_is_cut_short() -> None:
    assert shown("bad token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln") == "bad token ***"
    assert shown("Incorrect key sk-proj-abcdefgh provided") == "Incorrect key *** provided"
    assert shown("see https://platform.openai.com/account") == "see https://platform.openai.com/account"


def test_escape_sequences_and_marks_that_turn_text_around_are_gone() -> None:
    assert shown("a\x1b[31mb\u202ec\r\nd") == "a [31mb c d"


def test_a_long_text_is_cut_after_it_is_masked() -> None:
    secret = "k" * 35
    assert "kkkkk" not in shown("x" * (LONGEST - 20) + " " + secret, [Secret(secret)])


def test_what_json_calls_a_token_or_secret_is_masked_however_short_it_is() -> None:
    said = (
        '{"id_token": "canary-1", "refresh_token":"canary-2", "api_key": "canary-3", "detail": "later", '
        '\'client_secret\': \'canary-4\', "code": "rate_limited", "token_type": "Bearer"}'
    )
    text = shown(said)
    assert "canary" not in text
    assert '"detail": "later"' in text
    assert '"code": "rate_limited"' in text
    assert '"token_type": "Bearer"' in text
