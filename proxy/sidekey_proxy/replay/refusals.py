"""What a 401 says: whether the bearer is refused, or something that no other bearer would cure. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

LOOKED_AT: Final = 64 * 1024
"""Bytes of a 401's body that are looked at, before and after it is decoded."""

FOREIGN: Final = frozenset(
    {
        "missing_scope",
        "missing_scopes",
        "insufficient_scope",
        "insufficient_permissions",
        "no_organization",
        "invalid_organization",
        "mismatched_organization",
        "invalid_project",
        "mismatched_project",
        "ip_not_authorized",
        "ip_not_allowed",
    }
)
"""Error codes of 401 answers that speak of something other than the bearer."""

_WITHOUT_CODE: Final = (
    ("missing scopes:", "missing_scope"),
    ("insufficient permissions for this operation", "missing_scope"),
    ("must be a member of an organization", "no_organization"),
    ("header should match organization", "mismatched_organization"),
    ("header should match project", "mismatched_project"),
    ("ip not authorized", "ip_not_authorized"),
    ("ip address is not authorized", "ip_not_authorized"),
    ("ip allowlist", "ip_not_authorized"),
)
"""What the messages of some of these say: OpenAI sends them with a code of null, too."""

_CODE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Refusal:
    """A 401, judged.

    Attributes:
        kind: its error code in lower case; empty where there is none.
        foreign: it speaks of something other than the bearer: another one would not help.
    """

    kind: str = ""
    foreign: bool = False


def judge(body: bytes | None, further: Collection[str] = ()) -> Refusal:
    """Return what a 401 says; one that says nothing intelligible is the bearer's.

    Args:
        body: the answer's, decoded; None where that could not be done.
        further: error codes that are foreign besides those known here, in lower case.
    """
    kind = _kind(_parsed(body or b""))
    return Refusal(kind, kind in FOREIGN or kind in further)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _kind(said: Any) -> str:
    if not isinstance(said, dict):
        return ""
    error = said.get("error")
    inner = error if isinstance(error, dict) else said
    for code in (inner.get("code"), error, said.get("code")):
        if isinstance(code, str) and _CODE.fullmatch(code.strip().lower()):
            return code.strip().lower()
    named = inner.get("type")
    if isinstance(named, str) and named in FOREIGN:
        return named
    message = inner.get("message", error)
    text = message.lower() if isinstance(message, str) else ""
    return next((kind for phrase, kind in _WITHOUT_CODE if phrase in text), "")
