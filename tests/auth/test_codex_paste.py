from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.codex_paste import JsonEnd, is_complete_json

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(st.dictionaries(st.text(), values, max_size=4), st.sampled_from([None, 2]), st.booleans())
def test_a_document_is_complete_with_its_last_bracket_and_not_before(
    document: dict[str, Any], indent: int | None, ascii_only: bool
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    assert is_complete_json(text)
    assert is_complete_json("\n  " + text + "\nls -la\n")
    assert not is_complete_json(text[:-1])


@given(st.dictionaries(st.text(), values, min_size=1, max_size=3), st.integers(1, 7))
def test_pieces_of_any_size_end_at_the_same_place(document: dict[str, Any], size: int) -> None:
    text = json.dumps(document)
    end = JsonEnd()
    pieces = [text[start : start + size] for start in range(0, len(text), size)]
    assert [end.feed(piece) for piece in pieces] == [False] * (len(pieces) - 1) + [True]
    assert end.complete


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    end = JsonEnd()
    assert end.feed(text) == is_complete_json(text)


@pytest.mark.parametrize(
    "text", ["", "  \n", "{", '{"a": "}', '{"a": "\\"}', '{"a": [}', "hello {}", "5", '"x"', "]", "}{}"]
)
def test_what_is_not_complete_or_never_will_be_goes_on(text: str) -> None:
    assert not is_complete_json(text)


def test_a_byte_order_mark_is_passed_over() -> None:
    assert is_complete_json('\ufeff{"a": 1}')
