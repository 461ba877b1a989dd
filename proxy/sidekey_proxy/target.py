"""What a request target asks for, and what of it goes to upstream, byte for byte. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "/v1"
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_NOT_IN_A_TARGET = re.compile(r"[\x00-\x20\x7f#]")
_SEPARATOR = re.compile(r"/|\\|%2f|%5c", re.IGNORECASE)
_DOT = re.compile(r"%2e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A request target, taken apart no further than needed.

    Attributes:
        authority: the host that an absolute-form target names; it counts instead of Host (RFC 9112 section
            3.2.2). None for the usual origin-form.
        path: the path, byte for byte.
        query: the query with its question mark, byte for byte, or nothing.
    """

    authority: str | None
    path: str
    query: str


class BadTarget(ValueError):
    """The target is none that HTTP allows here."""


class NotOurs(ValueError):
    """The path is not below ``/v1``."""


def parse(text: str) -> Target:
    """Return what a request line's target says (RFC 9112 section 3.2).

    Raises:
        BadTarget: it is neither a path nor an http URL, or holds what no target may hold.
    """
    if _NOT_IN_A_TARGET.search(text):
        raise BadTarget("the request target holds a character that none may hold")
    authority = None
    if not text.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(text)
        if absolute is None or not absolute[1]:
            raise BadTarget("the request target is neither a path nor an http URL")
        authority, text = absolute[1], absolute[2]
        if not text.startswith("/"):
            text = "/" + text
    path, mark, query = text.partition("?")
    return Target(authority, path, mark + query)


def below_base(target: Target) -> str:
    """Return what stands behind ``/v1``: path and query, byte for byte.

    Raises:
        NotOurs: the path is not below ``/v1``.
        BadTarget: a ``..`` in it could leave upstream's base path.
    """
    path = target.path
    if not path.startswith(PREFIX) or path[len(PREFIX) : len(PREFIX) + 1] not in ("", "/"):
        raise NotOurs
    if ".." in (unescaped := _DOT.sub(".", path)) and ".." in _SEPARATOR.split(unescaped):
        raise BadTarget("the path must not hold a .. segment")
    return path[len(PREFIX) :] + target.query
