"""Where ``forward.py`` gets bearers from: ``sidekey_auth``'s broker, or anything that does the same."""

from __future__ import annotations

from typing import Protocol

from sidekey_auth.credential import Bearer


class Bearers(Protocol):
    """Hands out the bearer to put on requests."""

    def bearer(self) -> Bearer:
        """Return the current bearer from memory.

        Raises:
            NoBearer: there is none; ``transient`` tells whether ``obtain`` may bring one.
        """

    async def obtain(self) -> Bearer:
        """Return the current bearer, or wait for one renewal that may bring it.

        Raises:
            NoBearer: it brought none.
        """

    async def renew_due(self) -> None:
        """Wait for a renewal that is due now, if one is; where it fails, the present bearer serves on."""

    async def refused(self, bearer: Bearer, kind: str) -> Bearer | None:
        """Tell that upstream answered 401 to this bearer, and return another one, or None.

        However many requests tell the same, there is one renewal.

        Args:
            bearer: the refused one.
            kind: the 401's error code; empty where it had none.

        Raises:
            SidekeyError: what is stored cannot be read now.
        """

    def accepted(self, bearer: Bearer) -> None:
        """Tell that upstream has let a request with this bearer pass."""

    def in_vain(self, bearer: Bearer, kind: str) -> None:
        """Tell that upstream answered 401 to the bearer that ``refused`` returned for this kind, too."""
