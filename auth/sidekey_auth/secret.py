"""A value that must not be shown: tokens, API keys, seals, client keys. Pure."""

from __future__ import annotations

import hashlib
import hmac
from typing import Final, NoReturn, final

MASK: Final = "***"
LONGEST_TOKEN: Final = 64 * 1024
"""Characters of a token or key. Real ones have a few thousand; six of these fit into one sealed document."""
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
        return hashlib.sha256(self._bytes()).hexdigest()[:16]

    def last_four(self) -> str:
        """Return the last four characters for people to recognise a key by, or nothing of a short one."""
        last = self._value[-4:]
        fit = len(self._value) >= _LONG_ENOUGH_TO_SHOW_FOUR and last.isascii() and last.isprintable()
        return last if fit else ""

    def masked(self) -> str:
        """Return the way a key is shown to people: ``sk-…abcd``."""
        prefix = "sk-" if self._value.startswith("sk-") else ""
        return f"{prefix}…{self.last_four()}"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._bytes(), other._bytes())

    def _bytes(self) -> bytes:
        # Total: JSON can hold half characters (RFC 8259 section 8.2), and a vault may hold what JSON did.
        return self._value.encode("utf-8", "surrogatepass")

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(MASK, format_spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be pickled")


def is_token(value: str) -> bool:
    """Return whether a text can be a token or key: printable ASCII without spaces, at most ``LONGEST_TOKEN``.

    RFC 6749 appendix A.12 to A.17 would let a token hold spaces; none does, and no header could carry it as a
    bearer (RFC 6750 section 2.1).
    """
    return 0 < len(value) <= LONGEST_TOKEN and value.isascii() and value.isprintable() and " " not in value


def token_or_none(value: object) -> Secret | None:
    """Return a token from elsewhere as a Secret, or None where it is none: of whatever type it came."""
    return Secret(value) if isinstance(value, str) and is_token(value) else None


def secret_or_none(value: str | None) -> Secret | None:
    """Return the value as a Secret, or None where there is none."""
    return Secret(value) if value else None
