"""How the keys that a profile has made are shown. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from sidekey_auth.issuer_settings import API_KEYS
from sidekey_auth.made_keys import MadeKey

from .output import Table

MOST_SHOWN: Final = 10
"""Rows; ``--json`` has all that are remembered."""


def keys_table(made: Sequence[MadeKey]) -> Table | None:
    """Return the newest keys, the newest first, or None where there is none."""
    if not made:
        return None
    newest = reversed(made[-MOST_SHOWN:])
    return Table(("API key made", "ends in", "name"), tuple(map(_row, newest)))


def keys_note(count: int, made: Sequence[MadeKey]) -> tuple[str, ...]:
    """Return how many keys there are and where to delete them, or nothing where there is none.

    Args:
        count: how many were made, ever.
        made: the newest of them.
    """
    if not count:
        return ()
    keys, they, them = ("API key", "It stays", "it") if count == 1 else ("API keys", "They stay", "them")
    note = f"This profile has made {count} {keys}. {they} valid until you delete {them} at {API_KEYS}."
    more = f"The newest {MOST_SHOWN} are shown; `sidekey status --json` has the last {len(made)}."
    return (note, more) if len(made) > MOST_SHOWN else (note,)


def _row(made: MadeKey) -> tuple[str, str, str]:
    moment = datetime.fromtimestamp(made.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return moment, f"…{made.last_four}", made.name or "(chosen by OpenAI)"
