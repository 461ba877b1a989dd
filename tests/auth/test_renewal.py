"""The rules of a renewal, exhaustively: every demand against every credential that can stand in a vault."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from sidekey_auth.credential import Credential, Failure, RefreshNote
from sidekey_auth.errors import IssuerRefused, IssuerUnavailable
from sidekey_auth.renewal import (
    ANSWER_LOST,
    Demand,
    ExchangePolicy,
    Step,
    Wire,
    answer_lost,
    leaves_open,
    left_open,
    next_step,
    note_before_sending,
    refused,
    unanswered,
)
from sidekey_auth.secret import Secret

ID, REFRESH = Secret("id-token-0123456789"), Secret("refresh-token-0123456789")
SIGNED_IN = Credential(
    mode="chatgpt",
    id_token=ID,
    refresh_token=REFRESH,
    api_key=Secret("sk-key-0123456789"),
    key_source=ID.fingerprint(),
)
UNTRADED = replace(SIGNED_IN, key_source=None)
NO_REFRESH = replace(SIGNED_IN, refresh_token=None)
BARRED = replace(UNTRADED, exchange_failure=Failure(ID.fingerprint(), "no_platform_key", "no", 0))
SPENT = replace(SIGNED_IN, refresh_failure=Failure(REFRESH.fingerprint(), "refresh_token_reused", "no", 0))
UNVERIFIED = replace(SIGNED_IN, unverified_id_token=Secret("new-id-token-0123456789"))


def walk(
    credential: Credential,
    demand: Demand,
    *,
    policy: ExchangePolicy = "always",
    refresh_due: bool = False,
    expired: bool = False,
    done: frozenset[Step] = frozenset(),
) -> Step:
    return next_step(credential, demand, policy=policy, refresh_due=refresh_due, expired=expired, done=done)


def test_nothing_happens_in_the_background_before_it_is_due() -> None:
    assert walk(SIGNED_IN, Demand.DUE) is Step.END


def test_a_due_credential_is_refreshed_then_verified_then_traded() -> None:
    assert walk(SIGNED_IN, Demand.DUE, refresh_due=True) is Step.REFRESH
    done = frozenset({Step.REFRESH})
    assert walk(UNVERIFIED, Demand.DUE, refresh_due=True, done=done) is Step.VERIFY
    done |= {Step.VERIFY}
    assert walk(UNTRADED, Demand.DUE, refresh_due=True, done=done) is Step.TRADE
    done |= {Step.TRADE}
    assert walk(SIGNED_IN, Demand.DUE, refresh_due=True, done=done) is Step.END


def test_with_exchange_when_refused_a_due_credential_is_refreshed_and_its_key_stays() -> None:
    done = frozenset({Step.REFRESH, Step.VERIFY})
    assert walk(UNTRADED, Demand.DUE, policy="when-refused", done=done) is Step.END
    assert walk(UNTRADED, Demand.REFUSED, policy="when-refused") is Step.TRADE


def test_a_renewal_that_was_cut_short_is_taken_up_at_the_step_it_had_reached() -> None:
    assert walk(UNVERIFIED, Demand.DUE) is Step.VERIFY
    assert walk(UNTRADED, Demand.DUE) is Step.TRADE


def test_a_refused_key_is_renewed_by_a_refresh_first() -> None:
    assert walk(SIGNED_IN, Demand.REFUSED) is Step.REFRESH


def test_without_a_refresh_token_a_valid_id_token_is_traded_once_more_and_no_further() -> None:
    assert walk(NO_REFRESH, Demand.REFUSED) is Step.TRADE
    assert walk(replace(NO_REFRESH, traded_again=ID.fingerprint()), Demand.REFUSED) is Step.END


def test_an_expired_id_token_is_never_traded() -> None:
    for credential, demand in itertools.product((NO_REFRESH, UNTRADED, SPENT), Demand):
        assert walk(credential, demand, expired=True) is not Step.TRADE


def test_a_refresh_token_that_was_refused_for_good_is_never_sent_again() -> None:
    for demand, due, expired in itertools.product(Demand, (True, False), (True, False)):
        assert walk(SPENT, demand, refresh_due=due, expired=expired) is not Step.REFRESH


def test_an_account_without_a_platform_key_is_not_asked_again_for_every_request() -> None:
    assert walk(replace(BARRED, api_key=None), Demand.MISSING) is Step.END
    assert walk(replace(BARRED, api_key=None), Demand.DUE) is Step.END


def test_an_account_without_a_platform_key_is_asked_again_with_the_next_id_token_or_by_hand() -> None:
    assert walk(BARRED, Demand.DUE, refresh_due=True) is Step.REFRESH
    assert walk(replace(BARRED, refresh_token=None), Demand.ASKED) is Step.TRADE


def test_by_hand_everything_is_renewed_whatever_the_policy() -> None:
    assert walk(SIGNED_IN, Demand.ASKED, policy="when-refused") is Step.REFRESH
    assert walk(SIGNED_IN, Demand.ASKED, policy="when-refused", done=frozenset({Step.REFRESH})) is Step.TRADE
    assert walk(NO_REFRESH, Demand.ASKED, policy="when-refused") is Step.TRADE


def test_by_hand_a_sign_in_that_has_ended_is_not_papered_over_with_one_more_key() -> None:
    assert walk(SPENT, Demand.ASKED) is Step.END
    assert walk(SPENT, Demand.ASKED, done=frozenset({Step.REFRESH})) is Step.END


@pytest.mark.parametrize("policy", ["always", "when-refused"])
def test_every_walk_ends_and_takes_no_step_twice(policy: ExchangePolicy) -> None:
    everything = (SIGNED_IN, UNTRADED, NO_REFRESH, BARRED, SPENT, UNVERIFIED, Credential(mode="chatgpt"))
    for credential, demand, due, expired in itertools.product(
        everything, Demand, (True, False), (True, False)
    ):
        done: frozenset[Step] = frozenset()
        while True:
            step = walk(credential, demand, policy=policy, refresh_due=due, expired=expired, done=done)
            if step is Step.END:
                break
            assert step not in done
            done |= {step}


# --- the rule of the lost answer -----------------------------------------------------------------------


def noted(sends: int) -> Credential:
    return replace(SIGNED_IN, note=RefreshNote(REFRESH.fingerprint(), sends, 0))


def test_a_token_is_sent_at_most_twice_without_an_answer() -> None:
    assert note_before_sending(SIGNED_IN, REFRESH, 5) == RefreshNote(REFRESH.fingerprint(), 1, 5)
    assert note_before_sending(noted(1), REFRESH, 5) == RefreshNote(REFRESH.fingerprint(), 2, 5)
    assert note_before_sending(noted(2), REFRESH, 5) is None


def test_a_note_about_another_token_does_not_count() -> None:
    other = replace(SIGNED_IN, note=RefreshNote("another", 2, 0))
    assert note_before_sending(other, REFRESH, 5) == RefreshNote(REFRESH.fingerprint(), 1, 5)


@pytest.mark.parametrize("code", ["refresh_token_reused", "refresh_token_invalidated", "invalid_grant"])
def test_a_token_refused_as_spent_after_a_lost_answer_says_that_the_answer_was_lost(code: str) -> None:
    error = IssuerRefused("spent", error_code=code, status=401)
    after = refused(noted(2), REFRESH, error, 7)
    assert after.refresh_failure is not None
    assert after.refresh_failure.code == ANSWER_LOST


def test_a_token_refused_at_the_first_try_keeps_the_issuers_code() -> None:
    error = IssuerRefused("spent", error_code="refresh_token_reused", status=401)
    after = refused(noted(1), REFRESH, error, 7)
    assert after.refresh_failure == Failure(REFRESH.fingerprint(), "refresh_token_reused", "spent", 7)
    assert after.note is None
    assert after.refresh_token == REFRESH


def test_a_failure_before_anything_was_sent_may_be_repeated_freely() -> None:
    for before in (None, RefreshNote(REFRESH.fingerprint(), 1, 0)):
        sends = before.sends if before else 0
        after = unanswered(noted(sends + 1), before, REFRESH, wire=Wire.NOT_SENT, now=7)
        assert after.note == before


def test_after_a_time_out_the_same_token_is_sent_once_more_then_no_further() -> None:
    once = unanswered(noted(1), None, REFRESH, wire=Wire.UNANSWERED, now=7)
    assert once.note is not None
    assert once.refresh_failure is None
    twice = unanswered(noted(2), once.note, REFRESH, wire=Wire.UNANSWERED, now=9)
    assert twice == answer_lost(noted(2), REFRESH, 9)
    assert twice.refresh_token == REFRESH, "nothing is deleted"


@pytest.mark.parametrize(
    ("status", "answered", "open_"),
    [
        (500, True, True),
        (502, True, True),
        (503, True, True),
        (504, True, True),
        (200, True, True),
        (302, True, False),
        (400, True, False),
        (401, True, False),
        (429, True, False),
        (None, False, False),
    ],
)
def test_an_answer_leaves_open_whether_the_token_is_spent_where_the_issuer_may_have_taken_it(
    status: int | None, answered: bool, open_: bool
) -> None:
    """No answer at all has a rule of its own."""
    assert leaves_open(IssuerUnavailable("no", answered=answered, status=status)) is open_


def test_an_answer_that_leaves_it_open_costs_no_try_however_often_it_comes() -> None:
    credential = SIGNED_IN
    for now in range(10):
        note = note_before_sending(credential, REFRESH, now)
        assert note is not None
        assert note.sends == 1
        credential = left_open(replace(credential, note=note), credential.note, REFRESH, now=now)
    assert credential.note == RefreshNote(REFRESH.fingerprint(), 0, 9, in_doubt=True)
    assert credential.refresh_failure is None


def test_a_lost_answer_before_it_still_counts() -> None:
    after = left_open(noted(2), noted(1).note, REFRESH, now=7)
    assert after.note == RefreshNote(REFRESH.fingerprint(), 1, 7, in_doubt=True)
    again = note_before_sending(after, REFRESH, 8)
    assert again == RefreshNote(REFRESH.fingerprint(), 2, 8, in_doubt=True)
    assert note_before_sending(replace(after, note=again), REFRESH, 9) is None


def test_a_note_about_another_token_leaves_no_doubt_about_this_one() -> None:
    other = RefreshNote("another", 1, 0, in_doubt=True)
    assert note_before_sending(replace(SIGNED_IN, note=other), REFRESH, 5) == RefreshNote(
        REFRESH.fingerprint(), 1, 5
    )
    assert left_open(noted(1), other, REFRESH, now=7).note == RefreshNote(
        REFRESH.fingerprint(), 0, 7, in_doubt=True
    )


@pytest.mark.parametrize("code", ["refresh_token_reused", "refresh_token_invalidated", "invalid_grant"])
def test_a_token_refused_as_spent_after_a_doubtful_answer_says_that_the_answer_was_lost(code: str) -> None:
    doubtful = left_open(noted(1), None, REFRESH, now=7)
    again = replace(doubtful, note=note_before_sending(doubtful, REFRESH, 8))
    after = refused(again, REFRESH, IssuerRefused("spent", error_code=code, status=401), 9)
    assert after.refresh_failure is not None
    assert after.refresh_failure.code == ANSWER_LOST
    expired = IssuerRefused("expired", error_code="refresh_token_expired", status=401)
    after = refused(again, REFRESH, expired, 9)
    assert after.refresh_failure is not None
    assert after.refresh_failure.code == "refresh_token_expired", "that is no sign of a lost answer"
