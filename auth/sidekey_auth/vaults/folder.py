"""The vault's folder: which file is where, read and written synchronously. It knows no keys of its own.

::

    vault.json               the vault's id, made once
    seal-check.sealed        an empty document: tells whether a seal is the vault's present one
    client-key.sealed        the local client key
    profiles/<name>.sealed   a credential each
    locks/                   one file per lock; they stay
    aside-<UTC time>/        what `sidekey vault reset` moved away
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from sidekey_auth.credential import checked_profile
from sidekey_auth.errors import ConfigurationError, VaultError, VaultUnreadable, VaultUnwritable
from sidekey_auth.seal import Seal

from .document import (
    CLIENT_KEY,
    SEAL_CHECK,
    Address,
    close_document,
    credential_of,
    open_document,
    read_identity,
    write_identity,
)
from .durable import sweep, temporary_for, write_whole
from .private import folder_is_there, make_private_folder, read_private, unreadable, unwritable

_SEALED: Final = ".sealed"
_LOCK: Final = ".lock"
_TRIAL: Final = 16 * 1024
"""Bytes; about what a credential takes."""
LARGEST_WRITTEN: Final = 2 * 1024 * 1024
"""Bytes of a sealed document: room for all tokens at their greatest length, whatever their characters."""


class VaultFolder:
    """Files of one vault. Whoever writes holds the document's lock.

    Args:
        path: the folder's, absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._identity = path / "vault.json"
        self._profiles = path / "profiles"
        self._locks = path / "locks"

    def make(self) -> None:
        """Make the folders that are missing.

        Raises:
            VaultUnwritable, VaultExposed: the place is no good.
        """
        make_private_folder(self.path, through_link=True)
        for folder in (self._profiles, self._locks):
            make_private_folder(folder)

    def look(self) -> None:
        """Find what ``make`` would: look at the folders that are there, and where the first would be made.

        Raises:
            VaultUnreadable, VaultUnwritable, VaultExposed: the place is no good.
        """
        if folder_is_there(self.path, through_link=True):
            for folder in (self._profiles, self._locks):
                folder_is_there(folder)
            return
        nearest = next(parent for parent in self.path.parents if os.path.lexists(parent))
        if not os.access(nearest, os.W_OK | os.X_OK):
            raise unwritable(self.path, OSError(errno.EACCES, "", str(nearest)))

    def place(self, address: Address) -> Path:
        """Return the path of a document."""
        if address.kind == "credential":
            return self._profiles / f"{checked_profile(address.profile)}{_SEALED}"
        return self.path / f"{address.kind}{_SEALED}"

    def lock_place(self, name: str) -> Path:
        """Return the path of a lock; the names of ours begin with ``_``, which no profile's does."""
        return self._locks / f"{name}{_LOCK}"

    # --- documents ------------------------------------------------------------------------------------

    def raw(self, address: Address) -> bytes | None:
        """Return a document's bytes, or None where there is none.

        Raises:
            VaultUnreadable, VaultExposed: it cannot be read, or is not ours alone.
        """
        place = self.place(address)
        there = folder_is_there(self.path, through_link=True)
        if place.parent != self.path:
            there = there and folder_is_there(place.parent)
        return read_private(place) if there else None

    def read(self, vault: str, address: Address, seal: Seal) -> dict[str, Any] | None:
        """Return a document's content, or None where there is none.

        Raises:
            WrongSeal, VaultUnreadable, VaultExposed: it is there and cannot be opened.
        """
        data = self.raw(address)
        if data is None:
            return None
        try:
            return open_document(vault, address, data, seal)
        except VaultUnreadable as error:
            raise type(error)(f"{error} ({self.place(address)})", remedy=error.remedy) from None

    def write(self, vault: str, address: Address, content: dict[str, Any], seal: Seal) -> None:
        """Write a document where there is none, or over one that this very seal opens.

        Raises:
            WrongSeal, VaultUnreadable: what is there cannot be opened, so nothing was written.
            VaultUnwritable, VaultExposed: nothing was written; also where it could not be read again.
        """
        self.read(vault, address, seal)
        place = self.place(address)
        sealed = close_document(vault, address, content, seal)
        if len(sealed) > LARGEST_WRITTEN:
            raise VaultUnwritable(
                f"{place} would be larger than {LARGEST_WRITTEN} bytes, which no credential is",
                remedy="Run `sidekey logout`, then `sidekey login`.",
            )
        sweep(place)
        write_whole(place, sealed)

    def profiles(self) -> tuple[str, ...]:
        """Return the names of the profiles that have a document, sorted.

        Raises:
            VaultUnreadable: the folder cannot be listed.
        """
        return self._names(self._profiles, _SEALED)

    def locked_profiles(self) -> tuple[str, ...]:
        """Return the names of all profiles that have a document or ever had a lock, sorted."""
        return tuple(sorted({*self.profiles(), *self._names(self._locks, _LOCK)}))

    def documents(self) -> tuple[Address, ...]:
        """Return the addresses of all sealed documents that are there."""
        whole = (address for address in (SEAL_CHECK, CLIENT_KEY) if os.path.lexists(self.place(address)))
        return (*whole, *(credential_of(name) for name in self.profiles()))

    def _names(self, folder: Path, ending: str) -> tuple[str, ...]:
        try:
            files = [path.name for path in folder.iterdir()]
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise unreadable(folder, error) from None
        names = (file.removesuffix(ending) for file in files if file.endswith(ending))
        return tuple(sorted(name for name in names if _is_profile(name)))

    def fingerprint(self) -> bytes:
        """Return what tells one state of the vault from another: a hash over all its files."""
        found = hashlib.sha256()
        for path in (self._identity, *(self.place(address) for address in self.documents())):
            try:
                content = hashlib.sha256(read_private(path) or b"").digest()
            except VaultError as error:
                content = type(error).__name__.encode()
            found.update(hashlib.sha256(os.fsencode(path)).digest() + content)
        return found.digest()

    # --- the vault as a whole -------------------------------------------------------------------------

    def identity(self) -> str | None:
        """Return the vault's id, or None where no vault was made yet.

        Raises:
            VaultUnreadable, VaultExposed: it cannot be read, or documents are there without it.
        """
        data = read_private(self._identity)
        if data is not None:
            return read_identity(data)
        if self.documents():
            raise VaultUnreadable(f"{self._identity} is gone, and sealed documents are there")
        return None

    def make_identity(self) -> str:
        """Return the vault's id, made at random where there is none; the caller holds the vault's lock.

        Raises:
            VaultError: it cannot be read or written.
        """
        known = self.identity()
        if known is not None:
            return known
        sweep(self._identity)
        fresh = secrets.token_hex(16)
        write_whole(self._identity, write_identity(fresh))
        return fresh

    def check_writable(self) -> None:
        """Try out what a save does, and see that no file of the vault is a mount of its own.

        Raises:
            VaultUnwritable: a save would fail.
        """
        for folder in (self.path, self._profiles, self._locks):
            trial = folder / ".trial"
            try:
                for _ in range(2):  # once as a new file, once over an old one
                    write_whole(trial, bytes(_TRIAL))
            finally:
                with contextlib.suppress(OSError):
                    trial.unlink()
        for path in (self._identity, *(self.place(address) for address in self.documents())):
            _check_not_mounted(path)

    def move_aside(self, now: datetime) -> Path | None:
        """Move everything but the locks into a folder of its own, and return that; None if there is nothing.

        Args:
            now: the time, for the folder's name.

        Raises:
            VaultUnwritable: something could not be moved; running it again goes on.
        """
        # The id goes last: as long as it is there, what has not been moved yet still belongs to it.
        parts = [self._profiles, self.place(CLIENT_KEY), self.place(SEAL_CHECK), self._identity]
        present = [part for part in parts if os.path.lexists(part)]
        if not any(part != self._profiles or self.profiles() for part in present):
            return None
        aside = self.path / f"aside-{now:%Y%m%dT%H%M%S}{now.microsecond // 1000:03d}Z"
        make_private_folder(aside)
        for part in present:
            try:
                part.rename(aside / part.name)
            except OSError as error:
                raise unwritable(part, error) from None
        return aside


def _is_profile(name: str) -> bool:
    try:
        return checked_profile(name) == name
    except ConfigurationError:
        return False


def _check_not_mounted(path: Path) -> None:
    # A file that is a mount of its own can be written but not replaced. A hard link, unlike a rename, can
    # be tried without touching it: across mounts it is refused, also within one file system.
    trial = temporary_for(path)
    try:
        os.link(path, trial, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise unwritable(path, error) from None
        return  # some file systems have no hard links; rename works there all the same
    trial.unlink(missing_ok=True)
