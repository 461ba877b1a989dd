"""The seal in an environment variable: for containers and headless machines."""

from __future__ import annotations

from typing import Final

from sidekey_auth.errors import SealError
from sidekey_auth.seal import Seal, parse_seal
from sidekey_auth.secret import Secret, secret_or_none
from sidekey_auth.unchained import unchained


class EnvironmentSeal:
    """A seal that a person keeps, given as text.

    Args:
        variable: the environment variable's name, for people.
        value: its value: one key or several, separated by commas or spaces, the one that encrypts first.
    """

    keeps: Final = False

    def __init__(self, variable: str, value: str) -> None:
        self._variable = variable
        self._value: Secret | None = secret_or_none(value)

    @property
    def name(self) -> str:
        """The variable's name."""
        return self._variable

    @unchained
    async def read(self, vault: str) -> Seal | None:  # noqa: ARG002 - one seal, whatever the vault
        """Return the seal in the variable.

        Raises:
            SealError: it holds none.
        """
        return parse_seal(self._value.reveal() if self._value else "", self._variable)

    async def store(self, vault: str, seal: Seal) -> None:  # noqa: ARG002 - the same
        """Refuse: a process cannot change the variable for those that come after it.

        Raises:
            SealError: always.
        """
        raise SealError(f"{self._variable} is kept by you, not by sidekey")
