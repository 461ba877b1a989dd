"""The local client key that the environment presets: a sidecar's application must know it beforehand."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret

SHORTEST_CLIENT_KEY: Final = 32
_VARIABLE: Final = "SIDEKEY_CLIENT_KEY"
_FILE_VARIABLE: Final = "SIDEKEY_CLIENT_KEY_FILE"
_LONGEST_FILE: Final = 64 * 1024
_IN_A_HEADER = re.compile(r"[!-~]+")


def preset_client_key(environ: Mapping[str, str]) -> Secret | None:
    """Return the key of ``SIDEKEY_CLIENT_KEY`` or of the file that ``SIDEKEY_CLIENT_KEY_FILE`` names.

    Links are followed: Docker's and Kubernetes' secrets are mounted as such.

    Args:
        environ: the environment.

    Raises:
        ConfigurationError: it cannot be had or cannot be a key; the message names the variable.
    """
    text, file = environ.get(_VARIABLE), environ.get(_FILE_VARIABLE)
    if text and file:
        raise ConfigurationError(f"{_VARIABLE} and {_FILE_VARIABLE} are both set: set one of them.")
    if text:
        return checked_client_key(text, _VARIABLE)
    return checked_client_key(_read(Path(file).expanduser()), _FILE_VARIABLE) if file else None


def checked_client_key(text: str, called: str) -> Secret:
    """Return the key if it can be one, without the newline that editors put at its end.

    Args:
        text: the key.
        called: how the error names it.

    Raises:
        ConfigurationError: it is too short, or a header cannot carry it.
    """
    key = text.rstrip("\r\n")
    if len(key) < SHORTEST_CLIENT_KEY:
        raise ConfigurationError(
            f"{called} cannot be used: a client key has {SHORTEST_CLIENT_KEY} characters or more."
        )
    if not _IN_A_HEADER.fullmatch(key):
        raise ConfigurationError(
            f"{called} cannot be used: a client key holds no spaces and no characters beyond ASCII."
        )
    return Secret(key)


def _read(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return stream.read(_LONGEST_FILE).decode("utf-8", "replace")
    except OSError as error:
        raise ConfigurationError(f"{_FILE_VARIABLE} cannot be used: {path}: {error.strerror}.") from None
