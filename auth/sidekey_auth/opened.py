"""The library's face: a credential that a program asks for a bearer, without any proxy.

::

    async with open_credential() as credential:
        bearer = await credential.fresh(for_url="https://api.openai.com/v1/models")

It uses the same vault as the command ``sidekey``, so ``sidekey login`` signs in for both. The environment
variables are the command's; its configuration file is not read.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, get_args

from .broker import Broker
from .clock import SystemClock
from .credential import DEFAULT_PROFILE, Bearer, Credential, Mode, checked_profile
from .errors import BearerNotAllowed, ConfigurationError, CredentialUnsaved
from .issuer_settings import CLIENT_ID, ISSUER, IssuerSettings
from .key_name import TEMPLATE
from .log import get_logger
from .renewal import ExchangePolicy
from .source import Source
from .sources.chatgpt import ChatGptSource
from .sources.static import StaticSource
from .states import Standing
from .timing import Timing
from .upstream import (
    DEFAULT_UPSTREAM,
    Origin,
    UpstreamBase,
    bearer_may_go,
    may_carry,
    parse_allowed,
    parse_base,
)
from .vaults.file import FileVault, open_vault

if TYPE_CHECKING:
    from .issuer import Issuer, Issuers

log = get_logger("sidekey.library")

REFRESH_MARGIN: Final = 300.0
"""Seconds before an id_token's expiry at which it is refreshed."""


def open_credential(
    profile: str | None = None, *, environ: Mapping[str, str] | None = None
) -> OpenCredential:
    """Return a profile's credential, to be used with ``async with``; nothing is read yet.

    Args:
        profile: whose credential; ``SIDEKEY_PROFILE``, else ``default``, where it is left out.
        environ: the environment; the process's own where it is left out. The variables are SIDEKEY_HOME,
            SIDEKEY_STATE_HOME, SIDEKEY_SEAL_KEY, SIDEKEY_SEAL_KEY_FILE, SIDEKEY_PROFILE, SIDEKEY_ISSUER,
            SIDEKEY_CLIENT_ID, SIDEKEY_ALLOWED_ISSUERS, SIDEKEY_CA_BUNDLE, SIDEKEY_KEY_NAME, SIDEKEY_EXCHANGE,
            SIDEKEY_REFRESH_MARGIN (seconds), SIDEKEY_UPSTREAM and SIDEKEY_ALLOW_UPSTREAM.

    Raises:
        ConfigurationError, SealError: the environment makes no sense.
    """
    surroundings = dict(os.environ if environ is None else environ)
    return OpenCredential(_settings(profile, surroundings), surroundings)


def bearer(
    profile: str | None = None, *, for_url: str | None = None, environ: Mapping[str, str] | None = None
) -> Bearer:
    """Return a fresh bearer, for programs without an event loop; it waits for a renewal that is due.

    Args:
        profile: whose; see ``open_credential``.
        for_url: the address that it is to be sent to.
        environ: the environment; see ``open_credential``.

    Raises:
        NoBearer: there is none; ``transient`` tells whether one may come by itself.
        BearerNotAllowed: it may not go to that address.
        VaultError, SealError, ConfigurationError: the credential cannot be read.
        RuntimeError: it was called in an event loop, which it would hold up.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_bearer(profile, for_url, environ))
    raise RuntimeError("sidekey_auth.bearer() would hold up the event loop: use open_credential() in it")


async def _bearer(profile: str | None, for_url: str | None, environ: Mapping[str, str] | None) -> Bearer:
    async with open_credential(profile, environ=environ) as credential:
        return await credential.fresh(for_url=for_url)


class OpenCredential:
    """A profile's credential. It may be used in several event loops, and should be closed in each.

    A program that ends without closing loses nothing: a refresh that was sent is waited for and saved.
    """

    def __init__(self, settings: _Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        # Not by weak references: a part's tasks refer to their loop, so none would ever go.
        self._parts: dict[asyncio.AbstractEventLoop, _Part] = {}

    async def __aenter__(self) -> Self:
        await (await self._part()).ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def fresh(self, *, for_url: str | None = None) -> Bearer:
        """Return a bearer, after a renewal that is due; one that still works is returned though that fails.

        Args:
            for_url: the address that it is to be sent to.

        Raises:
            NoBearer: there is none; ``transient`` tells whether one may come by itself.
            BearerNotAllowed: it may not go to that address.
            VaultError, SealError: the credential cannot be read.
        """
        broker = await (await self._part()).ready()
        await broker.look()
        await broker.renew_due()
        found = await broker.obtain()
        self._check(found, for_url)
        return found

    async def refused(
        self, bearer: Bearer, *, error_code: str = "", for_url: str | None = None
    ) -> Bearer | None:
        """Tell that the API answered 401 to a bearer, and return another one, or None where there is none.

        Args:
            bearer: the refused one.
            error_code: the 401's own code, if it had one.
            for_url: the address that the other one is to be sent to.

        Raises:
            BearerNotAllowed: the other one may not go to that address.
            VaultError, SealError: the credential cannot be read.
        """
        broker = await (await self._part()).ready()
        found = await broker.refused(bearer, error_code)
        if found is not None:
            self._check(found, for_url)
        return found

    async def accepted(self, bearer: Bearer) -> None:
        """Tell that the API let a request with this bearer pass: wrong refusals are forgotten then."""
        (await (await self._part()).ready()).accepted(bearer)

    async def standing(self) -> Standing:
        """Return how the credential stands, as ``sidekey status`` tells it."""
        broker = await (await self._part()).ready()
        await broker.look()
        return broker.standing()

    async def api_key(self) -> str:
        """Return a fresh bearer in plain text, for ``AsyncOpenAI(api_key=credential.api_key)``.

        From then on the program guards it. It is meant for the configured upstream.

        Raises:
            NoBearer, BearerNotAllowed, VaultError, SealError: as for ``fresh``.
        """
        return (await self.fresh(for_url=str(self._settings.upstream))).value.reveal()

    async def close(self) -> None:
        """Begin nothing more in this event loop, and wait until a refresh that was sent is saved.

        Raises:
            CredentialUnsaved: its answer could be kept nowhere.
        """
        part = self._parts.pop(asyncio.get_running_loop(), None)
        if part is not None:
            await part.close()

    def _check(self, found: Bearer, url: str | None) -> None:
        chosen = self._settings
        if url is not None and not bearer_may_go(
            url, found.origin, upstream=chosen.upstream.origin, allowed=chosen.allowed
        ):
            raise BearerNotAllowed(url.partition("?")[0])

    async def _part(self) -> _Part:
        loop = asyncio.get_running_loop()
        part = self._parts.get(loop)
        if part is None:
            for other in list(self._parts):  # a copy: another thread may open a part meanwhile
                if other.is_closed():
                    self._parts.pop(other, None)
            part = self._parts[loop] = _Part(self._settings, open_vault(self._environ))
        return part


class _Part:
    """What belongs to one event loop: the broker and its connections."""

    def __init__(self, settings: _Settings, vault: FileVault) -> None:
        clock = SystemClock()
        timing = Timing(clock, settings.refresh_margin)
        self._issuers = _Issuers(settings.issuer)
        source = ChatGptSource(self._issuers, settings.issuer.client_id, settings.exchange, timing, clock)
        sources: dict[Mode, Source] = {"chatgpt": source, "api_key": StaticSource()}
        self._vault = vault
        self._broker = Broker(
            vault, sources, profile=settings.profile, timing=timing, clock=clock, carries=settings.carries
        )
        self._starting = asyncio.Lock()
        self._started = False

    async def ready(self) -> Broker:
        async with self._starting:
            if not self._started:
                await self._broker.start()
                self._started = True
        return self._broker

    async def close(self) -> None:
        try:
            await self._broker.stop()
        except CredentialUnsaved as error:
            if error.aside is None:
                raise
            log.warning("the refreshed credential is kept beside the vault", reason=str(error))
        finally:
            await self._issuers.close()
            await self._vault.close()


class _Issuers:
    """Issuers that are made when something is to be renewed: aiohttp takes longer to import than all else."""

    def __init__(self, settings: IssuerSettings) -> None:
        self._settings = settings
        self._made: Issuers | None = None

    async def of(self, credential: Credential) -> Issuer:
        return await self._all().of(credential)

    def apart(self, credential: Credential) -> Issuer:
        return self._all().apart(credential)

    async def close(self) -> None:
        if self._made is not None:
            await self._made.close()

    def _all(self) -> Issuers:
        if self._made is None:
            from .issuer import Issuers  # noqa: PLC0415 - see the class

            self._made = Issuers(self._settings)
        return self._made


# --- settings ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Settings:
    profile: str
    issuer: IssuerSettings
    exchange: ExchangePolicy
    refresh_margin: float
    upstream: UpstreamBase
    allowed: frozenset[Origin]

    def carries(self, bearer: Bearer) -> bool:
        """Tell whether a bearer may go to the configured upstream."""
        return may_carry(self.upstream.origin, bearer.origin, self.allowed)


def _settings(profile: str | None, environ: Mapping[str, str]) -> _Settings:
    def named(name: str, default: str) -> str:
        return environ.get(f"SIDEKEY_{name}") or default

    bundle = environ.get("SIDEKEY_CA_BUNDLE")
    issuer = IssuerSettings(
        issuer=named("ISSUER", ISSUER),
        client_id=named("CLIENT_ID", CLIENT_ID),
        allowed_issuers=_list(named("ALLOWED_ISSUERS", "")),
        ca_bundle=Path(bundle) if bundle else None,
        key_name=named("KEY_NAME", TEMPLATE),
    )
    try:
        upstream = parse_base(named("UPSTREAM", DEFAULT_UPSTREAM))
        allowed = frozenset(parse_allowed(entry) for entry in _list(named("ALLOW_UPSTREAM", "")))
    except ValueError as error:
        raise ConfigurationError(f"SIDEKEY_UPSTREAM or SIDEKEY_ALLOW_UPSTREAM: {error}") from None
    return _Settings(
        profile=checked_profile(profile or named("PROFILE", DEFAULT_PROFILE)),
        issuer=issuer,
        exchange=_exchange(named("EXCHANGE", "always")),
        refresh_margin=_seconds(named("REFRESH_MARGIN", str(REFRESH_MARGIN))),
        upstream=upstream,
        allowed=allowed,
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(entry.strip() for entry in text.split(",") if entry.strip())


def _exchange(text: str) -> ExchangePolicy:
    found: ExchangePolicy | None = next((each for each in get_args(ExchangePolicy) if each == text), None)
    if found is None:
        raise ConfigurationError("SIDEKEY_EXCHANGE is neither always nor when-refused")
    return found


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigurationError("SIDEKEY_REFRESH_MARGIN is not a number of seconds")
    return seconds
