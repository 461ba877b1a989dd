"""Where a bearer comes from: the interface that every source fulfils (see ``sources/``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from .credential import Credential
from .journal import Journal
from .renewal import Demand


@dataclass(frozen=True, slots=True)
class Errand:
    """What a renewal is about.

    Attributes:
        demand: why it was asked for.
        refresh_due: tells whether the id_token is within the margin of its expiry: another process may have
            refreshed it since the renewal began.
        seconds_left: until the renewal's deadline; a refresh that was sent is waited for beyond it.
        stopping: tells whether the process is about to end: no new step is begun then.
        met: tells whether a credential is what is wanted, such as one with another key than the refused one.
    """

    demand: Demand
    refresh_due: Callable[[], bool]
    seconds_left: Callable[[], float]
    stopping: Callable[[], bool]
    met: Callable[[Credential], bool]


class Source(Protocol):
    """Renews the bearer of one mode."""

    def wants(self, credential: Credential, demand: Demand, *, refresh_due: bool) -> bool:
        """Return whether the demand calls for anything at all, from memory alone."""

    async def renew(self, journal: Journal, errand: Errand) -> None:
        """Do what the errand calls for; each step reads the vault again and is saved before the next.

        A permanent failure is no exception: it stands in the credential.

        Args:
            journal: the credential, just read, and where it is written.
            errand: what is wanted.

        Raises:
            IssuerUnavailable, IdTokenInvalid, ConfigurationError: not for now; what was reached is saved.
            VaultError, SealError: nothing was sent, because it could not be written down first.
            NoRefreshToken: a person asked, and there is nothing to renew with.
        """
