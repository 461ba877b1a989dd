"""What a request target asks for, and what of it goes to upstream, byte for byte. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "/v1"
ASTERISK: Final = "*"
_ABSOLUTE = re.compile(r"https?://([^/?#]*)(.*)", re.IGNORECASE | re.DOTALL)
_AUTHORITY = re.compile(r"([^/?#@]+):([0-9]{1,5})")
_HIGHEST_PORT: Final = 65535
_NOT_IN_A_TARGET = re.compile(r"[\x00-\x20\x7f#]")
_SEPARATOR = re.compile(r"/|\\|%2f|%5c", re.IGNORECASE)
_DOT = re.compile(r"%2e", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """A request target, taken apart no further than needed.

    Attributes:
        authority: the host that an absolute-form target names; it counts instead of Host (RFC 9112 section
            3.2.2). None for the usual origin-form.
        path: the path, byte for byte; ``*`` where the server as a whole is meant, nothing for CONNECT.
        query: the query with its question mark, byte for byte, or nothing.
    """

    authority: str | None
    path: str
    query: str


class BadTarget(ValueError):
    """The target is none that HTTP allows here."""


class NotOurs(ValueError):
    """The path is not below ``/v1``."""


def parse(method: str, text: str) -> Target:
    """Return what a request line's target says (RFC 9112 section 3.2).

    Args:
        method: CONNECT has a form of its own, and so may OPTIONS.
        text: the target.

    Raises:
        BadTarget: it is not of a form that goes with the method, or holds what no target may hold.
    """
    if _NOT_IN_A_TARGET.search(text):
        raise BadTarget("the request target holds a character that none may hold")
    if method == "CONNECT":
        return _authority_form(text)
    if text == ASTERISK and method == "OPTIONS":
        return Target(None, ASTERISK, "")
    authority = None
    if not text.startswith("/"):
        absolute = _ABSOLUTE.fullmatch(text)
        if absolute is None or not absolute[1]:
            raise BadTarget("the request target is neither a path nor an http URL")
        authority, text = absolute[1], absolute[2]
        if not text and method == "OPTIONS":
            return Target(authority, ASTERISK, "")  # RFC 9112 section 3.2.4
        if not text.startswith("/"):
            text = "/" + text
    path, mark, query = text.partition("?")
    return Target(authority, path, mark + query)


def _authority_form(text: str) -> Target:
    """Return the target of a CONNECT: a host and a port (RFC 9110 section 9.3.6)."""
    authority = _AUTHORITY.fullmatch(text)
    if authority is None or not 0 < int(authority[2]) <= _HIGHEST_PORT:
        raise BadTarget("the target of a CONNECT is a host and a port")
    return Target(text, "", "")


def below_base(target: Target) -> str:
    """Return what stands behind ``/v1``: path and query, byte for byte.

    Raises:
        NotOurs: the path is not below ``/v1``.
        BadTarget: a ``..`` in it could leave upstream's base path.
    """
    path = target.path
    if not path.startswith(PREFIX) or path[len(PREFIX) : len(PREFIX) + 1] not in ("", "/"):
        raise NotOurs
    if ".." in (unescaped := _DOT.sub(".", path)) and _climbs(unescaped):
        raise BadTarget("the path must not hold a .. segment")
    return path[len(PREFIX) :] + target.query


def _climbs(path: str) -> bool:
    # Some servers cut a segment at its semicolon before they resolve it (RFC 3986 section 3.3).
    return any(segment.partition(";")[0] == ".." for segment in _SEPARATOR.split(path))
