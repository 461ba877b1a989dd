"""How long the present id_token lives, as one process counts it."""

from __future__ import annotations

import math
from datetime import datetime

from .claims import read_claims
from .clock import Clock
from .credential import Credential
from .due import Lifetime, due_at, expired, lifetime_of
from .errors import IdTokenInvalid


class Timing:
    """Follows a profile's id_token and its refreshes on the boot clock.

    What it sees first may be old and is judged by the wall clock; what it sees appear later has just
    arrived, and its life is counted from then, whatever the wall clock says. An imported id_token (without
    a time of receipt) may be old whenever it appears, and importing it was no refresh.

    Args:
        clock: the time.
        margin: seconds before the id_token's expiry at which a refresh is due; it may be changed.
    """

    def __init__(self, clock: Clock, margin: float) -> None:
        self._clock = clock
        self.margin = margin
        self._life: Lifetime | None = None
        self._last_refresh: datetime | None = None
        self._refreshed: float | None = None
        self._first = True

    def see(self, credential: Credential) -> None:
        """Take notice of the credential as it now stands."""
        wall, boot = self._clock.wall(), self._clock.boot()
        if credential.last_refresh != self._last_refresh:
            self._last_refresh = credential.last_refresh
            imported = credential.received_at is None
            self._refreshed = None if imported else self._on_boot_clock(credential.last_refresh, wall, boot)
        token = credential.id_token
        if token is None:
            self._life = None
        elif self._life is None or self._life.token != token.fingerprint():
            self._life = self._life_of(credential, wall, boot)
        self._first = False

    def expired(self, credential: Credential) -> bool:
        """Return whether the credential's id_token is there no more, or has expired; it changes nothing."""
        token = credential.id_token
        if token is None:
            return True
        wall, boot = self._clock.wall(), self._clock.boot()
        seen = self._life is not None and self._life.token == token.fingerprint()
        life = self._life if seen else self._life_of(credential, wall, boot)
        return life is not None and expired(life, boot)

    def refresh_due(self) -> bool:
        """Return whether a background refresh may start."""
        return self._clock.boot() >= self.due_at()

    def due_at(self) -> float:
        """Return the boot clock's time at which a background refresh is due, infinite for never."""
        if self._life is None:
            return math.inf
        return due_at(self._life, margin=self.margin, last_refresh=self._refreshed)

    def _on_boot_clock(self, moment: datetime | None, wall: float, boot: float) -> float | None:
        if moment is None:
            return None
        age = wall - moment.timestamp()
        if not self._first:
            return boot
        return boot - age if age >= 0 else None

    def _life_of(self, credential: Credential, wall: float, boot: float) -> Lifetime | None:
        token = credential.id_token
        try:
            claims = read_claims(token) if token else None
        except IdTokenInvalid:
            return None
        if token is None or claims is None or claims.exp is None:
            return None
        imported = credential.received_at is None
        received = credential.received_at if self._first or imported else wall
        return lifetime_of(
            token.fingerprint(), exp=claims.exp, iat=claims.iat, received_at=received, wall=wall, boot=boot
        )
