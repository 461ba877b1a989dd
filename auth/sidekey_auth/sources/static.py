"""Mode ``api_key``: the key that a person stored; there is nothing to renew."""

from __future__ import annotations

from sidekey_auth.credential import Credential
from sidekey_auth.journal import Journal
from sidekey_auth.renewal import Demand
from sidekey_auth.source import Errand


class StaticSource:
    """Serves a stored key as it is; a newer one comes only by being read from the vault again."""

    def wants(
        self,
        credential: Credential,  # noqa: ARG002 - the interface's
        demand: Demand,  # noqa: ARG002 - the interface's
        *,
        refresh_due: bool,  # noqa: ARG002 - the interface's
    ) -> bool:
        """Return False: a stored key is never renewed."""
        return False

    async def renew(self, journal: Journal, errand: Errand) -> None:
        """Do nothing."""
