"""What a person meant who pressed these keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.cli.keystrokes import Entry, echo, entered


@pytest.mark.parametrize(
    ("keys", "entry"),
    [
        ("", Entry("")),
        ("abc", Entry("abc")),
        ("abc\r", Entry("abc", ended=True)),
        ("abc\ndef\n", Entry("abc", ended=True)),
        ("abc\x04", Entry("abc", ended=True)),
        ("\x04", Entry("", ended=True)),
        ("abc\x03\n", Entry("abc", cancelled=True)),
        ("\x1c", Entry("", cancelled=True)),
        ("abd\x7fc\n", Entry("abc", ended=True)),
        ("x\x08\x08abc", Entry("abc")),
        ("grüß\x7fn", Entry("grün")),
        ("wrong\x15right", Entry("right")),
        ("a\tb\x01\x00", Entry("ab")),
        ("\x1b[200~sk-key\x1b[201~\r", Entry("sk-key", ended=True)),
        ("a\x1b[D\x1bOHb", Entry("ab")),
        ("a\x1b", Entry("a")),
        ("a\x1b[", Entry("a")),
        ("a\x1b[20", Entry("a")),
    ],
)
def test_a_line_is_edited_and_ends_with_enter(keys: str, entry: Entry) -> None:
    assert entered(keys) == entry


@pytest.mark.parametrize(
    ("keys", "entry"),
    [
        ('{\r "a": 1\n}\n', Entry('{\n "a": 1\n}\n')),
        ("a\tb\n", Entry("a\tb\n")),
        ("a\nwrong\x15b", Entry("a\nb")),
        ("a\n\x04b", Entry("a\n", ended=True)),
        ("\x1b[200~{\n}\x1b[201~", Entry("{\n}")),
        ("{\n\x03", Entry("{\n", cancelled=True)),
    ],
)
def test_a_text_has_many_lines_and_ends_with_ctrl_d(keys: str, entry: Entry) -> None:
    assert entered(keys, many_lines=True) == entry


@given(st.text())
def test_a_line_holds_only_what_prints(keys: str) -> None:
    assert entered(keys).text == "" or entered(keys).text.isprintable()


@given(st.text("abü\x7f\x15", max_size=12), st.text("abü\x7f\x15", max_size=12))
def test_the_screen_follows_what_is_typed(first: str, more: str) -> None:
    before, after = entered(first).text, entered(first + more).text

    screen = list(before)
    for piece in echo(before, after).split("\b \b"):
        screen += piece
        screen.append("")  # a place for the erasure to take back
        screen.pop()
    erased = echo(before, after).count("\b \b")

    assert before[: len(before) - erased] + echo(before, after).replace("\b \b", "") == after
