"""Where this user's vault is. Pure, but for what platformdirs asks the system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs

from sidekey_auth.errors import ConfigurationError

HOME_VARIABLE: Final = "SIDEKEY_HOME"
STATE_VARIABLE: Final = "SIDEKEY_STATE_HOME"


def home(environ: Mapping[str, str]) -> Path:
    """Return sidekey's folder: ``SIDEKEY_HOME``, or the system's place for a program's data.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError: ``SIDEKEY_HOME`` is not an absolute path.
    """
    return _named(environ, HOME_VARIABLE) or Path(platformdirs.user_data_dir("sidekey", appauthor=False))


def state_home(environ: Mapping[str, str]) -> Path:
    """Return where sidekey keeps what the vault cannot take: ``SIDEKEY_STATE_HOME``, or the system's place.

    It is another folder than the vault's, so that it may lie on another disk.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError: ``SIDEKEY_STATE_HOME`` is not an absolute path.
    """
    return _named(environ, STATE_VARIABLE) or Path(platformdirs.user_state_dir("sidekey", appauthor=False))


def _named(environ: Mapping[str, str], variable: str) -> Path | None:
    named = environ.get(variable)
    if not named:
        return None
    path = Path(named)
    if not path.is_absolute():
        raise ConfigurationError(
            f"{variable} is {named!r}, which depends on where a command is run",
            remedy="Let it name a folder by its absolute path.",
        )
    return path
