"""An id_token's life as one process counts it."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import jwt

from sidekey_auth.credential import Credential
from sidekey_auth.secret import Secret
from sidekey_auth.timing import Timing

NOW = 1_790_000_000.0
KEY = "canary-signing-key-0123456789abcdef"


class StandingClock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.passed = 0.0

    def wall(self) -> float:
        return NOW + self.passed

    def boot(self) -> float:
        return 1000.0 + self.passed


def credential(*, iat: float, lifetime: float, received_at: float | None) -> Credential:
    """Return one whose id_token was made then, and lives so long."""
    token = jwt.encode({"iat": int(iat), "exp": int(iat + lifetime)}, KEY)
    return Credential(
        mode="chatgpt",
        id_token=Secret(token),
        refresh_token=Secret("rt_canary_0123456789"),
        last_refresh=datetime.fromtimestamp(iat, UTC),
        received_at=received_at,
    )


def test_asking_whether_it_has_expired_changes_nothing() -> None:
    clock = StandingClock()
    timing = Timing(clock, margin=300)
    old = credential(iat=NOW - 4000, lifetime=3600, received_at=NOW - 4000)
    assert timing.expired(old)
    assert timing.due_at() == math.inf, "it was asked about, not seen"
    # What is seen now is still the first, which may be old: else it would live from now on.
    timing.see(old)
    assert timing.expired(old)
    assert timing.refresh_due()


def test_asking_about_another_credential_leaves_the_seen_one_as_it_is() -> None:
    clock = StandingClock()
    timing = Timing(clock, margin=300)
    mine = credential(iat=NOW, lifetime=3600, received_at=NOW)
    timing.see(mine)
    due = timing.due_at()
    other = credential(iat=NOW - 10, lifetime=60, received_at=NOW - 10)
    assert not timing.expired(other)
    assert timing.due_at() == due
    clock.passed = 3601
    assert timing.expired(mine)


def test_without_an_id_token_there_is_nothing_that_could_be_good() -> None:
    assert Timing(StandingClock(), margin=300).expired(Credential())


def test_an_id_token_that_says_no_expiry_does_not_expire() -> None:
    timing = Timing(StandingClock(), margin=300)
    unreadable = Credential(mode="chatgpt", id_token=Secret("canary.not.a.jwt"))
    assert not timing.expired(unreadable)
