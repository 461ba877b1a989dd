"""The sandbox itself: one local server that is issuer and API, started and stopped in one line."""

from __future__ import annotations

import secrets
from types import TracebackType
from typing import Any, Final, Self

from aiohttp import web

from sidekey_auth.credential import TokenSet
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_auth.server_log import server_log

from . import authorize, control, device, issuer
from .api import Api
from .authorize import AuthorizeEndpoint
from .device import DeviceEndpoints
from .events import Event, EventLog, Kind
from .faults import Faults
from .issued import Issued
from .issuer import IssuerEndpoints
from .mint import Mint
from .settings import SandboxAccount, SandboxSettings
from .token_endpoint import TokenEndpoint
from .tokens import KeyRing
from .wire import Hold

TOKEN: Final = "/oauth/token"  # noqa: S105 - a path
_LARGEST_BODY: Final = 64 * 1024 * 1024


class Sandbox:
    """A stand-in for OpenAI's issuer and API, on loopback, with nothing real behind it.

    ``async with Sandbox() as sandbox:`` serves until the block ends; ``start`` and ``stop`` do the same by
    hand. All of it belongs to the event loop that started it.

    Args:
        settings: how it behaves; the default where None.

    Attributes:
        account: who signs in from now on.
        faults: what goes wrong from now on.
        events: what it has seen.
        control_token: what its control endpoint asks for.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.account = self.settings.account
        self.faults = Faults(self.settings.faults)
        self.events = EventLog(self.settings.remembered_events)
        self._hold = Hold(self.events)
        self._keys = KeyRing()
        self._issued = Issued(self.settings.api_keys, refresh_lifetime=self.settings.refresh_lifetime)
        self.control_token = self.settings.control_token or Secret(secrets.token_urlsafe(32))
        self._issued.noted(self.control_token.reveal())
        self._mint = Mint(self.settings, self._keys, self._issued, self.faults)
        self._base_url = ""
        self._runner: web.AppRunner | None = None
        self._api = Api(
            self.settings,
            keys=self._keys,
            issued=self._issued,
            faults=self.faults,
            events=self.events,
            hold=self._hold,
            issuer=lambda: self.issuer,
        )
        self._devices = DeviceEndpoints(
            self.settings,
            account=lambda: self.account,
            issued=self._issued,
            faults=self.faults,
            events=self.events,
            issuer=lambda: self.issuer,
        )

    # --- life ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen.

        Raises:
            ConfigurationError: the port is taken.
        """
        runner = web.AppRunner(
            self._application(),
            access_log=None,
            logger=server_log("sandbox"),
            shutdown_timeout=0.1,
            handler_cancellation=True,
            auto_decompress=False,
        )
        await runner.setup()
        site = web.TCPSite(runner, self.settings.host, self.settings.port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            await runner.cleanup()
            raise ConfigurationError(
                f"the sandbox cannot listen on {self.settings.host}:{self.settings.port}: {error.strerror}",
                remedy="Choose another port, or 0 for a free one.",
            ) from None
        self._runner = runner
        host, port = runner.addresses[0][:2]
        self._base_url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        self._mint.issuer = self._base_url

    async def stop(self) -> None:
        """Stop listening and let go of everybody, hung requests included."""
        self._hold.release()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        self._api.operations.files.close()

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=_LARGEST_BODY)
        tokens = TokenEndpoint(
            self.settings,
            keys=self._keys,
            issued=self._issued,
            mint=self._mint,
            faults=self.faults,
            events=self.events,
            hold=self._hold,
        )
        small = IssuerEndpoints(keys=self._keys, issued=self._issued, faults=self.faults, events=self.events)
        asking = AuthorizeEndpoint(
            self.settings,
            account=lambda: self.account,
            issued=self._issued,
            faults=self.faults,
            events=self.events,
        )
        app.router.add_route("*", "/v1/{rest:.*}", self._api.handle)
        app.router.add_post(TOKEN, tokens.handle)
        app.router.add_get(authorize.AUTHORIZE, asking.show, allow_head=False)
        app.router.add_post(authorize.DECIDE, asking.decide)
        app.router.add_get(issuer.JWKS, small.jwks)
        app.router.add_post(issuer.REVOKE, small.revoke)
        app.router.add_post(device.USERCODE, self._devices.usercode)
        app.router.add_post(device.TOKEN, self._devices.token)
        app.router.add_get(device.PAGE, self._devices.show)
        app.router.add_post(device.PAGE, self._devices.decide)
        app.router.add_post(control.PATH, control.ControlEndpoint(self).handle)
        return app

    # --- where it is --------------------------------------------------------------------------------------

    @property
    def base_url(self) -> str:
        """Such as ``http://127.0.0.1:40123``."""
        return self._base_url

    @property
    def issuer(self) -> str:
        """The issuer's address; the same server."""
        return self._base_url

    @property
    def upstream(self) -> str:
        """The API's base URL, ``/v1`` included."""
        return f"{self._base_url}/v1"

    @property
    def client_id(self) -> str:
        """The OAuth client that is registered first."""
        return self.settings.client_ids[0]

    # --- what can be done by hand -------------------------------------------------------------------------

    def sign_in(self, account: SandboxAccount | None = None, *, client_id: str | None = None) -> TokenSet:
        """Return tokens as after a sign-in.

        Args:
            account: of whom; ``self.account`` where None.
            client_id: for which client; the first one where None.
        """
        session = self._mint.session(account or self.account, client_id or self.client_id)
        fields = self._mint.tokens(session)
        return TokenSet(
            id_token=Secret(fields["id_token"]),
            access_token=Secret(fields["access_token"]),
            refresh_token=Secret(fields["refresh_token"]),
        )

    def id_token(
        self,
        *,
        lifetime: float = 3600.0,
        account: SandboxAccount | None = None,
        client_id: str | None = None,
        forged: bool = False,
        **claims: Any,
    ) -> Secret:
        """Return an id_token, an odd one if wished.

        Args:
            lifetime: seconds; negative makes an expired one.
            account: of whom; ``self.account`` where None.
            client_id: its audience; the first client where None.
            forged: signed with a key that is not the issuer's, under the issuer's kid.
            **claims: replace claims at the top; None leaves one out.
        """
        session = self._mint.session(account or self.account, client_id or self.client_id)
        return Secret(self._mint.id_token(session, lifetime=lifetime, forged=forged, claims=claims))

    def issue_key(self) -> Secret:
        """Return a fresh API key."""
        return Secret(self._issued.new_key())

    def revoke_key(self, key: Secret) -> None:
        """Let the API refuse a key from now on."""
        self._issued.revoke_key(key.reveal())

    def revoke_all_keys(self) -> None:
        """Let the API refuse all keys of now."""
        self._issued.revoke_all_keys()

    def knows(self, refresh_token: Secret) -> bool:
        """Return whether a refresh token is good: known, not spent, not revoked."""
        return self._issued.knows(refresh_token.reveal())

    def expire_refresh_token(self, refresh_token: Secret) -> None:
        """Let a refresh token have expired."""
        self._issued.expire_refresh_token(refresh_token.reveal())

    def revoke_refresh_token(self, refresh_token: Secret) -> None:
        """Let a refresh token be revoked, as a sign-out elsewhere does."""
        self._issued.revoke(refresh_token.reveal())

    def rotate_signing_key(self, *, keep_old: bool = True) -> str:
        """Sign with a new key from now on, and return its kid.

        Args:
            keep_old: leave the old ones in the JWKS.
        """
        return self._keys.rotate(keep_old=keep_old)

    def approve_device(self, user_code: str) -> bool:
        """Say yes to a waiting device, as its page does; returns whether there was one."""
        return self._devices.settle(user_code)

    def deny_device(self, user_code: str) -> bool:
        """Say no to a waiting device."""
        return self._devices.settle(user_code, approve=False)

    def release(self) -> None:
        """End what hangs: their connections close without an answer."""
        self._hold.release()

    # --- what can be seen ---------------------------------------------------------------------------------

    async def wait_for(self, kind: Kind, count: int = 1, *, timeout: float = 10.0) -> Event:
        """Return the newest event of a kind as soon as there have been ``count`` of them.

        Raises:
            TimeoutError: they did not come within ``timeout`` seconds.
        """
        return await self.events.wait_for(kind, count, timeout=timeout)

    def issued_secrets(self) -> tuple[Secret, ...]:
        """Return every secret it ever issued: codes, verifiers, tokens, keys, and its control token."""
        return self._issued.secrets()
