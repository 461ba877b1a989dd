"""One refresh, from the open connection to the saved answer: the stretch that nothing may interrupt.

It runs in a critical section (see ``critical_section``): the vault's methods and an issuer of its own are all
that it touches. The order is the point:

    connect      proxy, CA bundle, TCP, TLS: what fails here costs nothing
    lock, read   another process may have been faster
    note         the token's fingerprint: it goes out now, for the nth time
    send         once
    keep         the answer, before anything else is done with it
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Final, Protocol, Self

from .aside import load_with_aside
from .clock import Clock
from .credential import Credential, RefreshNote, TokenSet, with_tokens
from .errors import IssuerRefused, IssuerUnavailable, SealError, SidekeyError, VaultError
from .journal import SAVING, Change, put_aside
from .log import get_logger
from .merge import Unsaved, base_of
from .renewal import (
    Wire,
    answer_lost,
    can_refresh,
    leaves_open,
    left_open,
    note_before_sending,
    refused,
    unanswered,
)
from .secret import Secret
from .vault import Vault

log = get_logger("sidekey.renewal")

LOCK_WAIT: Final = 5.0
"""Seconds to wait for the lock while a connection stands idle; few compete, since a refresh has a claim."""

_PAUSE: Final = 0.5


class RefreshIssuer(Protocol):
    """What a refresh asks of the issuer; see ``issuer.Issuer``. It is used once, and closed."""

    async def refresh(
        self,
        refresh_token: Secret,
        client_id: str,
        *,
        before_sending: Callable[[], Awaitable[None]] | None = None,
    ) -> TokenSet:
        """Trade a refresh token for new tokens."""

    async def __aenter__(self) -> Self:
        """Begin."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a refresh came to.

    Attributes:
        credential: as it stands now; None where nothing was changed, and the vault tells.
        unsaved: what could not be written.
        aside: where that was put, for people.
        error: why there are no new tokens for now.
    """

    credential: Credential | None = None
    unsaved: Unsaved | None = None
    aside: str | None = None
    error: SidekeyError | None = None


async def refresh(
    vault: Vault, issuer: RefreshIssuer, *, profile: str, token: Secret, client_id: str, clock: Clock
) -> Outcome:
    """Refresh a profile's tokens once, unless the vault says that this is done or must not be done.

    Args:
        vault: where the credential is; its lock is not held by the caller.
        issuer: whom the token came from.
        profile: whose credential.
        token: the refresh token to be sent, if it is still the stored one.
        client_id: the client that it was issued to.
        clock: the time.
    """
    async with AsyncExitStack() as held, issuer:
        attempt = _Attempt(vault, profile, token, clock, held)
        try:
            tokens = await issuer.refresh(token, client_id, before_sending=attempt.begin)
        except _Overtaken:
            return Outcome()
        except IssuerRefused as error:
            log.warning("refresh refused", code=error.error_code, status=error.status)
            refusal = error
            return await attempt.keep(lambda noted: refused(noted, token, refusal, clock.wall()))
        except IssuerUnavailable as error:
            outcome = await attempt.keep(_after(error, attempt, token, clock.wall()))
            return replace(outcome, error=error)
        except SidekeyError as error:  # the vault's or a setting's: nothing was sent
            await attempt.take_back()
            return Outcome(error=error)
        outcome = await attempt.keep(lambda noted: with_tokens(noted, tokens, clock.wall()))
        log.info("refreshed", rotated=tokens.refresh_token is not None, id_token=tokens.id_token is not None)
        return outcome


def _after(error: IssuerUnavailable, attempt: _Attempt, token: Secret, now: float) -> Change:
    if leaves_open(error):
        return lambda noted: left_open(noted, attempt.before, token, now=now)
    wire = _wire(error)
    return lambda noted: unanswered(noted, attempt.before, token, wire=wire, now=now)


def _wire(error: IssuerUnavailable) -> Wire:
    if error.answered:
        return Wire.ANSWERED
    return Wire.UNANSWERED if error.sent else Wire.NOT_SENT


class _Overtaken(Exception):
    """The stored credential is not the one that this refresh was meant for."""


class _Attempt:
    """The vault's side of one refresh."""

    def __init__(self, vault: Vault, profile: str, token: Secret, clock: Clock, held: AsyncExitStack) -> None:
        self._vault = vault
        self._profile = profile
        self._token = token
        self._clock = clock
        self._held = held
        self._noted: Credential | None = None
        self.before: RefreshNote | None = None

    async def begin(self) -> None:
        """Take the lock, read again, and write the note: the last moment before the first byte."""
        await self._held.enter_async_context(self._vault.lock(self._profile, timeout=LOCK_WAIT))
        stored = await load_with_aside(self._vault, self._profile)
        if stored.refresh_token != self._token or not can_refresh(stored):
            raise _Overtaken
        note = note_before_sending(stored, self._token, self._clock.wall())
        if note is None:
            await self._vault.save(answer_lost(stored, self._token, self._clock.wall()))
            raise _Overtaken
        # Before the saving: also a note that was written against all expectation can be taken back.
        self.before, self._noted = stored.note, replace(stored, note=note)
        await self._vault.save(self._noted)

    async def take_back(self) -> None:
        """Put the note before back, if one was written after all."""
        if self._noted is None:
            return
        with contextlib.suppress(VaultError, SealError):
            stored = await self._vault.load(self._profile)
            if stored.note == self._noted.note:
                await self._vault.save(replace(stored, note=self.before))

    async def keep(self, make: Change) -> Outcome:
        """Write what came out: into the vault, else aside, else it is the caller's to hold."""
        noted = self._noted
        if noted is None:
            return Outcome()
        result = make(noted)
        precious = result.refresh_token != noted.refresh_token
        record = Unsaved(base_of(noted), result)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + (SAVING if precious else 0.0)
        while True:
            try:
                await self._vault.save(result)
                return Outcome(result)
            except Exception as error:  # noqa: BLE001 - whatever it is, the answer came only once
                log.error("the refreshed credential could not be saved", reason=str(error))  # noqa: TRY400
            aside = await put_aside(self._vault, record) if precious else None
            if aside is not None or loop.time() >= deadline:
                return Outcome(result, record, aside)
            await asyncio.sleep(_PAUSE)
