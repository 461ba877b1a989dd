"""No log line shows a secret: neither a watched value nor anything that looks like one."""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.redaction import MOST_WATCHED, Redactor, redact
from sidekey_auth.secret import Secret

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
HEX = "0123456789abcdef"
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
bodies = st.text(ALPHABET, min_size=24, max_size=80).filter(lambda text: text.strip("-_"))
surroundings = st.text(alphabet=" \n\t\"'()[]{}<>,;é:=x", max_size=20)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("key sk-abcdefgh12345678 here", "key *** here"),
        ("sk-proj-abcdefgh", "***"),
        ("Xsk-side-abcdefghijkl", "X***"),
        (f"token {JWT}", "token ***"),
        ("eyJhbGciOiJSUzI1Ni", "***"),
        ("rt_0123456789abcdef", "***"),
        ("rt.1.0123456789abcdef", "***"),
        ("ac_0123456789abcdef", "***"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("{'Authorization': 'Bearer abc', 'x': 1}", "{'Authorization': '***', 'x': 1}"),
        ("(b'authorization', b'Basic abc')", "(b'authorization', b'***')"),
        ("Bearer xxx", "Bearer ***"),
        ("bearer abc123", "bearer ***"),
        ("Cookie: a=b; c=d", "Cookie: ***"),
        ("x-api-key: abc", "x-api-key: ***"),
        ("GET /auth/callback?code=abc&state=def HTTP/1.1", "GET /auth/callback?code=***&state=*** HTTP/1.1"),
        ("http://localhost/x?a=1&token=abc#b", "http://localhost/x?a=1&token=***#b"),
        ("?next=%2Fcb%3Fcode%3Dabc%26state%3Ddef", "?next=%2Fcb%3Fcode%3D***%26state%3D***"),
        (
            "grant_type=refresh_token&refresh_token=abc&client_id=x",
            "grant_type=refresh_token&refresh_token=***&client_id=x",
        ),
        ('{"refresh_token": "abc", "a": 1}', '{"refresh_token": "***", "a": 1}'),
        ("{'id_token': 'abc'}", "{'id_token': '***'}"),
        ("OPENAI_API_KEY=abc", "OPENAI_API_KEY=***"),
        ("code_verifier=abc", "code_verifier=***"),
        ("proxy http://user:pa55@proxy.example:3128", "proxy http://***@proxy.example:3128"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str, masked: str) -> None:
    assert redact(text) == masked
    assert redact(masked) == masked


@pytest.mark.parametrize(
    "text",
    [
        "",
        "listening on http://127.0.0.1:8484",
        "a bearer from the vault is served, generation 1764000000000",
        "the bearer refreshed.",
        "POST /v1/responses 200",
        "task-management-system",
        "desk-reservation-service",
        "exit code=3, state=ready",
        "the refresh token is used once",
        "No refresh token available: run `sidekey login`",
        "sk-…abcd",
        "/v1/files/file-abc123",
        "chatcmpl-0123456789abcdef",
        "refresh_token_reused",
        "somebody@example.org",
        "art_of_programming part.of.the.whole",
    ],
)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert redact(text) == text


@given(
    surroundings, bodies, surroundings, st.sampled_from(["sk-proj-{}", "sk-side-{}", " sk-{}", "eyJ{}.{}.{}"])
)
def test_a_token_is_masked_wherever_it_stands(before: str, body: str, after: str, form: str) -> None:
    text = before + form.format(body, body, body) + after

    assert body not in redact(text)


@given(
    st.text(ALPHABET + "!$'()*+,;:@/?%", min_size=8, max_size=40), st.text(max_size=30), st.text(max_size=30)
)
def test_a_watched_value_is_masked_in_every_spelling(value: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.watch(Secret(value))

    for spelled in (value, quote(value, safe=""), json.dumps({"k": value}), repr([value])):
        assert value not in redactor.text(before + spelled + after).replace("***", "\0")


@given(st.text())
def test_masking_twice_masks_no_more(text: str) -> None:
    once = redact(text)

    assert redact(once) == once


@given(
    st.lists(
        st.sampled_from(["Bearer ", "code=", "?state=", "sk-", "eyJ", "://u:p@", '"', "a1", "=", " ", "***"])
    )
)
def test_masking_of_odd_pieces_comes_to_rest(pieces: list[str]) -> None:
    text = "".join(pieces)
    for _ in range(3):
        text = redact(text)

    assert redact(text) == text


def test_nested_values_are_masked_down_to_the_last() -> None:
    redactor = Redactor()
    watched = Secret("canary-without-any-form")
    redactor.watch(watched)

    class Odd:
        def __repr__(self) -> str:
            return f"Odd({watched.reveal()})"

    shown = redactor.value(
        OrderedDict(
            a=[{"b": (watched, watched.reveal(), JWT)}],
            error=ValueError(f"bad {JWT}"),
            raw=b"Bearer abc",
            odd=Odd(),
            keys={watched.reveal(): 1, 5: {"x"}},
            number=1.5,
            nothing=None,
        )
    )

    assert shown == {
        "a": [{"b": ["***", "***", "***"]}],
        "error": "bad ***",
        "raw": "Bearer ***",
        "odd": "Odd(***)",
        "keys": {"***": 1, "5": ["x"]},
        "number": 1.5,
        "nothing": None,
    }
    json.dumps(shown)


@pytest.mark.parametrize("name", ["refresh_token", "Authorization", "x-api-key", "token", "OPENAI_API_KEY"])
def test_a_value_with_a_secret_name_is_masked_whatever_it_looks_like(name: str) -> None:
    shown = Redactor().value({name: "plain", "list": [{name: ["plain"]}], "flag": {name: True}})

    assert shown == {name: "***", "list": [{name: "***"}], "flag": {name: True}}


def test_a_value_that_contains_itself_and_one_that_cannot_be_shown_do_no_harm() -> None:
    endless: list[Any] = []
    endless.append(endless)

    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "…" in json.dumps(Redactor().value(endless), ensure_ascii=False)
    assert Redactor().value([Broken()]) == ["<Broken>"]


def test_short_values_are_not_watched_and_old_ones_are_forgotten() -> None:
    redactor = Redactor()
    redactor.watch(Secret("the"))
    redactor.watch(*(Secret(f"canary-number-{number:05}") for number in range(MOST_WATCHED + 1)))

    assert redactor.text("the canary-number-00000 canary-number-01000") == "the canary-number-00000 ***"


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "eyJ",
        "sk-",
        "bearer ",
        "?code=",
        "://",
        "://a",
        "authorization",
        "%26code%3D",
        "eyJaaaaaaaaaaaa.",
    ],
)
def test_a_long_text_is_masked_in_linear_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))

    begun = time.process_time()
    redact(text)

    assert time.process_time() - begun < 2


def test_a_watched_value_with_half_a_character_is_masked_too() -> None:
    redactor = Redactor()
    value = "canary-\ud800-0123456789"
    redactor.watch(Secret(value))
    assert redactor.text(f"before {value} after") == "before *** after"
    assert "0123456789" not in redactor.text(json.dumps({"k": value}))
