"""Where a seal comes from: a module per source, and the choice between them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sidekey_auth.errors import SealError
from sidekey_auth.seal import HOW_TO_MAKE_ONE, SealSource

from .environment import EnvironmentSeal
from .file import FileSeal
from .keyring import KeyringSeal

KEY_VARIABLE = "SIDEKEY_SEAL_KEY"
FILE_VARIABLE = "SIDEKEY_SEAL_KEY_FILE"


def seal_source(environ: Mapping[str, str]) -> SealSource:
    """Return the source that the environment names: a key, else a file, else the OS keyring.

    A variable that is set counts, also where it turns out to be no good: there is no fallback.

    Args:
        environ: the process's environment.

    Raises:
        SealError: ``SIDEKEY_SEAL_KEY_FILE`` is set and empty.
    """
    if KEY_VARIABLE in environ:
        return EnvironmentSeal(KEY_VARIABLE, environ[KEY_VARIABLE])
    if FILE_VARIABLE in environ:
        if not environ[FILE_VARIABLE].strip():
            raise SealError(f"{FILE_VARIABLE} is set and names no file", remedy=HOW_TO_MAKE_ONE)
        return FileSeal(Path(environ[FILE_VARIABLE]))
    return KeyringSeal()
