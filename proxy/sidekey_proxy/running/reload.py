"""What a new configuration changes in a running proxy, and what has to wait for the next start. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from sidekey_proxy.configuration.settings import SETTINGS, Settings

FIXED_AT_START: Final = frozenset(
    {
        "allow_profiling",
        "allowed_issuers",
        "allowed_workspace_id",
        "client_id",
        "exchange",
        "issuer",
        "profile",
    }
)
"""What a credential is and how it is renewed, and what the process itself is allowed."""

READ_BY_COMMANDS: Final = frozenset(
    {"callback_host", "callback_ports", "callback_timeout", "originator", "redeem_credits", "scope"}
)
"""What only a sign-in asks for: it reads the settings itself."""


@dataclass(frozen=True, slots=True)
class Reload:
    """A new configuration, as far as a running proxy takes it over.

    Attributes:
        settings: what holds from now on.
        changed: the settings that do so with another value.
        waiting: the settings whose new values hold at the next start only.
    """

    settings: Settings
    changed: tuple[str, ...]
    waiting: tuple[str, ...]


def reload(old: Settings, new: Settings) -> Reload:
    """Return what becomes of a running proxy's settings.

    Args:
        old: what holds now.
        new: what has been read.
    """
    differing = [name for name in SETTINGS if getattr(old, name) != getattr(new, name)]
    waiting = tuple(name for name in differing if name in FIXED_AT_START)
    changed = tuple(name for name in differing if name not in FIXED_AT_START | READ_BY_COMMANDS)
    return Reload(replace(new, **{name: getattr(old, name) for name in waiting}), changed, waiting)
