from __future__ import annotations

from sidekey_auth.pauses import Backoff, Disbelief


def test_a_failure_holds_back_the_next_try_and_a_success_forgets_it() -> None:
    pause = Backoff(lambda: 1.0)
    pause.fail(now=100)
    assert pause.holds(101.9)
    assert not pause.holds(102.0)
    pause.fail(now=102)
    assert pause.holds(105.9)
    pause.succeed()
    assert not pause.holds(103)


def test_the_issuers_own_wish_is_respected_within_reason() -> None:
    pause = Backoff(lambda: 1.0)
    pause.fail(now=0, at_least=30)
    assert pause.holds(29.9)
    pause.fail(now=0, at_least=1e9)
    assert not pause.holds(300)


def test_refusals_are_believed_as_long_as_fresh_bearers_are_accepted() -> None:
    doubt = Disbelief()
    for generation in range(1, 5):
        assert doubt.believes(generation, now=generation)
        doubt.born(generation + 1)
        doubt.accepted(generation + 1)


def test_a_newborn_bearer_that_is_refused_unaccepted_stops_the_renewing_for_a_minute_then_two() -> None:
    doubt = Disbelief()
    doubt.born(2)
    assert not doubt.believes(2, now=0)
    assert not doubt.believes(2, now=59)
    assert doubt.believes(2, now=60)
    doubt.born(3)
    assert not doubt.believes(3, now=60)
    assert not doubt.believes(3, now=179)
    assert doubt.believes(3, now=180)


def test_the_disbelief_never_lasts_longer_than_an_hour() -> None:
    doubt = Disbelief()
    now = 0.0
    for generation in range(20):
        doubt.born(generation)
        assert not doubt.believes(generation, now)
        now += 3600
        assert doubt.believes(generation, now)


def test_other_requests_that_pass_do_not_make_a_vain_renewal_believed() -> None:
    doubt = Disbelief()
    doubt.born(2)
    doubt.accepted(2)
    doubt.in_vain(2, now=0)
    doubt.accepted(2)
    assert not doubt.believes(2, now=59)
    assert doubt.believes(2, now=60)
    doubt.born(3)
    doubt.in_vain(3, now=60)
    doubt.in_vain(3, now=60)
    assert not doubt.believes(3, now=179)
    assert doubt.believes(3, now=180), "told twice of one bearer counts once"


def test_an_hour_without_a_vain_renewal_begins_anew() -> None:
    doubt = Disbelief()
    doubt.in_vain(2, now=0)
    doubt.in_vain(3, now=60 + 3600)
    assert doubt.believes(3, now=60 + 3600 + 60)
