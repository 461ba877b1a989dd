"""Mode ``chatgpt``: walks the steps of a renewal with the issuer, saving each before the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Protocol

import structlog

from sidekey_auth.claims import Claims, read_claims, same_account
from sidekey_auth.clock import Clock
from sidekey_auth.credential import Credential, Failure, TokenSet, with_tokens
from sidekey_auth.errors import IdTokenInvalid, IssuerRefused, IssuerUnavailable, NoRefreshToken
from sidekey_auth.made_keys import NewKey
from sidekey_auth.renewal import (
    ACCOUNT_CHANGED,
    Demand,
    ExchangePolicy,
    Step,
    answer_lost,
    next_step,
    note_before_sending,
    refused,
    unanswered,
)
from sidekey_auth.secret import Secret
from sidekey_auth.signed_in import with_key, without_key
from sidekey_auth.source import Journal
from sidekey_auth.timing import Timing

log = structlog.get_logger("sidekey.renewal")


class TokenIssuer(Protocol):
    """What a renewal asks of the issuer; see ``issuer.Issuer``."""

    async def refresh(self, refresh_token: Secret, client_id: str) -> TokenSet:
        """Trade a refresh token for new tokens; sent once, never repeated by itself."""

    async def exchange_key(self, id_token: Secret, client_id: str, *, name: str | None = None) -> NewKey:
        """Trade an id_token for an API key."""

    def key_name(self, profile: str) -> str | None:
        """Return what a key that is made now is called."""

    async def verify(self, id_token: Secret, client_id: str) -> Claims:
        """Check an id_token against the issuer's keys and return its claims."""


IssuerOf = Callable[[Credential], Awaitable[TokenIssuer]]
"""Gives the issuer that a credential's tokens came from."""


@dataclass(frozen=True, slots=True)
class ChatGptSource:
    """Renews the bearer of a sign-in.

    Attributes:
        issuer_of: gives the issuer of a credential.
        client_id: the client of sign-ins whose credential names none.
        policy: when an id_token is traded for a new key.
        timing: how an id_token's life is counted; shared with the broker.
        clock: the time.
    """

    issuer_of: IssuerOf
    client_id: str
    policy: ExchangePolicy
    timing: Timing
    clock: Clock

    async def renew(
        self, credential: Credential, demand: Demand, journal: Journal, *, refresh_due: bool
    ) -> Credential:
        """Walk the steps that the demand calls for (see ``source.Source``)."""
        walk = _Walk(self, journal, await self.issuer_of(credential), credential)
        done: frozenset[Step] = frozenset()
        while (step := self._next(walk.credential, demand, done, refresh_due=refresh_due)) is not Step.END:
            await walk.take(step)
            # What a refresh returns is to be verified, also after an older id_token was.
            done = (done - {Step.VERIFY} if step is Step.REFRESH else done) | {step}
        if demand is Demand.ASKED and not done and credential.refresh_failure is None:
            raise NoRefreshToken
        return walk.credential

    def wants(self, credential: Credential, demand: Demand, *, refresh_due: bool) -> bool:
        """Return whether the demand calls for any step."""
        return self._next(credential, demand, frozenset(), refresh_due=refresh_due) is not Step.END

    def _next(
        self, credential: Credential, demand: Demand, done: frozenset[Step], *, refresh_due: bool
    ) -> Step:
        expired = self.timing.expired(credential)
        return next_step(
            credential, demand, policy=self.policy, refresh_due=refresh_due, expired=expired, done=done
        )


@dataclass(slots=True)
class _Walk:
    """One renewal under way."""

    source: ChatGptSource
    journal: Journal
    issuer: TokenIssuer
    credential: Credential

    @property
    def client_id(self) -> str:
        return self.credential.client_id or self.source.client_id

    async def take(self, step: Step) -> None:
        match step:
            case Step.REFRESH:
                await self._refresh()
            case Step.VERIFY:
                await self._verify()
            case _:
                await self._trade()

    async def _refresh(self) -> None:
        token, before = self.credential.refresh_token, self.credential.note
        assert token is not None  # noqa: S101 - can_refresh has looked
        note = note_before_sending(self.credential, token, self._now())
        if note is None:
            await self._keep(answer_lost(self.credential, token, self._now()))
            return
        self.credential = replace(self.credential, note=note)
        await self.journal.note(self.credential)
        try:
            tokens = await self.issuer.refresh(token, self.client_id)
        except IssuerRefused as error:
            log.warning("refresh refused", code=error.error_code, status=error.status)
            await self._keep(refused(self.credential, token, error, self._now()))
            return
        except IssuerUnavailable as error:
            spent = error.sent and not error.answered
            await self._keep(unanswered(self.credential, before, token, spent=spent, now=self._now()))
            raise
        await self._keep(with_tokens(self.credential, tokens, self._now()))
        log.info("refreshed", rotated=tokens.refresh_token is not None, id_token=tokens.id_token is not None)

    async def _verify(self) -> None:
        token = self.credential.unverified_id_token
        assert token is not None  # noqa: S101 - next_step has looked
        try:
            new = await self.issuer.verify(token, self.client_id)
        except IdTokenInvalid:
            await self._keep(replace(self.credential, unverified_id_token=None))
            raise
        old = read_claims(self.credential.id_token) if self.credential.id_token else None
        if old is not None and not same_account(old, new):
            await self._keep(self._account_changed())
            log.warning("refresh returned another account")
            return
        last = self.credential.last_refresh
        received = last.timestamp() if last else self._now()
        await self._keep(
            replace(self.credential, id_token=token, unverified_id_token=None, received_at=received)
        )

    def _account_changed(self) -> Credential:
        token = self.credential.refresh_token
        message = "the refresh returned another account's id_token, which is not used"
        failure = Failure(token.fingerprint(), ACCOUNT_CHANGED, message, self._now()) if token else None
        return replace(self.credential, unverified_id_token=None, refresh_failure=failure)

    async def _trade(self) -> None:
        token = self.credential.id_token
        assert token is not None  # noqa: S101 - can_trade has looked
        again = self.credential.key_source == token.fingerprint()
        try:
            name = self.issuer.key_name(self.credential.profile)
            key = await self.issuer.exchange_key(token, self.client_id, name=name)
        except IssuerRefused as error:
            log.warning("key exchange refused", code=error.error_code, status=error.status)
            await self._keep(without_key(self.credential, error, self._now()))
            return
        traded = with_key(self.credential, key, self._now())
        await self._keep(replace(traded, traded_again=token.fingerprint() if again else traded.traded_again))
        log.info("key exchanged", generation=self.credential.generation)

    async def _keep(self, credential: Credential) -> None:
        self.credential = credential
        await self.journal.keep(credential)

    def _now(self) -> float:
        return self.source.clock.wall()
