"""Records of what could not be saved, sealed, in a folder apart from the vault: perhaps on another disk.

::

    <vault's id>.<profile>.<random>.unsaved      a record each, opened by the vault's own seal

A record belongs to one vault, by its name and inside its seal, and is never merged into another.
"""

from __future__ import annotations

import contextlib
import secrets
from pathlib import Path
from typing import Any, Final

from sidekey_auth.credential import checked_profile
from sidekey_auth.errors import VaultError
from sidekey_auth.log import get_logger
from sidekey_auth.merge import Unsaved, from_plain
from sidekey_auth.seal import Seal

from .document import close_document, open_document, unsaved_of
from .durable import write_whole
from .private import make_private_folder, read_private

log = get_logger("sidekey.vault")

_ENDING: Final = ".unsaved"


class AsideFolder:
    """The records of all vaults of this user. Synchronous.

    Args:
        path: the folder's; made (0700) when a record is first written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own: dict[str, Path] = {}
        self._found: dict[str, list[Path]] = {}

    def write(self, vault: str, profile: str, content: dict[str, Any], seal: Seal) -> Path:
        """Write this object's record of a profile, in the place of the one before, and return its path.

        Raises:
            VaultUnwritable, VaultExposed: it was not written.
        """
        make_private_folder(self.path)
        fresh = self.path / f"{vault}.{checked_profile(profile)}.{secrets.token_hex(8)}{_ENDING}"
        path = self._own.get(profile, fresh)
        write_whole(path, close_document(vault, unsaved_of(profile), content, seal))
        self._own[profile] = path
        return path

    def read(self, vault: str, profile: str, seal: Seal) -> list[Unsaved]:
        """Return the records of a profile of this vault; one that cannot be read stays, and is told of."""
        records, self._found[profile] = [], []
        for path in self.present(vault, profile):
            try:
                data = read_private(path)
                if data is None:
                    continue
                content = open_document(vault, unsaved_of(profile), data, seal)
                records.append(from_plain(profile, content))
            except VaultError as error:
                log.warning("a record of what could not be saved cannot be read", reason=str(error))
                continue
            self._found[profile].append(path)
        return records

    def forget(self, profile: str) -> None:
        """Delete what was last read of a profile, and this object's own record."""
        own = self._own.pop(profile, None)
        for path in (*self._found.pop(profile, []), *([own] if own else [])):
            with contextlib.suppress(OSError):  # merging it once more changes nothing
                path.unlink(missing_ok=True)

    def present(self, vault: str, profile: str) -> list[Path]:
        """Return the paths of a profile's records, sorted."""
        prefix = f"{vault}.{checked_profile(profile)}."
        with contextlib.suppress(OSError):
            return sorted(
                path
                for path in self.path.iterdir()
                # What follows the prefix holds no dot but the ending's: "work" is not "work.eu".
                if path.name.startswith(prefix)
                and path.name.endswith(_ENDING)
                and "." not in path.name[len(prefix) : -len(_ENDING)]
            )
        return []
