"""Where sidekey's own files are on this machine: settings and the vault's folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import platformdirs

from sidekey_auth.vaults.home import home as vault_home

_NAME: Final = "sidekey"
SANDBOX: Final = "sandbox"


def default_config_file() -> Path:
    """Return where the settings' file is looked for when nobody names one."""
    return platformdirs.user_config_path(_NAME, appauthor=False) / "config.toml"


def home(environ: Mapping[str, str], *, sandbox: bool = False) -> Path:
    """Return the folder of the vault and of what else sidekey writes, as an absolute path.

    Args:
        environ: the environment; ``SIDEKEY_HOME`` moves the folder.
        sandbox: the sandbox works in a folder of its own, inside.

    Raises:
        ConfigurationError: ``SIDEKEY_HOME`` is set and cannot be a folder.
    """
    folder = vault_home(environ)
    return folder / SANDBOX if sandbox else folder
