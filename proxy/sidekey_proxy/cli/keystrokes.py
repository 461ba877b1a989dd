"""What a person meant who pressed these keys: a terminal's characters become text. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_ENTER: Final = "\r\n"
_INTERRUPT: Final = "\x03\x1c"
_END: Final = "\x04"
_BACKSPACE: Final = "\x7f\x08"
_KILL_LINE: Final = "\x15"
# Arrow keys, and the marks around a bracketed paste (ECMA-48 section 5.4); the last one may not be whole yet.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~]|\[[0-?]*[ -/]*\Z|O?\Z)")


@dataclass(frozen=True, slots=True)
class Entry:
    """What has been entered so far.

    Attributes:
        text: the text.
        ended: the person is through with it.
        cancelled: the person wants out.
    """

    text: str
    ended: bool = False
    cancelled: bool = False


def entered(keys: str, *, many_lines: bool = False) -> Entry:
    """Return what these keys come to, from the first one on.

    Ctrl-C cancels, Ctrl-D ends (and cancels where nothing is there to be ended), Backspace takes the last
    character back, Ctrl-U the line, and Enter ends a single line. Other control characters are nothing.

    Args:
        keys: every character that came from the terminal.
        many_lines: Enter is part of the text, and so is Tab.
    """
    text: list[str] = []
    for key in _SEQUENCE.sub("", keys):
        if key in _INTERRUPT:
            return Entry("".join(text), cancelled=True)
        if key == _END or (key in _ENTER and not many_lines):
            return Entry("".join(text), ended=True)
        _press(text, key, many_lines=many_lines)
    return Entry("".join(text))


def _press(text: list[str], key: str, *, many_lines: bool) -> None:
    if key in _BACKSPACE:
        del text[-1:]
    elif key == _KILL_LINE:
        del text[_line_start(text) :]
    elif key in _ENTER:
        text.append("\n")
    elif key.isprintable() or (many_lines and key == "\t"):
        text.append(key)


def _line_start(text: list[str]) -> int:
    return len(text) - text[::-1].index("\n") if "\n" in text else 0


def echo(before: str, after: str) -> str:
    """Return what to write to a terminal that shows one text so that it shows the other.

    Args:
        before: the line that is shown.
        after: the line that shall be.
    """
    same = 0
    while same < min(len(before), len(after)) and before[same] == after[same]:
        same += 1
    return "\b \b" * (len(before) - same) + after[same:]
