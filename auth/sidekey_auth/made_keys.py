"""The API keys that a profile has made: remembered, so that people can find and delete them. Pure.

A key stays valid until somebody deletes it at the Platform, also after a sign-out. So its record outlives
sign-ins, imports and sign-outs. The key itself is not in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from .secret import Secret

MOST_KEPT: Final = 100
"""Records; of older keys only the number is kept."""
_YEAR_10000: Final = 253_402_300_800


@dataclass(frozen=True, slots=True)
class NewKey:
    """What an id_token was exchanged for.

    Attributes:
        value: the API key.
        name: that the issuer was asked to give it, and did not refuse; None where it chose one itself.
    """

    value: Secret
    name: str | None = None


@dataclass(frozen=True, slots=True)
class MadeKey:
    """A key that was made, for people to find in their organisation's list.

    Attributes:
        name: that it was given; None where the issuer chose one.
        last_four: its last characters.
        at: Unix time in seconds at which it was made.
    """

    name: str | None
    last_four: str
    at: float


def remembered(kept: Sequence[MadeKey], key: NewKey, now: float) -> tuple[MadeKey, ...]:
    """Return the records, oldest first, with one more; the oldest falls where there are too many.

    Args:
        kept: what was remembered so far.
        key: the new one.
        now: Unix time in seconds.
    """
    return (*kept, MadeKey(key.name, key.value.last_four(), now))[-MOST_KEPT:]


def to_list(kept: Sequence[MadeKey]) -> list[dict[str, Any]]:
    """Return the records as JSON-able values."""
    return [asdict(made) for made in kept]


def from_list(values: Sequence[Any]) -> tuple[MadeKey, ...]:
    """Return the records that a list of JSON values holds.

    Raises:
        ValueError: one of them is no such record.
    """
    return tuple(_record(value) for value in values)


def _record(value: Any) -> MadeKey:
    if not isinstance(value, Mapping):
        raise ValueError("not a record of a key")  # noqa: TRY004 - every refusal is a ValueError here
    name, last_four, at = value.get("name"), value.get("last_four"), value.get("at")
    if not (name is None or isinstance(name, str)) or not isinstance(last_four, str):
        raise ValueError("not a record of a key")
    if not isinstance(at, int | float) or isinstance(at, bool) or not 0 <= at < _YEAR_10000:
        raise ValueError("not a record of a key")
    return MadeKey(name, last_four, at)
