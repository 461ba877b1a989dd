"""Hands out the current bearer, and renews it once for everyone who waits.

``bearer()`` answers from memory. Everything else runs in one *flight* at a time: a task that takes the
profile's lock, reads the vault again, lets the mode's source do what is still needed, and saves. Whoever
wants a renewal while a flight is under way waits for that one; a waiter that gives up does not end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import traceback
from collections.abc import Mapping
from dataclasses import replace

from .clock import Clock, SystemClock
from .credential import DEFAULT_PROFILE, Bearer, Credential, Mode, bearer_of
from .errors import IssuerUnavailable, NoBearer, SealError, SidekeyError, VaultError
from .log import get_logger
from .pauses import Backoff, Disbelief
from .renewal import Demand
from .source import Source
from .states import Runtime, Standing, standing_of
from .timing import Timing
from .vault import Vault

log = get_logger("sidekey.broker")

LOOK_EVERY = 30.0
SAVE_EVERY = 2.0
PATIENCE = 30.0
"""Seconds that a stopping broker gives a flight: the answer to a refresh comes only once."""


class Broker:
    """The bearer of one profile, for one process.

    Args:
        vault: where the credential is kept.
        sources: what renews the bearer of each mode; a mode without one is never renewed.
        profile: whose bearer.
        timing: how the id_token's life is counted; shared with the sources.
        clock: the time.
    """

    def __init__(
        self,
        vault: Vault,
        sources: Mapping[Mode, Source],
        *,
        profile: str = DEFAULT_PROFILE,
        timing: Timing,
        clock: Clock | None = None,
    ) -> None:
        self.profile = profile
        self._vault = vault
        self._sources = sources
        self._clock = clock or SystemClock()
        self._timing = timing
        self._credential = Credential(profile=profile)
        self._stored = self._credential
        self._bearer: Bearer | None = None
        self._unsaved = False
        self._trouble: str | None = None
        self._vault_trouble: str | None = None
        self._reading = asyncio.Lock()
        self._writes = 0
        self._told: tuple[str, str, bool] | None = None
        self._backoff = Backoff(random.random)
        self._disbelief = Disbelief()
        self._flight: asyncio.Task[SidekeyError | None] | None = None
        self._wake = asyncio.Event()
        self._change = asyncio.Event()
        self._watchers: list[asyncio.Task[None]] = []

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

        Raises:
            NoBearer: it brought none.
        """
        for _ in range(2):  # the flight that is joined may have been after something else
            if self._bearer is not None:
                return self._bearer
            await self._fly(Demand.MISSING)
        if self._bearer is None:
            raise self._no_bearer()
        return self._bearer

    async def renew_due(self) -> None:
        """Wait for a renewal that is due now, if one is; where it fails, the present bearer serves on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for _ in range(2):  # the flight that is joined may have been after something else
                    if not self._work_is_due():
                        break
                    with contextlib.suppress(Exception):  # _landed has told
                        await self._fly(Demand.DUE)

    async def refused(self, bearer: Bearer, kind: str = "") -> Bearer | None:
        """Tell that upstream answered 401 to this bearer, and return another one, or None.

        However many requests tell the same, there is one renewal. A refused static key only makes the
        vault be read again.

        Args:
            bearer: the refused one.
            kind: the 401's error code; empty where it had none.
        """
        for _ in range(2):  # the flight that is joined may have been after something else
            if self._bearer is not None and self._bearer.value != bearer.value:
                return self._bearer
            if bearer.origin == "api_key":
                await self.read_again()
            elif self._disbelief.believes(kind, bearer.generation, self._clock.boot()):
                await self._fly(Demand.REFUSED, bearer, kind)
            else:
                break
        return self._bearer if self._bearer is not None and self._bearer.value != bearer.value else None

    def accepted(self, bearer: Bearer) -> None:
        """Tell that upstream has let a request with this bearer pass."""
        self._disbelief.accepted(bearer.generation)

    def in_vain(self, bearer: Bearer, kind: str = "") -> None:
        """Tell that upstream answered 401 to the bearer that a refusal of this kind brought forth, too."""
        if bearer.origin == "chatgpt":
            self._disbelief.in_vain(kind, bearer.generation, self._clock.boot())

    # --- what people and the server ask ---------------------------------------------------------------

    @property
    def credential(self) -> Credential:
        """The credential as this process holds it."""
        return self._credential

    def standing(self) -> Standing:
        """Return how the credential stands."""
        trouble = self._trouble or self._vault_trouble
        runtime = Runtime(renewing=self._flying(), trouble=trouble, unsaved=self._unsaved)
        return standing_of(self._credential, runtime, expired=self._timing.expired(self._credential))

    def refresh_before(self, margin: float) -> None:
        """Refresh so many seconds before an id_token's expiry from now on."""
        self._timing.margin = margin
        self._wake.set()

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
        await self.read_again()
        self._watchers = [asyncio.create_task(self._follow_vault()), asyncio.create_task(self._follow_time())]

    async def stop(self) -> None:
        """Let a flight under way come down, save what is unsaved, and end."""
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        self._watchers = []
        if self._flight is not None:
            await asyncio.wait([self._flight], timeout=PATIENCE)
        if self._unsaved:
            await self._save_unsaved()

    async def read_again(self) -> None:
        """Read the vault again.

        Raises:
            VaultError, SealError: it cannot be read; what is in memory stays.
        """
        async with self._reading:
            while True:
                writes = self._writes
                loaded = await self._vault.load(self.profile)
                if writes == self._writes:  # else it may be older than what was written meanwhile
                    break
            self._vault_trouble = None
            if (loaded.refresh_token, loaded.api_key) != (self._stored.refresh_token, self._stored.api_key):
                self._trouble = None
                self._backoff.succeed()
            self._take(self._reconcile(loaded))

    # --- one flight at a time -------------------------------------------------------------------------

    async def _fly(
        self, demand: Demand, refused: Bearer | None = None, kind: str = ""
    ) -> SidekeyError | None:
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
        before = self._credential.generation
        try:
            async with self._vault.lock(self.profile):
                await self.read_again()
                await self._renew_locked(demand, refused)
        except SidekeyError as error:
            return self._failed(error)
        except Exception:
            self._backoff.fail(self._clock.boot())
            raise
        self._trouble = None
        if self._bearer is None:
            self._backoff.fail(self._clock.boot())
        else:
            self._backoff.succeed()
        if refused is not None and self._credential.generation != before:
            self._disbelief.born(kind, self._credential.generation, instead_of=refused.generation)
        return None

    async def _renew_locked(self, demand: Demand, refused: Bearer | None) -> None:
        credential = self._credential
        if demand is Demand.MISSING and self._bearer is not None:
            return
        if refused is not None:
            if credential.api_key != refused.value:
                return
            credential = replace(credential, key_refused=True)
            await self.keep(credential)
        source = self._sources.get(credential.mode)
        if source is not None:
            self._take(await source.renew(credential, demand, self, refresh_due=self._timing.refresh_due()))

    def _failed(self, error: SidekeyError) -> SidekeyError:
        wish = error.retry_after if isinstance(error, IssuerUnavailable) else None
        self._backoff.fail(self._clock.boot(), wish)
        self._trouble = str(error)
        self._tell()
        log.warning("renewal failed for now", code=error.code, reason=str(error))
        return error

    # --- the journal of a renewal (source.Journal) ----------------------------------------------------

    async def note(self, credential: Credential) -> None:
        """Write the credential durably, or raise VaultUnwritable."""
        self._writes += 1
        await self._vault.save(credential)
        self._writes += 1
        self._stored, self._unsaved = credential, False
        self._take(credential)

    async def keep(self, credential: Credential) -> None:
        """Write the credential if that is possible, and hold it in memory otherwise."""
        self._unsaved = True
        self._hold(credential)
        try:
            await self.note(credential)
        except (VaultError, SealError) as error:
            log.error("the refreshed credential could not be saved", reason=str(error))  # noqa: TRY400
            self._wake.set()
            self._tell()

    def _reconcile(self, loaded: Credential) -> Credential:
        """Return what holds: what was loaded, or the unsaved tokens that came out of just that."""
        if not self._unsaved or loaded.refresh_token != self._stored.refresh_token:
            self._stored, self._unsaved = loaded, False
            return loaded
        mine = self._credential
        return replace(
            mine,
            mode=loaded.mode,
            static_key=loaded.static_key,
            generation=max(mine.generation, loaded.generation),
        )

    async def _save_unsaved(self) -> None:
        try:
            async with self._vault.lock(self.profile):
                await self.read_again()
                if self._unsaved:
                    await self.note(self._credential)
        except SidekeyError as error:
            log.warning("the refreshed credential is still not saved", reason=str(error))
        else:
            log.info("the refreshed credential is saved now")

    # --- following the vault and the time -------------------------------------------------------------

    async def _follow_vault(self) -> None:
        while True:
            await self._vault.changed(self.profile)
            readable = await self._read_quietly()
            while not readable:  # not on a change alone: a keyring may be unlocked, a mode mended
                await asyncio.sleep(SAVE_EVERY)
                readable = await self._read_quietly()
            self._wake.set()

    async def _read_quietly(self) -> bool:
        try:
            await self.read_again()
        except SidekeyError as error:
            log.warning("the vault cannot be read", code=error.code, reason=str(error))
            self._vault_trouble = str(error)
            self._tell()
            return False
        except Exception:  # noqa: BLE001 - the watch goes on
            log.error("reading the vault broke off", trace=traceback.format_exc())  # noqa: TRY400 - see _landed
            return False
        return True

    async def _follow_time(self) -> None:
        while True:
            if self._unsaved and not self._flying():
                await self._save_unsaved()
            elif self._work_is_due():
                with contextlib.suppress(Exception):  # _landed has told
                    await self._fly(Demand.DUE)
            # Not wait_for: before Python 3.12 it can swallow the cancellation that ends this task.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SAVE_EVERY if self._unsaved else LOOK_EVERY):
                    await self._wake.wait()
            self._wake.clear()

    def _work_is_due(self) -> bool:
        source = self._sources.get(self._credential.mode)
        if source is None or self._backoff.holds(self._clock.boot()):
            return False
        return source.wants(self._credential, Demand.DUE, refresh_due=self._timing.refresh_due())

    def _take(self, credential: Credential) -> None:
        if credential.generation != self._credential.generation:
            log.info("bearer", generation=credential.generation, mode=credential.mode)
        self._hold(credential)
        self._tell()

    def _hold(self, credential: Credential) -> None:
        self._credential = credential
        self._bearer = bearer_of(credential)
        self._timing.see(credential)

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
        return NoBearer(
            standing.sentence, state_code=standing.code, transient=standing.transient, remedy=standing.remedy
        )
