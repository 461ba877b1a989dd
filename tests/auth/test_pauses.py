from __future__ import annotations

from sidekey_auth.pauses import Backoff, Disbelief

A, B = "invalid_api_key", ""


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
        assert doubt.believes(A, generation, now=generation)
        doubt.born(A, generation + 1, instead_of=generation)
        doubt.accepted(generation + 1)


def test_a_newborn_bearer_that_is_refused_unaccepted_stops_the_renewing_for_a_minute_then_two() -> None:
    doubt = Disbelief()
    doubt.born(A, 2, instead_of=1)
    assert not doubt.believes(A, 2, now=0)
    assert not doubt.believes(A, 2, now=59)
    assert doubt.believes(A, 2, now=60)
    doubt.born(A, 3, instead_of=2)
    assert not doubt.believes(A, 3, now=60)
    assert not doubt.believes(A, 3, now=179)
    assert doubt.believes(A, 3, now=180)


def test_the_disbelief_never_lasts_longer_than_an_hour() -> None:
    doubt = Disbelief()
    now = 0.0
    for generation in range(20):
        doubt.born(A, generation, instead_of=generation - 1)
        assert not doubt.believes(A, generation, now)
        now += 3600
        assert doubt.believes(A, generation, now)


def test_other_requests_that_pass_do_not_make_a_vain_renewal_believed() -> None:
    doubt = Disbelief()
    doubt.born(A, 2, instead_of=1)
    doubt.accepted(2)
    doubt.in_vain(A, 2, now=0)
    doubt.accepted(2)
    assert not doubt.believes(A, 2, now=59)
    assert doubt.believes(A, 2, now=60)
    doubt.born(A, 3, instead_of=2)
    doubt.in_vain(A, 3, now=60)
    doubt.in_vain(A, 3, now=60)
    assert not doubt.believes(A, 3, now=179)
    assert doubt.believes(A, 3, now=180), "told twice of one bearer counts once"


def test_an_hour_without_a_vain_renewal_begins_anew() -> None:
    doubt = Disbelief()
    doubt.in_vain(A, 2, now=0)
    doubt.in_vain(A, 3, now=60 + 3600)
    assert doubt.believes(A, 3, now=60 + 3600 + 60)


def test_another_kind_of_refusal_is_still_believed() -> None:
    doubt = Disbelief()
    doubt.born(A, 2, instead_of=1)
    doubt.in_vain(A, 2, now=0)
    assert not doubt.believes(A, 2, now=1)
    assert doubt.believes(B, 2, now=1)
    doubt.born(B, 3, instead_of=2)
    doubt.in_vain(B, 3, now=1)
    assert not doubt.believes(B, 3, now=60)
    assert doubt.believes(A, 3, now=60), "each kind has a pause of its own"


def test_two_kinds_that_take_turns_do_not_renew_without_end() -> None:
    doubt = Disbelief()
    generation, renewals = 1, 0
    for turn in range(100):
        kind = (A, B)[turn % 2]
        if doubt.believes(kind, generation, now=1):
            doubt.born(kind, generation + 1, instead_of=generation)
            generation += 1
            renewals += 1
    assert renewals == 2


def test_a_bearer_that_is_accepted_clears_all_kinds_that_led_to_it() -> None:
    doubt = Disbelief()
    doubt.born(A, 2, instead_of=1)
    doubt.born(B, 3, instead_of=2)
    doubt.accepted(3)
    assert doubt.believes(A, 3, now=1)
    assert doubt.believes(B, 3, now=1)


def test_codes_that_are_made_up_one_after_the_other_count_as_one_after_the_first_few() -> None:
    doubt = Disbelief()
    generation, renewals = 1, 0
    for number in range(1000):
        if doubt.believes(f"code-{number}", generation, now=1):
            doubt.born(f"code-{number}", generation + 1, instead_of=generation)
            doubt.in_vain(f"code-{number}", generation + 1, now=1)
            generation += 1
            renewals += 1
    assert renewals == 17
    assert len(doubt._doubts) == 17
    assert doubt.believes("another", generation, now=62)


def test_kinds_that_have_behaved_for_an_hour_make_room() -> None:
    doubt = Disbelief()
    for number in range(20):
        doubt.in_vain(f"code-{number}", 2, now=0)
    assert not doubt.believes("another", 2, now=1)
    assert doubt.believes("another", 2, now=3661)
    assert doubt._doubts == {}
