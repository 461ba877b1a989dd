"""Where a running sandbox is, for other processes: a file that only its owner can read."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """Where a sandbox is.

    Attributes:
        base_url: such as ``http://127.0.0.1:40123``.
        control_token: what its control endpoint asks for.
    """

    base_url: str
    control_token: Secret


def write_ready_file(path: Path, whereabouts: Whereabouts) -> None:
    """Write the file, whole and for its owner only; one that is there is replaced.

    Args:
        path: where; its folder must be there.
        whereabouts: what it says.
    """
    document = {"base_url": whereabouts.base_url, "control_token": whereabouts.control_token.reveal()}
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file)
    beside.replace(path)


def read_ready_file(path: Path) -> Whereabouts:
    """Read what ``write_ready_file`` wrote.

    Raises:
        ConfigurationError: there is no running sandbox's file there.
    """
    try:
        document = json.loads(path.read_text())
        return Whereabouts(document["base_url"], Secret(document["control_token"]))
    except (OSError, ValueError, KeyError, TypeError):
        raise ConfigurationError(
            f"there is no running sandbox according to {path}", remedy="Start one with `--sandbox`."
        ) from None
