"""A value that must not be shown: tokens, API keys, seals, client keys. Pure."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NoReturn, final

MASK: Final = "***"
_LONG_ENOUGH_TO_SHOW_FOUR: Final = 16


@final
class Secret:
    """A string that prints as ``***``.

    Everything secret is a ``Secret`` from the moment it is read until it is put on the wire, so that a log
    line, a traceback or an f-string cannot carry it by accident. Equality takes constant time.

    Args:
        value: the plain text. It must not be empty: an empty secret is a missing one.

    Raises:
        ValueError: the value is empty.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        if not value:
            raise ValueError("a secret must not be empty")
        self._value = value

    def reveal(self) -> str:
        """Return the plain text; call it only where the value goes on the wire or under the seal."""
        return self._value

    def fingerprint(self) -> str:
        """Return 16 hex digits of the value's SHA-256: enough to recognise it, useless to derive it."""
        return hashlib.sha256(self._value.encode()).hexdigest()[:16]

    def last_four(self) -> str:
        """Return the last four characters for people to recognise a key by, or nothing of a short one."""
        return self._value[-4:] if len(self._value) >= _LONG_ENOUGH_TO_SHOW_FOUR else ""

    def masked(self) -> str:
        """Return the way a key is shown to people: ``sk-…abcd``."""
        prefix = "sk-" if self._value.startswith("sk-") else ""
        return f"{prefix}…{self.last_four()}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def secret_or_none(value: str | None) -> Secret | None:
    """Return the value as a Secret, or None where there is none."""
    return Secret(value) if value else None
