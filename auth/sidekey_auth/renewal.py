"""What a renewal of a ``chatgpt`` bearer does next: a table of rules over the stored credential. Pure.

A renewal is a walk: look at the credential, take one step, look again, until there is nothing left to do.
Each step is saved before the next, so that a walk that was cut short (killed, disk full, issuer away) is
taken up where it ended by whoever comes next, in this process or in another.

    REFRESH   trade the refresh token for new tokens; works once per token
    VERIFY    check the new id_token: signature, audience, and that it is still the same account
    TRADE     exchange the id_token for an API key: the new bearer

While the sign-in has no key that works, DUE seeks one, too: what stands in for it is a bridge, not an end.
"""

from __future__ import annotations

from dataclasses import replace
from enum import Enum, auto
from typing import Final, Literal

from .credential import Credential, Failure, RefreshNote
from .errors import IssuerRefused, IssuerUnavailable
from .secret import Secret

ExchangePolicy = Literal["always", "when-refused"]

ANSWER_LOST: Final = "refresh_answer_lost"
ACCOUNT_CHANGED: Final = "account_changed"
MAX_SENDS: Final = 2
_OK: Final = 200
_SERVER_ERRORS: Final = 500
_REUSED: Final = frozenset({"refresh_token_reused", "refresh_token_invalidated", "invalid_grant"})


class Demand(Enum):
    """Why a renewal was asked for."""

    DUE = auto()
    """In the background: the id_token nears its expiry, or a walk was cut short."""
    REFUSED = auto()
    """Upstream answered 401 to the present bearer."""
    MISSING = auto()
    """A request waits and there is no bearer."""
    ASKED = auto()
    """A person ran `sidekey refresh`."""


class Step(Enum):
    """One step of a renewal."""

    REFRESH = auto()
    VERIFY = auto()
    TRADE = auto()
    END = auto()


def next_step(
    credential: Credential,
    demand: Demand,
    *,
    policy: ExchangePolicy,
    refresh_due: bool,
    expired: bool,
    done: frozenset[Step],
) -> Step:
    """Return the next step of a renewal.

    Args:
        credential: as it stands now.
        demand: why the renewal was asked for.
        policy: when an id_token is traded for a new key.
        refresh_due: the id_token is within the margin of its expiry.
        expired: the id_token has expired; it is not traded then.
        done: the steps that this renewal has taken.
    """
    if credential.unverified_id_token and Step.VERIFY not in done:
        return Step.VERIFY
    if Step.TRADE in done:
        return Step.END
    may_refresh = Step.REFRESH not in done and can_refresh(credential)
    may_trade = can_trade(credential, expired=expired, again=demand is Demand.ASKED)
    fresh = untraded(credential)
    if demand is Demand.ASKED:
        if may_refresh:
            return Step.REFRESH
        ended = credential.refresh_token is not None and not can_refresh(credential)
        return Step.TRADE if may_trade and not ended else Step.END
    if demand is Demand.DUE and not wants_a_key(credential):
        if may_refresh and refresh_due:
            return Step.REFRESH
        return Step.TRADE if may_trade and fresh and policy == "always" else Step.END
    refreshed = Step.REFRESH in done and can_refresh(credential)
    if may_trade and (fresh or refreshed):
        return Step.TRADE
    # An account that was refused a key is asked about once for each id_token: no refresh for its sake.
    in_vain = demand is not Demand.REFUSED and exchange_barred(credential) and not expired
    if may_refresh and (not in_vain or (demand is Demand.DUE and refresh_due)):
        return Step.REFRESH
    return Step.TRADE if may_trade and _one_more_trade(credential) else Step.END


def wants_a_key(credential: Credential) -> bool:
    """Return whether the sign-in has no key of its own that works, whatever stands in for it meanwhile."""
    return credential.api_key is None or credential.key_refused


def can_refresh(credential: Credential) -> bool:
    """Return whether there is a refresh token that was not refused for good."""
    token, failure = credential.refresh_token, credential.refresh_failure
    return token is not None and (failure is None or failure.token != token.fingerprint())


def can_trade(credential: Credential, *, expired: bool, again: bool = False) -> bool:
    """Return whether there is an id_token to exchange: not expired, not refused before (or ``again``)."""
    return credential.id_token is not None and not expired and (again or not exchange_barred(credential))


def untraded(credential: Credential) -> bool:
    """Return whether the present id_token has not been traded for a key yet."""
    return credential.id_token is not None and credential.key_source != credential.id_token.fingerprint()


def exchange_barred(credential: Credential) -> bool:
    """Return whether the issuer has refused to trade the present id_token."""
    token, failure = credential.id_token, credential.exchange_failure
    return token is not None and failure is not None and failure.token == token.fingerprint()


def key_may_come(credential: Credential, *, expired: bool) -> bool:
    """Return whether a key may come by itself.

    Args:
        credential: as it stands.
        expired: the id_token has expired.
    """
    if can_refresh(credential):
        return True
    may_trade = can_trade(credential, expired=expired)
    return may_trade and (untraded(credential) or _one_more_trade(credential))


def _one_more_trade(credential: Credential) -> bool:
    """Without a refresh token the same id_token is traded once more, and no further."""
    return (
        credential.refresh_token is None
        and credential.id_token is not None
        and credential.traded_again != credential.id_token.fingerprint()
    )


# --- the rule of the lost answer ---------------------------------------------------------------------------


def note_before_sending(credential: Credential, token: Secret, now: float) -> RefreshNote | None:
    """Return the note to write before this token is sent, or None where it must not be sent again.

    A token whose answer was lost is sent once more, then no further: the issuer may have spent it.
    """
    sends, in_doubt = _sends(credential, token), _in_doubt(credential, token)
    return RefreshNote(token.fingerprint(), sends + 1, now, in_doubt) if sends < MAX_SENDS else None


def answer_lost(credential: Credential, token: Secret, now: float) -> Credential:
    """Return the credential once a token was sent as often as it may be, and no answer came."""
    message = "the answer to a refresh was lost, and the refresh token may have been spent with it"
    return replace(
        credential, note=None, refresh_failure=Failure(token.fingerprint(), ANSWER_LOST, message, now)
    )


def refused(credential: Credential, token: Secret, error: IssuerRefused, now: float) -> Credential:
    """Return the credential after the issuer refused its refresh token for good."""
    code = error.error_code or "refresh_refused"
    if code in _REUSED and (_sends(credential, token) >= MAX_SENDS or _in_doubt(credential, token)):
        return answer_lost(credential, token, now)
    return replace(credential, note=None, refresh_failure=Failure(token.fingerprint(), code, str(error), now))


class Wire(Enum):
    """What became of a refresh that brought nothing."""

    NOT_SENT = auto()
    """No byte of it left this machine: it costs no try."""
    ANSWERED = auto()
    """The issuer answered, and did not take the token: it costs no try."""
    UNANSWERED = auto()
    """It was sent and not answered: the token may be spent."""


def unanswered(
    credential: Credential, before: RefreshNote | None, token: Secret, *, wire: Wire, now: float
) -> Credential:
    """Return the credential after a refresh failed for the time being.

    Args:
        credential: with the note that was written before sending.
        before: the note that stood there earlier.
        token: the refresh token that was meant to be sent.
        wire: what became of the request.
        now: Unix time in seconds.
    """
    if wire is not Wire.UNANSWERED:
        return replace(credential, note=before)
    if _sends(credential, token) >= MAX_SENDS:
        return answer_lost(credential, token, now)
    return credential


def leaves_open(error: IssuerUnavailable) -> bool:
    """Return whether an answer to a refresh leaves open whether the token is spent.

    A 5xx may come from whoever stands before an issuer that has taken the token; a 200 that cannot be used
    certainly does. Other answers say that it was not taken.
    """
    status = error.status
    return error.answered and status is not None and (status == _OK or status >= _SERVER_ERRORS)


def left_open(credential: Credential, before: RefreshNote | None, token: Secret, *, now: float) -> Credential:
    """Return the credential after an answer that leaves open whether the token is spent.

    It costs no try: else an issuer that is out of order for a minute would end every sign-in. But a refusal
    as spent that follows is told for what it is, a lost answer.

    Args:
        credential: with the note that was written before sending.
        before: the note that stood there earlier.
        token: the refresh token that was sent.
        now: Unix time in seconds.
    """
    sends = _sends(replace(credential, note=before), token)
    return replace(credential, note=RefreshNote(token.fingerprint(), sends, now, in_doubt=True))


def _in_doubt(credential: Credential, token: Secret) -> bool:
    note = credential.note
    return note is not None and note.token == token.fingerprint() and note.in_doubt


def _sends(credential: Credential, token: Secret) -> int:
    note = credential.note
    return note.sends if note is not None and note.token == token.fingerprint() else 0
