"""What comes back from a sign-in: a code only with the right state, and no secret in a refusal."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Final
from urllib.parse import parse_qs

from sidekey_auth.authorize import LONGEST_CALLBACK, parse_callback
from sidekey_auth.callback_page import failure_page
from sidekey_auth.errors import NoAuthorizationCode, SignInRefused, StateMismatch

from .fault import demand

STATE: Final = "planted-state-0123456789"


def fuzz(data: bytes) -> None:
    """Read the bytes as a callback's address."""
    text = data.decode("utf-8", "surrogateescape")
    try:
        code = parse_callback(text, STATE)
    except (StateMismatch, NoAuthorizationCode, SignInRefused) as refused:
        told = f"{refused} {refused.remedy or ''}"
        demand(STATE not in told or isinstance(refused, SignInRefused), "the state is told")
        demand(str(refused).isprintable(), f"it would move a terminal's cursor: {refused}")
        _check_page(str(refused))
        return
    demand(len(code.reveal()) <= LONGEST_CALLBACK, "the code is longer than a callback may be")
    query = "".join(text.split()).strip("\"'<>").partition("#")[0]
    fields = parse_qs(query.partition("?")[2] if "?" in query else query, keep_blank_values=True)
    demand(fields.get("state") == [STATE], f"a code was taken with the state {fields.get('state')}")
    demand([each for each in fields.get("code", []) if each] == [code.reveal()], "the code is another one")
    demand(not any(fields.get("error", [])), "a code was taken beside an error")


def _check_page(message: str) -> None:
    demand(_tags(failure_page(message)) == _tags(failure_page("no")), "the message became a part of the page")


def _tags(page: str) -> list[tuple[str, list[tuple[str, str | None]]]]:
    reader = _Tags()
    reader.feed(page)
    return reader.found


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[tuple[str, str | None]]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, attrs))
