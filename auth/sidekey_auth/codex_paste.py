"""Where a pasted JSON document ends. Pure."""

from __future__ import annotations

from typing import Final

_CLOSES: Final = {"{": "}", "[": "]"}


class JsonEnd:
    """Follows a JSON object or array piece by piece and knows when it is complete (RFC 8259).

    Only brackets and strings are looked at; whether the rest is JSON is the parser's business. A text that
    cannot become an object or an array is never complete: it ends where its writer says so, and none of
    its lines is left behind for whoever reads next.
    """

    def __init__(self) -> None:
        self._open: list[str] = []
        self._in_string = False
        self._escaped = False
        self._hopeless = False
        self._complete = False

    @property
    def complete(self) -> bool:
        """Whether the document has ended."""
        return self._complete

    def feed(self, piece: str) -> bool:
        """Take the next piece, and return whether the document has ended."""
        for char in piece:
            if self._complete or self._hopeless:
                break
            self._take(char)
        return self._complete

    def _take(self, char: str) -> None:
        if self._in_string:
            self._take_in_string(char)
        elif char in _CLOSES:
            self._open.append(_CLOSES[char])
        elif not self._open:
            self._hopeless = not char.isspace() and char != "\ufeff"
        elif char == '"':
            self._in_string = True
        elif char in _CLOSES.values():
            self._hopeless = self._open.pop() != char
            self._complete = not self._open and not self._hopeless

    def _take_in_string(self, char: str) -> None:
        if self._escaped:
            self._escaped = False
        elif char == "\\":
            self._escaped = True
        elif char == '"':
            self._in_string = False


def is_complete_json(text: str) -> bool:
    """Return whether a text holds a complete JSON object or array, whatever follows it."""
    return JsonEnd().feed(text)
