"""Where this user's vault is. Pure, but for what platformdirs asks the system."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs

from sidekey_auth.errors import ConfigurationError

HOME_VARIABLE: Final = "SIDEKEY_HOME"


def home(environ: Mapping[str, str]) -> Path:
    """Return sidekey's folder: ``SIDEKEY_HOME``, or the system's place for a program's data.

    Args:
        environ: the process's environment.

    Raises:
        ConfigurationError: ``SIDEKEY_HOME`` is not an absolute path.
    """
    named = environ.get(HOME_VARIABLE)
    if not named:
        return Path(platformdirs.user_data_dir("sidekey", appauthor=False))
    path = Path(named)
    if not path.is_absolute():
        raise ConfigurationError(
            f"{HOME_VARIABLE} is {named!r}, which depends on where a command is run",
            remedy="Let it name a folder by its absolute path.",
        )
    return path
