"""The seal: the list of keys that encrypts a vault; the first one encrypts, each of them opens. Pure."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from .errors import SealError, WrongSeal
from .secret import Secret
from .unchained import unchained

_KEY = re.compile(r"[A-Za-z0-9_-]{43}=?")
_BETWEEN_KEYS = re.compile(r"[\s,]+")
HOW_TO_MAKE_ONE = "A key is 32 bytes in url-safe base64 (44 characters): make one with `sidekey seal new`."


def new_seal_key() -> Secret:
    """Return a fresh key: 32 random bytes in url-safe base64, as Fernet takes them."""
    return Secret(Fernet.generate_key().decode())


@dataclass(frozen=True, slots=True)
class Seal:
    """The keys of a vault, ready to use.

    Args:
        keys: at least one, the one that encrypts first.
    """

    keys: tuple[Secret, ...]
    _cipher: MultiFernet = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ciphers = [Fernet(key.reveal().encode()) for key in self.keys]
        object.__setattr__(self, "_cipher", MultiFernet(ciphers))

    def close(self, data: bytes) -> str:
        """Return the data encrypted and authenticated with the first key (a Fernet token)."""
        return self._cipher.encrypt(data).decode()

    @unchained
    def open(self, token: str) -> bytes:
        """Return what a Fernet token holds.

        Raises:
            WrongSeal: none of the keys opens it: another seal made it, or it is damaged.
        """
        try:
            return self._cipher.decrypt(token.encode())
        except (InvalidToken, UnicodeEncodeError):
            raise WrongSeal("it was sealed with another seal, or it is damaged") from None

    def written(self) -> Secret:
        """Return the keys as they are stored: separated by spaces, the first one first."""
        return Secret(" ".join(key.reveal() for key in self.keys))


@unchained
def parse_seal(text: str, source: str) -> Seal:
    """Return the seal that a text holds: one key or several, separated by commas, spaces or lines.

    Args:
        text: the keys.
        source: what the text was read from, for people.

    Raises:
        SealError: there is none, or one of them is not 32 bytes in url-safe base64; it is never shown.
    """
    parts = [part for part in _BETWEEN_KEYS.split(text) if part]
    if not parts:
        raise SealError(f"{source} is set and holds no seal key", remedy=HOW_TO_MAKE_ONE)
    for number, part in enumerate(parts, 1):
        if not _KEY.fullmatch(part):
            which = f"key {number} in {source}" if len(parts) > 1 else f"what is in {source}"
            raise SealError(f"{which} is not a seal key", remedy=HOW_TO_MAKE_ONE)
    return Seal(tuple(dict.fromkeys(Secret(_canonical(part)) for part in parts)))


def _canonical(key: str) -> str:
    # The last digit carries two bits that nobody reads: one key can be written in four ways.
    return base64.urlsafe_b64encode(base64.urlsafe_b64decode(key.rstrip("=") + "=")).decode()


class SealSource(Protocol):
    """Where a vault's seal comes from: see ``seals/``.

    Attributes:
        name: for people, such as ``the OS keyring`` or ``SIDEKEY_SEAL_KEY``.
        keeps: whether sidekey itself makes and replaces the seal there (else a person does).
    """

    @property
    def name(self) -> str:
        """What it is called, for people."""

    @property
    def keeps(self) -> bool:
        """Whether ``store`` works."""

    async def read(self, vault: str) -> Seal | None:
        """Return the seal as it stands there now, or None where there is none yet.

        Args:
            vault: the vault's id.

        Raises:
            SealError: it cannot be had, or is not a seal.
        """

    async def store(self, vault: str, seal: Seal) -> None:
        """Keep the seal there, in the place of the one before; it can be read again when this returns.

        Args:
            vault: the vault's id.
            seal: the keys.

        Raises:
            SealError: it was not kept, or it is not sidekey's to keep.
        """
