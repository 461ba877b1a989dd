"""Who the issuer is and how it is spoken to: the one place of every literal of the protocol. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from .errors import ConfigurationError
from .key_name import TEMPLATE, checked_template

ISSUER: Final = "https://auth.openai.com"
CLIENT_ID: Final = "app_EMoamEEZ73f0CkXaXp7hrann"
SCOPE: Final = "openid profile email offline_access"
ORIGINATOR: Final = "codex_cli_rs"
CALLBACK_PORTS: Final = (1455, 1457)
"""Only these two are registered for the client id."""

AUTHORIZE_PATH: Final = "/oauth/authorize"
TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
REVOKE_PATH: Final = "/oauth/revoke"
JWKS_PATH: Final = "/.well-known/jwks.json"
DEVICE_CODE_PATH: Final = "/api/accounts/deviceauth/usercode"
DEVICE_TOKEN_PATH: Final = "/api/accounts/deviceauth/token"  # noqa: S105 - a path
DEVICE_PAGE_PATH: Final = "/codex/device"
DEVICE_REDIRECT_PATH: Final = "/deviceauth/callback"
CALLBACK_PATH: Final = "/auth/callback"

TOKEN_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693's name
ID_TOKEN_TYPE: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - RFC 8693's name
REQUESTED_KEY: Final = "openai-api-key"
PLATFORM: Final = "https://platform.openai.com/"
API_KEYS: Final = "https://platform.openai.com/api-keys"
"""Where people delete their keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuerSettings:
    """Everything about signing in that a person may decide.

    Attributes:
        issuer: the OAuth server's address; a slash at its end does not matter.
        client_id: whom we sign in as.
        scope: what is asked for, separated by spaces.
        originator: named in the authorize URL; empty leaves it out.
        allowed_workspace_id: workspaces one may sign in to; none means any.
        allowed_issuers: further issuers that a credential or an auth.json may name.
        redirect_host: the host in the redirect_uri.
        ports: of the callback server, tried in turn; 0 takes a free one, for issuers that accept it.
        callback_timeout: seconds that a sign-in waits for the browser.
        device_timeout: seconds that a device code lives.
        request_timeout: seconds for one request to the issuer, all of it.
        connect_timeout: seconds until a connection stands.
        revoke_timeout: seconds that a sign-out waits for the issuer.
        attempts: how often what may be repeated is tried in all.
        retry_wait: seconds before the first repetition, doubled each time; as much jitter comes on top.
        leeway: seconds that the issuer's clock and ours may differ.
        keep_keys: seconds after which the issuer's public keys are fetched again.
        ca_bundle: a PEM file of certificate authorities to trust instead of the system's.
        user_agent: what requests to the issuer call themselves.
        key_name: what an exchanged key is called, with placeholders (see ``key_name``); empty sends no name.
    """

    issuer: str = ISSUER
    client_id: str = CLIENT_ID
    scope: str = SCOPE
    originator: str = ORIGINATOR
    allowed_workspace_id: tuple[str, ...] = ()
    allowed_issuers: tuple[str, ...] = ()
    redirect_host: str = "localhost"
    ports: tuple[int, ...] = CALLBACK_PORTS
    callback_timeout: float = 300.0
    device_timeout: float = 900.0
    request_timeout: float = 30.0
    connect_timeout: float = 10.0
    revoke_timeout: float = 10.0
    attempts: int = 3
    retry_wait: float = 0.5
    leeway: float = 60.0
    keep_keys: float = 3600.0
    ca_bundle: Path | None = None
    user_agent: str = "sidekey"
    key_name: str = TEMPLATE

    def __post_init__(self) -> None:
        check_address(self.issuer)
        if not self.ports:
            raise ConfigurationError("a sign-in needs at least one callback port")
        try:
            checked_template(self.key_name)
        except ValueError as error:
            raise ConfigurationError(f"a key cannot be called {self.key_name!r}: {error}") from None

    def url(self, path: str) -> str:
        """Return the address of one of the issuer's endpoints."""
        return self.issuer.rstrip("/") + path

    def allows(self, issuer: str) -> bool:
        """Return whether tokens may be sent to an issuer: ours, or one of the allowed ones."""
        return issuer.rstrip("/") in {own.rstrip("/") for own in (self.issuer, *self.allowed_issuers)}

    def at(self, issuer: str | None) -> IssuerSettings:
        """Return the settings for the issuer that a credential names; None means ours.

        Raises:
            ConfigurationError: tokens may not be sent there.
        """
        if issuer is None or issuer.rstrip("/") == self.issuer.rstrip("/"):
            return self
        if not self.allows(issuer):
            raise ConfigurationError(
                f"the stored sign-in is from {issuer!r}, which is neither the issuer nor an allowed one",
                remedy="Run `sidekey login`, or name it in the setting allowed_issuers.",
            )
        return replace(self, issuer=issuer)


def check_address(issuer: str) -> None:
    """Insist that tokens can be sent to an issuer's address: https, or http on this machine.

    Raises:
        ConfigurationError: they cannot.
    """
    try:
        parts = urlsplit(issuer)
        _ = parts.port
    except ValueError:
        raise ConfigurationError(f"the issuer {issuer!r} is not a URL") from None
    odd = parts.query or parts.fragment or parts.username is not None or parts.password is not None
    if parts.scheme not in {"https", "http"} or not parts.hostname or odd:
        raise ConfigurationError(f"the issuer {issuer!r} is not a URL such as {ISSUER}")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ConfigurationError(
            f"the issuer {issuer!r} would get tokens in the clear", remedy="Use its https:// address."
        )


def is_loopback(host: str) -> bool:
    """Return whether a host, an address without brackets or a name, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
