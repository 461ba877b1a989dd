"""The issuer's OAuth endpoints: code exchange, key exchange, refresh, revoke, device code, public keys.

``Issuer`` does the asking, ``issuer_answers`` decides what an answer means. A refresh is sent once and never
repeated here: the rule of the lost answer is the broker's. A code is sent again only where no byte of the
first request can have left. What may be repeated freely is, a few times, with jitter, on transient failures.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Self, TypeVar

from . import issuer_answers as answers
from .claims import Claims
from .clock import Clock, SystemClock
from .credential import Credential, TokenSet
from .errors import IssuerUnavailable, KeyNameRefused
from .id_token import key_id, verify
from .issuer_answers import DeviceGrant, DeviceStart
from .issuer_failures import Answer, worth_repeating
from .issuer_settings import (
    DEVICE_CODE_PATH,
    DEVICE_REDIRECT_PATH,
    DEVICE_TOKEN_PATH,
    ID_TOKEN_TYPE,
    JWKS_PATH,
    REQUESTED_KEY,
    REVOKE_PATH,
    TOKEN_EXCHANGE_GRANT,
    TOKEN_PATH,
    IssuerSettings,
)
from .jwks import KeySet, KeySetCache
from .key_name import key_name
from .made_keys import NewKey
from .outbound import BeforeSending, Outbound
from .retries import repeated
from .secret import Secret

T = TypeVar("T")


class Issuer:
    """One OAuth server. It is to be closed: by hand or with ``async with``.

    Args:
        settings: where it is, who we are, how patient we are.
        clock: the time.
    """

    def __init__(self, settings: IssuerSettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock or SystemClock()
        self._outbound = Outbound(
            connect_timeout=settings.connect_timeout,
            request_timeout=settings.request_timeout,
            ca_bundle=settings.ca_bundle,
            user_agent=settings.user_agent,
            clock=self._clock,
        )
        self._keys = KeySetCache(self.jwks, clock=self._clock, keep=settings.keep_keys)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        await self._outbound.close()

    # --- the token endpoint -------------------------------------------------------------------------------

    async def exchange_code(self, code: Secret, redirect_uri: str, verifier: Secret) -> TokenSet:
        """Exchange an authorization code for all three tokens (RFC 6749 section 4.1.3, RFC 7636 section 4.5).

        Raises:
            IssuerRefused, IssuerUnavailable: no.
        """

        async def send() -> TokenSet:
            answer = await self._outbound.request(
                self.settings.url(TOKEN_PATH),
                what="the code could not be exchanged",
                form={
                    "grant_type": "authorization_code",
                    "client_id": self.settings.client_id,
                    "code": code,
                    "redirect_uri": redirect_uri,
                    "code_verifier": verifier,
                },
            )
            return answers.tokens_of_code(answer, (code, verifier))

        return await self._trying(send, again=_nothing_was_sent)

    async def exchange_key(self, id_token: Secret, client_id: str, *, name: str | None = None) -> NewKey:
        """Exchange an id_token for an API key (RFC 8693, with OpenAI's ``requested_token`` and ``name``).

        Where the issuer does not take the name, and says so, it is asked once more without. Any other
        failure is not tried without: that could make a second key.

        Args:
            id_token: not expired.
            client_id: its audience.
            name: what the key is to be called; None leaves that to the issuer.

        Raises:
            NoPlatformKey: the account has no Platform organisation.
            KeyRefused: a policy of the organisation stands in the way.
            IssuerRefused, IssuerUnavailable: no.
        """
        try:
            return NewKey(await self._exchanged(id_token, client_id, name), name)
        except KeyNameRefused:
            return NewKey(await self._exchanged(id_token, client_id, None))

    async def _exchanged(self, id_token: Secret, client_id: str, name: str | None) -> Secret:
        named = {"name": name} if name else {}

        async def send() -> Secret:
            answer = await self._outbound.request(
                self.settings.url(TOKEN_PATH),
                what="the sign-in could not be exchanged for an API key",
                form={
                    "grant_type": TOKEN_EXCHANGE_GRANT,
                    "client_id": client_id,
                    "requested_token": REQUESTED_KEY,
                    "subject_token": id_token,
                    "subject_token_type": ID_TOKEN_TYPE,
                    **named,
                },
            )
            return answers.traded_key(answer, (id_token,), name=name)

        return await self._trying(send)

    def key_name(self, profile: str) -> str | None:
        """Return what a key that is made now for a profile is called, or None where the setting is empty."""
        return key_name(
            self.settings.key_name, host=socket.gethostname(), profile=profile, now=self._clock.wall()
        )

    async def refresh(
        self, refresh_token: Secret, client_id: str, *, before_sending: BeforeSending | None = None
    ) -> TokenSet:
        """Trade a refresh token for new tokens (RFC 6749 section 6, as JSON); sent once, never repeated.

        Args:
            refresh_token: works once.
            client_id: the client that it was issued to.
            before_sending: called when the connection stands, before the first byte; what it raises is
                raised here, and nothing was sent then.

        Raises:
            IssuerRefused: for good.
            IssuerUnavailable: for now; ``sent`` and ``answered`` tell what may have become of the token.
        """
        answer = await self._outbound.request(
            self.settings.url(TOKEN_PATH),
            what="the refresh failed",
            document={
                "client_id": client_id,
                "grant_type": "refresh_token",
                "refresh_token": refresh_token,
            },
            before_sending=before_sending,
        )
        return answers.tokens_of_refresh(answer, (refresh_token,))

    async def revoke(self, refresh_token: Secret, client_id: str) -> None:
        """Revoke a refresh token and with it the sign-in (RFC 7009 section 2.1, as JSON).

        Raises:
            IssuerRefused, IssuerUnavailable: it was not revoked.
        """
        answer = await self._outbound.request(
            self.settings.url(REVOKE_PATH),
            what="the sign-in was not revoked",
            document={
                "token": refresh_token,
                "token_type_hint": "refresh_token",
                "client_id": client_id,
            },
            timeout=self.settings.revoke_timeout,
        )
        answers.check_revoked(answer, (refresh_token,))

    # --- the device code ----------------------------------------------------------------------------------

    async def start_device(self) -> DeviceStart:
        """Return a fresh device code.

        Raises:
            DeviceCodeUnavailable: not for this account.
            IssuerRefused, IssuerUnavailable: no.
        """

        async def send() -> DeviceStart:
            return answers.device_start(
                await self._outbound.request(
                    self.settings.url(DEVICE_CODE_PATH),
                    what="there is no device code",
                    document={"client_id": self.settings.client_id},
                )
            )

        return await self._trying(send)

    async def poll_device(self, start: DeviceStart) -> DeviceGrant | None:
        """Return what the device code turned into, or None while its person has not been there; asked once.

        Raises:
            IssuerRefused: no, and there is no use in asking again.
            IssuerUnavailable: not this time; the code lives on.
        """
        answer = await self._outbound.request(
            self.settings.url(DEVICE_TOKEN_PATH),
            what="the device code was not confirmed",
            document={
                "device_auth_id": start.device_auth_id,
                "user_code": start.user_code,
            },
        )
        return answers.device_grant(answer, (start.device_auth_id,))

    def device_redirect_uri(self) -> str:
        """Return the redirect_uri that a device code's code is exchanged with."""
        return self.settings.url(DEVICE_REDIRECT_PATH)

    # --- who somebody is ----------------------------------------------------------------------------------

    async def jwks(self) -> KeySet:
        """Fetch the issuer's public keys (RFC 7517).

        Raises:
            IssuerUnavailable: they cannot be had for now.
        """

        async def send() -> KeySet:
            answer: Answer = await self._outbound.request(
                self.settings.url(JWKS_PATH), what="the issuer's public keys cannot be had"
            )
            return answers.key_set(answer)

        return await self._trying(send)

    async def verify(self, id_token: Secret, client_id: str) -> Claims:
        """Check an id_token against the issuer's keys and return its claims.

        Args:
            id_token: as it came.
            client_id: its audience.

        Raises:
            IdTokenInvalid: it is not what it should be.
            IssuerUnavailable: the keys cannot be had for now.
        """
        keys = await self._keys.candidates(key_id(id_token))
        return verify(
            id_token,
            keys,
            issuer=self.settings.issuer,
            audience=client_id,
            leeway=self.settings.leeway,
            now=self._clock.wall(),
        )

    async def _trying(
        self,
        send: Callable[[], Awaitable[T]],
        *,
        again: Callable[[Exception], bool] = worth_repeating,
    ) -> T:
        return await repeated(send, again, attempts=self.settings.attempts, pause=self.settings.retry_wait)


def _nothing_was_sent(error: Exception) -> bool:
    return isinstance(error, IssuerUnavailable) and not error.sent


class Issuers:
    """The issuers that credentials came from, each made when it is first needed; to be closed.

    Args:
        settings: of the usual one; which others are allowed stands there, too.
        clock: the time.
    """

    def __init__(self, settings: IssuerSettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._open: dict[str, Issuer] = {}
        self._left: list[Issuer] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        issuers = [*self._left, *self._open.values()]
        self._left, self._open = [], {}
        for issuer in issuers:
            await issuer.close()

    def change(self, settings: IssuerSettings) -> None:
        """Ask with other settings from now on; what is under way ends as it began."""
        if settings != self.settings:
            self._left += self._open.values()
            self._open = {}
            self.settings = settings

    def apart(self, credential: Credential) -> Issuer:
        """Return a client of a credential's issuer that shares nothing with the others; it is to be closed.

        A refresh runs in an event loop of its own, where a connection of this one is of no use.

        Raises:
            ConfigurationError: tokens may not be sent there.
        """
        return Issuer(self.settings.at(credential.issuer), clock=self._clock)

    async def of(self, credential: Credential) -> Issuer:
        """Return the issuer that a credential's tokens came from.

        Raises:
            ConfigurationError: tokens may not be sent there.
        """
        settings = self.settings.at(credential.issuer)
        if settings.issuer not in self._open:
            self._open[settings.issuer] = Issuer(settings, clock=self._clock)
        return self._open[settings.issuer]
