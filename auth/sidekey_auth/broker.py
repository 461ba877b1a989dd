"""Hands out the current bearer, and renews it once for everyone who waits.

``bearer()`` answers from memory. Everything else runs in one *flight* at a time: a task that reads the vault
again and lets the mode's source do what is still needed, step by step. Whoever wants a renewal while a flight
is under way waits for that one; a waiter that gives up does not end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import Callable, Mapping

from .clock import Clock, SystemClock
from .credential import DEFAULT_PROFILE, Bearer, Credential, Mode, bearer_of, key_accepted, key_refused
from .errors import IssuerUnavailable, NoBearer, NoVault, SealError, SidekeyError, VaultBusy, VaultUnwritable
from .journal import Journal
from .log import get_logger
from .pauses import Backoff, Disbelief
from .renewal import Demand, wants_a_key
from .secret import Secret
from .source import Errand, Source
from .states import Runtime, Standing, standing_of
from .supervision import supervised
from .timing import Timing
from .vault import LONGEST_HOLD, Vault

log = get_logger("sidekey.broker")

LOOK_EVERY = 30.0
SAVE_EVERY = 2.0
RENEWAL = 60.0
"""Seconds for a renewal with all its steps, and for whoever waits for one."""
DUE_PATIENCE = 30.0
"""Seconds that a request waits for a renewal that is due while its present bearer still works."""
LAST_STEP = 5.0
"""Seconds that a stopping broker gives a step that could be taken again: the check, or the key exchange."""
REFUSED_PAUSE = 60.0
"""Seconds after which a bearer that upstream refused, and that nothing replaces, is tried again."""


class Broker:
    """The bearer of one profile, for one process and one event loop.

    Args:
        vault: where the credential is kept.
        sources: what renews the bearer of each mode; a mode without one is never renewed.
        profile: whose bearer.
        timing: how the id_token's life is counted; shared with the sources.
        clock: the time.
        carries: tells whether a bearer may go to the upstream; any may where it is left out.
    """

    def __init__(
        self,
        vault: Vault,
        sources: Mapping[Mode, Source],
        *,
        profile: str = DEFAULT_PROFILE,
        timing: Timing,
        clock: Clock | None = None,
        carries: Callable[[Bearer], bool] | None = None,
    ) -> None:
        self.profile = profile
        self._sources = sources
        self._clock = clock or SystemClock()
        self._timing = timing
        self._carries = carries
        self._bearer: Bearer | None = None
        self._trouble: str | None = None
        self._vault_trouble: str | None = None
        self._told: tuple[str, str, bool] | None = None
        self._backoff = Backoff(random.random)
        self._disbelief = Disbelief()
        self._refused_until = self._clock.boot() + REFUSED_PAUSE
        self._vindicated: Bearer | None = None
        self._flight: asyncio.Task[SidekeyError | None] | None = None
        self._stopping = False
        self._wake = asyncio.Event()
        self._change = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []
        self._seen = Credential(profile=profile)
        self._journal = Journal(vault, profile, self._take)

    # --- what a request asks --------------------------------------------------------------------------

    def bearer(self) -> Bearer:
        """Return the current bearer from memory: no disk, keyring or network on this path.

        Raises:
            NoBearer: there is none; ``transient`` tells whether ``obtain`` may bring one.
        """
        if self._clock.boot() >= self._timing.due_at():
            self._wake.set()
        if self._bearer is None:
            raise self._no_bearer()
        return self._bearer

    async def obtain(self) -> Bearer:
        """Return the current bearer, or wait for one renewal that may bring it.

        Where nothing else is to be had, a bearer that upstream refused some time ago is tried again.

        Raises:
            NoBearer: it brought none.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEWAL):
                for _ in range(2):  # the flight that is joined may have been after something else
                    if self._bearer is not None or not self._wants(Demand.MISSING):
                        break
                    await self._fly(Demand.MISSING)
        bearer = self._bearer or self._refused_one()
        if bearer is None:
            raise self._no_bearer()
        return bearer

    async def renew_due(self) -> None:
        """Wait for a renewal that is due now, if one is; where it fails, the present bearer serves on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DUE_PATIENCE):
                for _ in range(2):  # the flight that is joined may have been after something else
                    if not self._work_is_due():
                        break
                    with contextlib.suppress(Exception):  # _landed has told
                        await self._fly(Demand.DUE)

    async def refused(self, bearer: Bearer, kind: str = "") -> Bearer | None:
        """Tell that upstream answered 401 to this bearer, and return another one, or None.

        However many requests tell the same, there is one renewal. A refused static key makes the vault be
        read again, and the sign-in's own key be sought.

        Args:
            bearer: the refused one.
            kind: the 401's error code; empty where it had none.

        Raises:
            VaultError, SealError: the bearer is a static key, and the vault cannot be read now.
        """
        if bearer.origin == "chatgpt":
            self._refused_until = self._clock.boot() + REFUSED_PAUSE
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RENEWAL):
                for _ in range(2):  # the flight that is joined may have been after something else
                    if self._bearer is not None and self._bearer.value != bearer.value:
                        break
                    if bearer.origin == "api_key":
                        await self.read_again()
                        if self._bearer is not None and self._bearer.value == bearer.value:
                            await self.renew_due()
                    elif self._disbelief.believes(kind, bearer.generation, self._clock.boot()):
                        await self._fly(Demand.REFUSED, bearer, kind)
                    else:
                        break
        return self._bearer if self._bearer is not None and self._bearer.value != bearer.value else None

    def accepted(self, bearer: Bearer) -> None:
        """Tell that upstream has let a request with this bearer pass."""
        self._disbelief.accepted(bearer.generation)
        if self._seen.key_refused and bearer.value == self._seen.api_key:
            self._vindicated = bearer
            self._wake.set()

    def in_vain(self, bearer: Bearer, kind: str = "") -> None:
        """Tell that upstream answered 401 to the bearer that a refusal of this kind brought forth, too."""
        if bearer.origin == "chatgpt":
            self._disbelief.in_vain(kind, bearer.generation, self._clock.boot())

    # --- what people and the server ask ---------------------------------------------------------------

    @property
    def credential(self) -> Credential:
        """The credential as this process holds it."""
        return self._journal.credential

    def standing(self) -> Standing:
        """Return how the credential stands."""
        runtime = Runtime(
            renewing=self._flying(),
            trouble=self._trouble or self._vault_trouble,
            unsaved=self._journal.must_save,
            aside=self._journal.aside,
            tries_refused=self._refused_one() is not None,
        )
        expired = self._timing.expired(self.credential)
        return standing_of(self.credential, runtime, expired=expired, carries=self._carries)

    def refresh_before(self, margin: float) -> None:
        """Refresh so many seconds before an id_token's expiry from now on."""
        self._timing.margin = margin
        self._wake.set()

    def carry(self, carries: Callable[[Bearer], bool]) -> None:
        """Let this rule tell from now on whether a bearer may go to the upstream."""
        self._carries = carries
        self._tell()

    async def change(self) -> None:
        """Return as soon as the credential or its standing has changed from what it is now."""
        await self._change.wait()

    async def refresh(self) -> Standing:
        """Renew now because a person asked, and return how the credential stands then.

        Raises:
            NoRefreshToken: there is nothing to renew with.
            IssuerUnavailable, IdTokenInvalid, VaultError: it did not work this time.
        """
        while self._flying():
            await self._fly(Demand.ASKED)
        error = await self._fly(Demand.ASKED)
        if error is not None:
            raise error
        return self.standing()

    async def start(self) -> None:
        """Read the credential and begin to follow the vault and the id_token's expiry.

        Raises:
            VaultError, SealError: the vault cannot be used.
        """
        await self.take_up()
        self._watchers = [
            asyncio.create_task(supervised(self._follow_vault, "the watch of the vault")),
            asyncio.create_task(supervised(self._follow_time, "the watch of the expiry")),
        ]

    async def take_up(self) -> None:
        """Read the credential, and what earlier processes could not save.

        Raises:
            VaultError, SealError: the vault cannot be read.
        """
        try:
            async with self._journal.locked():
                return
        except (NoVault, VaultBusy, VaultUnwritable):
            await self.inspect()

    async def inspect(self) -> None:
        """Read the credential, and what earlier processes could not save, and write nothing.

        Raises:
            VaultError, SealError: the vault cannot be read.
        """
        await self._journal.inspect()
        self._tell()

    async def stop(self) -> None:
        """Begin no new step, wait for a refresh that was sent, and save what is unsaved.

        Raises:
            CredentialUnsaved: that could not be saved; the error says where it is kept, or that it is lost.
        """
        self._stopping = True
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers = []
        if self._flight is not None and not self._flight.done():
            await asyncio.wait([self._flight], timeout=LAST_STEP)
            self._flight.cancel()  # which a refresh outlasts: it is waited for
            await asyncio.wait([self._flight], timeout=LONGEST_HOLD)
        await self._journal.settle()

    async def read_again(self) -> None:
        """Read the vault again.

        Raises:
            VaultError, SealError: it cannot be read; what is in memory stays.
        """
        before = self.credential
        await self._journal.read()
        self._vault_trouble = None
        now = self.credential
        if (now.refresh_token, now.api_key) != (before.refresh_token, before.api_key):
            self._trouble = None
            self._backoff.succeed()
        self._tell()

    async def look(self) -> None:
        """Read the vault again; where it cannot be read now, what is in memory serves on.

        A broker whose event loop rests between two calls has not followed the vault meanwhile.
        """
        await self._read_quietly()

    # --- one flight at a time -------------------------------------------------------------------------

    async def _fly(
        self, demand: Demand, refused: Bearer | None = None, kind: str = ""
    ) -> SidekeyError | None:
        if self._stopping:
            return None
        if self._flight is None or self._flight.done():
            self._flight = asyncio.create_task(self._renew(demand, refused, kind))
            self._flight.add_done_callback(self._landed)
        return await asyncio.shield(self._flight)

    def _flying(self) -> bool:
        return self._flight is not None and not self._flight.done()

    def _landed(self, flight: asyncio.Task[SidekeyError | None]) -> None:
        self._tell()
        error = None if flight.cancelled() else flight.exception()
        if error is not None:
            # Not as exc_info: a program that uses this library may log tracebacks with local variables.
            log.error("renewal broke off", trace="".join(traceback.format_exception(error)))

    async def _renew(self, demand: Demand, refused: Bearer | None, kind: str) -> SidekeyError | None:
        if demand is not Demand.ASKED and self._backoff.holds(self._clock.boot()):
            return None
        before = self.credential.generation
        try:
            await self._journal.read()
            await self._renew_read(demand, refused)
        except SidekeyError as error:
            return self._failed(error)
        except Exception:
            self._backoff.fail(self._clock.boot())
            raise
        self._trouble = None
        credential = self.credential
        if self._bearer is None or (credential.mode == "chatgpt" and wants_a_key(credential)):
            self._backoff.fail(self._clock.boot())
        else:
            self._backoff.succeed()
        if refused is not None and credential.generation != before and not credential.key_refused:
            self._disbelief.born(kind, credential.generation, instead_of=refused.generation)
        return None

    async def _renew_read(self, demand: Demand, refused: Bearer | None) -> None:
        met = _met(demand, refused)
        if refused is not None and not met(self.credential):
            await self._journal.change(lambda stored: key_refused(stored, refused.value))
        source = self._sources.get(self.credential.mode)
        if source is None or met(self.credential):
            return
        end = self._clock.boot() + RENEWAL
        errand = Errand(
            demand,
            refresh_due=self._timing.refresh_due,
            seconds_left=lambda: max(0.0, end - self._clock.boot()),
            stopping=lambda: self._stopping,
            met=met,
        )
        await source.renew(self._journal, errand)

    def _failed(self, error: SidekeyError) -> SidekeyError:
        wish = error.retry_after if isinstance(error, IssuerUnavailable) else None
        self._backoff.fail(self._clock.boot(), wish)
        self._trouble = str(error)
        self._tell()
        log.warning("renewal failed for now", code=error.code, reason=str(error))
        return error

    # --- following the vault and the time -------------------------------------------------------------

    async def _follow_vault(self) -> None:
        while True:
            await self._journal.vault.changed(self.profile)
            while not await self._read_quietly():  # noqa: ASYNC110 - a keyring may be unlocked, a mode mended
                await asyncio.sleep(SAVE_EVERY)
            self._wake.set()

    async def _read_quietly(self) -> bool:
        try:
            await self.read_again()
        except SidekeyError as error:
            if self._vault_trouble != str(error):
                log.warning("the vault cannot be read", code=error.code, reason=str(error))
            self._vault_trouble = str(error)
            self._tell()
            return False
        return True

    async def _follow_time(self) -> None:
        while True:
            if self._vindicated is not None:
                bearer, self._vindicated = self._vindicated, None
                await self._vindicate(bearer.value)
            if self._journal.unsaved is not None and not self._flying():
                await self._save_unsaved()
            elif self._work_is_due():
                with contextlib.suppress(Exception):  # _landed has told
                    await self._fly(Demand.DUE)
            # Not wait_for: before Python 3.12 it can swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._until_the_next_look()):
                    await self._wake.wait()
            self._wake.clear()

    async def _vindicate(self, key: Secret) -> None:
        await self._journal.change(lambda stored: key_accepted(stored, key))

    async def _save_unsaved(self) -> None:
        try:
            await self._journal.save_unsaved()
        except (SidekeyError, SealError) as error:
            log.warning("the refreshed credential is still not saved", reason=str(error))
        self._tell()

    def _until_the_next_look(self) -> float:
        if self._journal.unsaved is not None:
            return SAVE_EVERY
        pause = self._backoff.until - self._clock.boot()
        return min(LOOK_EVERY, pause) if pause > 0 else LOOK_EVERY

    def _work_is_due(self) -> bool:
        return not self._backoff.holds(self._clock.boot()) and self._wants(Demand.DUE)

    def _wants(self, demand: Demand) -> bool:
        source = self._sources.get(self.credential.mode)
        return source is not None and source.wants(
            self.credential, demand, refresh_due=self._timing.refresh_due()
        )

    # --- what is held, and what is told of it ---------------------------------------------------------

    def _take(self, credential: Credential) -> None:
        if credential.generation != self._seen.generation:
            log.info("bearer", generation=credential.generation, mode=credential.mode)
        self._seen = credential
        self._bearer = bearer_of(credential)
        self._timing.see(credential)
        self._tell()

    def _refused_one(self) -> Bearer | None:
        """Return the bearer that upstream refused, where there is no other and the pause is over."""
        if self._bearer is not None or self._clock.boot() < self._refused_until:
            return None
        return bearer_of(self._seen, refused_too=True)

    def _tell(self) -> None:
        self._change.set()
        self._change = asyncio.Event()
        standing = self.standing()
        now = (standing.state, standing.code, standing.fallback)
        if standing.state == "refreshing" or now == self._told:
            return
        self._told = now
        level = log.info if standing.ready and not standing.fallback else log.warning
        level("state", state=standing.state, code=standing.code, fallback=standing.fallback)

    def _no_bearer(self) -> NoBearer:
        standing = self.standing()
        transient = standing.transient or standing.bearer is not None
        return NoBearer(
            standing.sentence, state_code=standing.code, transient=transient, remedy=standing.remedy
        )


def _met(demand: Demand, refused: Bearer | None) -> Callable[[Credential], bool]:
    """Return what tells whether a credential is what a demand wants, perhaps thanks to another process."""
    if refused is not None:
        return lambda credential: credential.api_key != refused.value and bearer_of(credential) is not None
    if demand is Demand.MISSING:
        return lambda credential: bearer_of(credential) is not None
    return lambda _: False
