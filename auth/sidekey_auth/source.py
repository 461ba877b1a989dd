"""Where a bearer comes from: the interface that every source fulfils (see ``sources/``)."""

from __future__ import annotations

from typing import Protocol

from .credential import Credential
from .renewal import Demand


class Journal(Protocol):
    """How a renewal is written down while the profile's lock is held."""

    async def note(self, credential: Credential) -> None:
        """Write it durably, or raise VaultUnwritable: nothing may be sent then."""

    async def keep(self, credential: Credential) -> None:
        """Write it if that is possible, and hold it in memory otherwise: it must not be lost."""


class Source(Protocol):
    """Renews the bearer of one mode."""

    def wants(self, credential: Credential, demand: Demand, *, refresh_due: bool) -> bool:
        """Return whether the demand calls for anything at all, from memory alone."""

    async def renew(
        self, credential: Credential, demand: Demand, journal: Journal, *, refresh_due: bool
    ) -> Credential:
        """Do what the demand calls for, and return the credential as it then stands.

        A permanent failure is no exception: it stands in the credential.

        Args:
            credential: as just read under the profile's lock.
            demand: why a renewal was asked for.
            journal: where each step is saved before the next.
            refresh_due: the id_token is within the margin of its expiry.

        Raises:
            IssuerUnavailable, IdTokenInvalid: not for now; what was reached is saved.
            VaultUnwritable: nothing was sent, because it could not be written down first.
            NoRefreshToken: a person asked, and there is nothing to renew with.
        """
