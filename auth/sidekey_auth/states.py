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
from .renewal import can_refresh, exchange_barred, key_may_come

State = Literal["signed_out", "ready", "refreshing", "degraded", "no_platform_key", "reauth_required"]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What a running process knows and the vault does not.

    Attributes:
        renewing: a renewal is under way.
        trouble: why the last renewal failed for the time being, for people.
        unsaved: what a renewal brought is not in the vault, because that could not be written.
        aside: where it is kept until then; None where only this process has it.
        tries_refused: the key that upstream refused is tried again, since nothing replaces it.
    """

    renewing: bool = False
    trouble: str | None = None
    unsaved: bool = False
    aside: str | None = None
    tries_refused: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What the table's conditions look at."""

    credential: Credential
    runtime: Runtime
    expired: bool
    """The id_token has expired."""
    carries: Callable[[Bearer], bool] | None = None
    """Tells whether a bearer may go to the upstream; any may where it is None."""

    @property
    def bearer(self) -> Bearer | None:
        """What would be put on a request, wherever that goes."""
        return bearer_of(self.credential, refused_too=self.runtime.tries_refused)

    @property
    def kept_back(self) -> bool:
        """Whether there is a bearer that may not go to the upstream."""
        return self.bearer is not None and self.carries is not None and not self.carries(self.bearer)

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
        return exchange_barred(self.credential)

    def refused_key_for(self, code: str) -> bool:
        """Return whether the issuer refused a key for this reason, and none works."""
        failure = self.credential.exchange_failure
        return self.exchange_failed and failure is not None and failure.code == code and not self.key_works

    @property
    def may_come(self) -> bool:
        """Whether a key may come by itself."""
        return key_may_come(self.credential, expired=self.expired)


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
        "degraded",
        "upstream_not_allowed",
        "there is a bearer, and it may not go to the configured upstream",
        lambda f: f.kept_back,
        "The key of a sign-in may not go to the configured upstream.",
        "Name the upstream in the setting allow_upstream.",
    ),
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
        "unsaved_aside",
        "rotated tokens could not be written to the vault, and are kept beside it",
        lambda f: f.runtime.unsaved and f.runtime.aside is not None,
        "The refreshed credential could not be saved in the vault; it is kept, sealed, beside it.",
        "Make room on the disk or mend its permissions: sidekey saves it then.",
    ),
    Row(
        "degraded",
        "unsaved",
        "rotated tokens could not be written anywhere",
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


def standing_of(
    credential: Credential,
    runtime: Runtime,
    *,
    expired: bool,
    carries: Callable[[Bearer], bool] | None = None,
) -> Standing:
    """Return how a credential stands.

    Args:
        credential: as it is stored, or held in memory.
        runtime: what this process knows.
        expired: whether the id_token has expired.
        carries: tells whether a bearer may go to the upstream; any may where it is left out.
    """
    facts = Facts(credential, runtime, expired, carries)
    row = next(row for row in TABLE if row.holds(facts))
    code, sentence = _particulars(row, facts)
    bearer = None if facts.kept_back else facts.bearer
    fallback = bearer is not None and bearer.origin == "api_key" and facts.chatgpt
    if fallback:
        sentence += " The stored API key is used instead."
    elif bearer is not None and runtime.tries_refused:
        sentence += " The API key that was refused is tried again."
    elif bearer is not None and row.state == "reauth_required":
        sentence += " The present API key serves until it is refused."
    waits = facts.chatgpt and facts.bearer is None and facts.may_come and row.state != "no_platform_key"
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
