"""Mode ``chatgpt``: walks the steps of a renewal with the issuer, saving each before the next."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from sidekey_auth.claims import Claims
from sidekey_auth.clock import Clock
from sidekey_auth.credential import Credential
from sidekey_auth.critical_section import in_critical_section
from sidekey_auth.errors import IdTokenInvalid, IssuerUnavailable, NoRefreshToken
from sidekey_auth.journal import Journal
from sidekey_auth.key_exchange import KeyIssuer, exchange_key
from sidekey_auth.log import get_logger
from sidekey_auth.refresh import Outcome, RefreshIssuer, refresh
from sidekey_auth.renewal import ACCOUNT_CHANGED, Demand, ExchangePolicy, Step, next_step
from sidekey_auth.secret import Secret
from sidekey_auth.signed_in import verified, without_invalid
from sidekey_auth.source import Errand
from sidekey_auth.timing import Timing

log = get_logger("sidekey.renewal")

_PATIENCE: Final = 5
"""How often another process may be faster before a renewal leaves the rest to it."""


class TokenIssuer(KeyIssuer, Protocol):
    """What a renewal asks of the issuer besides the refresh; see ``issuer.Issuer``."""

    async def verify(self, id_token: Secret, client_id: str) -> Claims:
        """Check an id_token against the issuer's keys and return its claims."""


class TokenIssuers(Protocol):
    """Gives the issuer that a credential's tokens came from; see ``issuer.Issuers``."""

    async def of(self, credential: Credential) -> TokenIssuer:
        """Return one that is shared."""

    def apart(self, credential: Credential) -> RefreshIssuer:
        """Return one for a refresh, in an event loop of its own."""


@dataclass(frozen=True, slots=True)
class ChatGptSource:
    """Renews the bearer of a sign-in.

    Attributes:
        issuers: give the issuer of a credential.
        client_id: the client of sign-ins whose credential names none.
        policy: when an id_token is traded for a new key.
        timing: how an id_token's life is counted; shared with the broker.
        clock: the time.
    """

    issuers: TokenIssuers
    client_id: str
    policy: ExchangePolicy
    timing: Timing
    clock: Clock

    async def renew(self, journal: Journal, errand: Errand) -> None:
        """Walk the steps that the errand calls for (see ``source.Source``)."""
        walk = _Walk(self, journal, errand)
        done: frozenset[Step] = frozenset()
        overtaken = 0
        while not errand.stopping() and not errand.met(journal.credential) and overtaken < _PATIENCE:
            step = self.next(journal.credential, errand.demand, done, refresh_due=errand.refresh_due())
            if step is Step.END:
                break
            if not await walk.take(step, done):
                overtaken += 1
                continue
            # What a refresh returns is to be verified, also after an older id_token was.
            done = (done - {Step.VERIFY} if step is Step.REFRESH else done) | {step}
        if errand.demand is Demand.ASKED and not done and journal.credential.refresh_failure is None:
            raise NoRefreshToken

    def wants(self, credential: Credential, demand: Demand, *, refresh_due: bool) -> bool:
        """Return whether the demand calls for any step."""
        return self.next(credential, demand, frozenset(), refresh_due=refresh_due) is not Step.END

    def next(
        self, credential: Credential, demand: Demand, done: frozenset[Step], *, refresh_due: bool
    ) -> Step:
        """Return the next step of a renewal (see ``renewal.next_step``)."""
        expired = self.timing.expired(credential)
        return next_step(
            credential, demand, policy=self.policy, refresh_due=refresh_due, expired=expired, done=done
        )


async def _begun(work: Callable[[], Awaitable[Outcome]], then: Callable[[Outcome], None]) -> Outcome:
    try:
        return await in_critical_section(work, then)
    except (OSError, RuntimeError) as error:  # no descriptor or no thread was left for it
        reason = f"the refresh could not be begun ({error})"
        raise IssuerUnavailable(reason, sent=False) from None


@dataclass(slots=True)
class _Walk:
    """One renewal under way."""

    source: ChatGptSource
    journal: Journal
    errand: Errand

    async def take(self, step: Step, done: frozenset[Step]) -> bool:
        """Take a step, and tell whether it was still to be taken when its turn came."""

        def still(credential: Credential) -> bool:
            due = self.errand.refresh_due()
            wanted = self.source.next(credential, self.errand.demand, done, refresh_due=due)
            return wanted is step and not self.errand.met(credential)

        if step is Step.REFRESH:
            return await self._refresh(still)
        try:
            async with asyncio.timeout(self.errand.seconds_left()):
                return await (self._verify() if step is Step.VERIFY else self._trade(still))
        except TimeoutError:
            raise IssuerUnavailable("the renewal took too long", sent=False) from None

    async def _refresh(self, still: Callable[[Credential], bool]) -> bool:
        journal = self.journal
        async with journal.vault.claim(journal.profile, "refresh", timeout=self.errand.seconds_left()):
            await journal.read()
            await journal.save_unsaved()  # or the note could not be written either
            token = journal.credential.refresh_token
            if token is None or self.errand.stopping() or not still(journal.credential):
                return False
            issuer, client_id = self.source.issuers.apart(journal.credential), self._client_id()
            outcome = await _begun(
                lambda: refresh(
                    journal.vault,
                    issuer,
                    profile=journal.profile,
                    token=token,
                    client_id=client_id,
                    clock=self.source.clock,
                ),
                self._landed,
            )
        if outcome.error is not None:
            raise outcome.error
        if outcome.credential is None:
            await journal.read()
        return outcome.credential is not None

    def _landed(self, outcome: Outcome) -> None:
        if outcome.credential is not None:
            self.journal.take(outcome.credential, outcome.unsaved, outcome.aside)

    async def _verify(self) -> bool:
        journal, token = self.journal, self.journal.credential.unverified_id_token
        if token is None:
            return False
        issuer = await self.source.issuers.of(journal.credential)
        try:
            claims = await issuer.verify(token, self._client_id())
        except IdTokenInvalid:
            await journal.change(lambda stored: without_invalid(stored, token))
            raise
        now = self.source.clock.wall()
        await journal.change(lambda stored: verified(stored, token, claims, now))
        failure = journal.credential.refresh_failure
        if failure is not None and failure.code == ACCOUNT_CHANGED:
            log.warning("refresh returned another account")
        return True

    async def _trade(self, still: Callable[[Credential], bool]) -> bool:
        journal = self.journal
        return await exchange_key(
            journal,
            await self.source.issuers.of(journal.credential),
            self._client_id(),
            self.source.clock,
            wanted=still,
            timeout=self.errand.seconds_left(),
        )

    def _client_id(self) -> str:
        return self.journal.credential.client_id or self.source.client_id
