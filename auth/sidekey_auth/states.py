"""The states of a credential, as one table. Pure.

A state answers two questions that must be kept apart: *can a bearer be served?* (``ready``) and *can it be
renewed?* (the state's name). A bearer that upstream has not refused is served in every state, so a profile
may be ``reauth_required`` and ready at once: it works until the key is refused, and says so beforehand.

States are not stored: they follow from the stored credential and from what this process is doing, so they
cannot contradict it. The rows are tried from the top; the first whose condition holds is the state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from .credential import Bearer, Credential, bearer_of
from .key_refusals import KEY_REFUSALS, UNKNOWN_REMEDY, UNKNOWN_REMEDY_WITH_KEY, KeyRefusal
from .renewal import can_refresh

State = Literal["signed_out", "ready", "refreshing", "degraded", "no_platform_key", "reauth_required"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a running process knows and the vault does not.

    Attributes:
        renewing: a renewal is under way.
        trouble: why the last renewal failed for the time being, for people.
        unsaved: rotated tokens live in memory only, because the vault could not be written.
    """

    renewing: bool = False
    trouble: str | None = None
    unsaved: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the table's conditions look at."""

    credential: Credential
    runtime: Runtime
    expired: bool
    """The id_token has expired."""

    @property
    def chatgpt(self) -> bool:
        """Whether the profile lives from a sign-in."""
        return self.credential.mode == "chatgpt"

    @property
    def key_works(self) -> bool:
        """Whether there is an exchanged key that upstream has not refused."""
        return self.credential.api_key is not None and not self.credential.key_refused

    @property
    def refresh_failed(self) -> bool:
        """Whether the present refresh token was refused for good."""
        return self.credential.refresh_token is not None and not can_refresh(self.credential)

    @property
    def exchange_failed(self) -> bool:
        """Whether the issuer refused to trade the present id_token."""
        token, failure = self.credential.id_token, self.credential.exchange_failure
        return token is not None and failure is not None and failure.token == token.fingerprint()

    def refused_key_for(self, code: str) -> bool:
        """Return whether the issuer refused a key for this reason, and none works."""
        failure = self.credential.exchange_failure
        return self.exchange_failed and failure is not None and failure.code == code and not self.key_works

    @property
    def may_come(self) -> bool:
        """Whether a key may come by itself."""
        if can_refresh(self.credential):
            return True
        token = self.credential.id_token
        if token is None or self.expired or self.exchange_failed:
            return False
        untraded = self.credential.key_source != token.fingerprint()
        once_more = (
            self.credential.refresh_token is None and self.credential.traded_again != token.fingerprint()
        )
        return untraded or once_more


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    state: State
    code: str
    when: str
    holds: Callable[[Facts], bool]
    sentence: str
    remedy: str = ""
    remedy_with_key: str = ""
    """What to do where a static key is stored already; the same where this is empty."""


_LOGIN: Final = "Run `sidekey login`."
_NO_KEY: Final = "Signed in, but without an API key"


def _row_of(refusal: KeyRefusal) -> Row:
    return Row(
        "no_platform_key",
        refusal.code,
        f"the issuer gives no API key: {refusal.reason}",
        lambda f: f.refused_key_for(refusal.code),
        _NO_KEY,
        refusal.remedy,
        refusal.remedy_with_key,
    )


TABLE: Final[tuple[Row, ...]] = (
    Row(
        "ready",
        "ready",
        "mode api_key, a static key is stored",
        lambda f: not f.chatgpt and f.credential.static_key is not None,
        "The stored API key is used.",
    ),
    Row(
        "signed_out",
        "no_api_key",
        "mode api_key, no static key, tokens of a sign-in are there",
        lambda f: not f.chatgpt and f.credential.signed_in,
        "Mode api_key has no API key stored.",
        "Run `sidekey key set`, or `sidekey mode chatgpt` to use the sign-in.",
    ),
    Row(
        "signed_out",
        "signed_out",
        "nothing is stored to make a bearer from",
        lambda f: not f.credential.signed_in,
        "Nobody is signed in.",
        "Run `sidekey login`, or store an API key with `sidekey key set`.",
        "Run `sidekey login`, or `sidekey mode api_key`.",
    ),
    Row(
        "refreshing",
        "refreshing",
        "a renewal is under way",
        lambda f: f.runtime.renewing,
        "The credential is being refreshed.",
    ),
    Row(
        "degraded",
        "unsaved",
        "rotated tokens could not be written to the vault",
        lambda f: f.runtime.unsaved,
        "The refreshed credential could not be saved; it is kept in memory and saved as soon as possible.",
        "Make room on the disk or mend its permissions, and do not stop sidekey before.",
    ),
    Row(
        "reauth_required",
        "refresh_failure",
        "the issuer refused the refresh token for good",
        lambda f: f.refresh_failed,
        "The sign-in has ended",
        _LOGIN,
    ),
    *(_row_of(refusal) for refusal in KEY_REFUSALS),
    Row(
        "no_platform_key",
        "exchange_failure",
        "the issuer gives no API key, for another reason",
        lambda f: f.exchange_failed and not f.key_works,
        _NO_KEY,
        UNKNOWN_REMEDY,
        UNKNOWN_REMEDY_WITH_KEY,
    ),
    Row(
        "degraded",
        "transient",
        "the last renewal failed for the time being",
        lambda f: f.runtime.trouble is not None,
        "Refreshing fails for now",
    ),
    Row(
        "ready",
        "ready",
        "an exchanged key that upstream has not refused",
        lambda f: f.key_works,
        "Signed in.",
    ),
    Row(
        "degraded",
        "key_pending",
        "no usable key, and one may come by itself",
        lambda f: f.may_come,
        "Signed in, waiting for an API key.",
        "Run `sidekey refresh`.",
    ),
    Row(
        "reauth_required",
        "key_refused",
        "no usable key, and nothing left to make one from",
        lambda _: True,
        "The API key no longer works, and there is nothing to make a new one from.",
        _LOGIN,
    ),
)


@dataclass(frozen=True, slots=True)
class Standing:
    """What people and programs are told of a credential.

    Attributes:
        state: one of the six states.
        code: for programs; finer than the state.
        sentence: for people.
        remedy: what to do, or an empty string.
        bearer: what is served, or None. Ready means exactly that there is one.
        fallback: the static key stands in for the sign-in.
        transient: there is no bearer now, and one may come by itself.
    """

    state: State
    code: str
    sentence: str
    remedy: str
    bearer: Bearer | None
    fallback: bool
    transient: bool

    @property
    def ready(self) -> bool:
        """Whether a bearer can be served, the fallback's included."""
        return self.bearer is not None


def standing_of(credential: Credential, runtime: Runtime, *, expired: bool) -> Standing:
    """Return how a credential stands.

    Args:
        credential: as it is stored, or held in memory.
        runtime: what this process knows.
        expired: whether the id_token has expired.
    """
    facts = Facts(credential, runtime, expired)
    row = next(row for row in TABLE if row.holds(facts))
    code, sentence = _particulars(row, facts)
    bearer = bearer_of(credential)
    fallback = bearer is not None and bearer.origin == "api_key" and facts.chatgpt
    if fallback:
        sentence += " The stored API key is used instead."
    elif bearer is not None and row.state == "reauth_required":
        sentence += " The present API key serves until it is refused."
    waits = facts.chatgpt and bearer is None and facts.may_come and row.state != "no_platform_key"
    remedy = row.remedy_with_key if fallback and row.remedy_with_key else row.remedy
    return Standing(row.state, code, sentence, remedy, bearer, fallback, waits)


def _particulars(row: Row, facts: Facts) -> tuple[str, str]:
    credential, trouble = facts.credential, facts.runtime.trouble
    if row.code == "refresh_failure" and credential.refresh_failure:
        return (
            credential.refresh_failure.code,
            f"{row.sentence}: {_bare(credential.refresh_failure.message)}.",
        )
    if row.state == "no_platform_key" and credential.exchange_failure:
        return (
            credential.exchange_failure.code,
            f"{row.sentence}: {_bare(credential.exchange_failure.message)}.",
        )
    if row.code == "transient" and trouble:
        return row.code, f"{row.sentence}: {_bare(trouble)}."
    return row.code, row.sentence


def _bare(message: str) -> str:
    return message.rstrip(". ")
