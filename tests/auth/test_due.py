from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.due import MIN_INTERVAL, backoff, due_at, expired, lifetime_of, shortest_interval

seconds = st.floats(min_value=0, max_value=4e9)
times = st.one_of(st.none(), seconds)

HOUR = 3600.0


def life(
    *, exp: float, iat: float | None, received_at: float | None, wall: float, boot: float = 1000.0
) -> float:
    """Return how many seconds are left."""
    return lifetime_of("t", exp=exp, iat=iat, received_at=received_at, wall=wall, boot=boot).ends - boot


def test_a_token_that_has_just_arrived_lives_for_its_whole_lifetime() -> None:
    assert life(exp=HOUR, iat=0, received_at=0, wall=0) == HOUR


def test_a_lifetime_is_counted_from_receipt_though_the_issuers_clock_is_years_off() -> None:
    assert life(exp=1e9 + HOUR, iat=1e9, received_at=5, wall=15) == HOUR - 10


def test_a_wall_clock_set_back_after_the_receipt_leaves_the_expiry_claim_as_the_judge() -> None:
    assert life(exp=HOUR, iat=0, received_at=3000, wall=2000) == HOUR - 2000


@pytest.mark.parametrize("iat", [None, HOUR + 50])
def test_a_token_without_or_with_a_nonsensical_issue_time_never_has_a_negative_life(
    iat: float | None,
) -> None:
    assert lifetime_of("t", exp=HOUR, iat=iat, received_at=HOUR + 60, wall=HOUR + 60, boot=0).length == 0


@given(exp=seconds, iat=times, received_at=times, wall=seconds, boot=seconds)
def test_no_clock_can_make_a_token_live_longer_than_its_lifetime(
    exp: float, iat: float | None, received_at: float | None, wall: float, boot: float
) -> None:
    made = lifetime_of("t", exp=exp, iat=iat, received_at=received_at, wall=wall, boot=boot)
    assert made.ends <= boot + made.length


def test_a_token_expires_on_the_boot_clock() -> None:
    made = lifetime_of("t", exp=HOUR, iat=0, received_at=0, wall=0, boot=1000)
    assert not expired(made, 1000 + HOUR - 1)
    assert expired(made, 1000 + HOUR)


def test_a_refresh_is_due_a_margin_before_expiry() -> None:
    made = lifetime_of("t", exp=HOUR, iat=0, received_at=0, wall=0, boot=0)
    assert due_at(made, margin=300, last_refresh=0) == HOUR - 300


def test_a_margin_longer_than_half_a_lifetime_counts_as_half() -> None:
    made = lifetime_of("t", exp=400, iat=0, received_at=0, wall=0, boot=0)
    assert due_at(made, margin=300, last_refresh=None) == 200


@given(exp=seconds, iat=times, received_at=times, wall=seconds, boot=seconds, last=seconds, margin=seconds)
def test_two_refreshes_are_never_nearer_than_a_minute_and_half_a_lifetime(
    exp: float,
    iat: float | None,
    received_at: float | None,
    wall: float,
    boot: float,
    last: float,
    margin: float,
) -> None:
    made = lifetime_of("t", exp=exp, iat=iat, received_at=received_at, wall=wall, boot=boot)
    due = due_at(made, margin=margin, last_refresh=last)
    assert due >= last + MIN_INTERVAL
    assert due >= last + shortest_interval(made)


def test_the_pause_after_failures_doubles_up_to_a_bound_and_is_jittered_by_half() -> None:
    assert [backoff(n, 1.0) for n in (1, 2, 3, 4)] == [2, 4, 8, 16]
    assert backoff(3, 0.0) == 4
    assert backoff(1000, 1.0) == 300
