"""The name that a key gets in its organisation's list, made of the setting ``key_name``. Pure.

People find their keys by it, and delete them. The organisation's administrators see it, the host's name in it
included.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

TEMPLATE: Final = "sidekey {host} {profile} {date}"
LONGEST: Final = 100
"""Characters of a name. Whether the issuer has a limit of its own is not known."""

PLACEHOLDERS: Final = ("host", "profile", "date")
_LONGEST_PART: Final = 40
_PLACEHOLDER: Final = re.compile(r"\{([^{}]*)\}")
_SUBSTITUTE: Final = "-"


def checked_template(template: str) -> str:
    """Return a template if a name can be made of it; an empty one means that no name is sent.

    Raises:
        ValueError: it holds something in braces that is no placeholder.
    """
    known = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
    for name in _PLACEHOLDER.findall(template):
        if name not in PLACEHOLDERS:
            raise ValueError(f"there is no {{{name}}}, only {known}")
    if set("{}") & set(_PLACEHOLDER.sub("", template)):
        raise ValueError(f"braces stand around placeholders only: {known}")
    return template


def key_name(template: str, *, host: str, profile: str, now: float) -> str | None:
    """Return the name of a key that is made now, in printable ASCII, or None where none is to be sent.

    Args:
        template: of the setting, checked.
        host: this machine's name; what follows its first dot is left out.
        profile: whose key.
        now: Unix time in seconds; the name holds its date in UTC.
    """
    values = {
        "host": host.partition(".")[0],
        "profile": profile,
        "date": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d"),
    }
    return _spelled(_filled(template, values))[:LONGEST].strip() or None


def _filled(template: str, values: Mapping[str, str]) -> str:
    return _PLACEHOLDER.sub(lambda found: _spelled(values[found[1]])[:_LONGEST_PART], template)


def _spelled(text: str) -> str:
    """Return the text in printable ASCII: accents fall, a dash stands for all else."""
    plain = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    spelled = "".join(char if char.isascii() and char.isprintable() else _SUBSTITUTE for char in plain)
    return " ".join(spelled.split())
