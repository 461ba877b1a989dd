"""Every setting: its name, default, kind and one sentence about it. Pure.

A setting has one name everywhere: ``callback_timeout`` in the file is ``SIDEKEY_CALLBACK_TIMEOUT`` in the
environment, and ``--callback-timeout`` where a command has a flag for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, Literal

from sidekey_auth.credential import DEFAULT_PROFILE
from sidekey_auth.issuer_settings import CALLBACK_PORTS, CLIENT_ID, ISSUER, ORIGINATOR, SCOPE
from sidekey_auth.key_name import TEMPLATE
from sidekey_auth.upstream import DEFAULT_UPSTREAM, Origin, parse_allowed
from sidekey_proxy.addresses import LOOPBACK_HOST, Address, ListenAddress

from . import setting_kinds as kinds
from .setting_kinds import Kind

Exchange = Literal["always", "when-refused"]
LogLevel = Literal["debug", "info", "warning", "error"]
LogFormat = Literal["auto", "console", "json"]

VARIABLE_PREFIX: Final = "SIDEKEY_"
_FLAGS: Final = {"client_key_required": "--no-client-key"}


def _about(kind: Kind[Any], says: str) -> dict[str, Any]:
    return {"kind": kind, "says": says}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a person may decide; the sentences beside each are its documentation."""

    listen: tuple[ListenAddress, ...] = field(
        default=(Address(LOOPBACK_HOST, 8484),),
        metadata=_about(
            kinds.list_of(kinds.ADDRESS, at_least=1),
            "Where clients connect. An address that others can reach demands client keys; https:// needs "
            "tls_certificate.",
        ),
    )
    admin_listen: tuple[ListenAddress, ...] = field(
        default=(Address(LOOPBACK_HOST, 8485),),
        metadata=_about(
            kinds.list_of(kinds.ADDRESS),
            "Where /livez, /readyz and /status are served. An empty list turns them off.",
        ),
    )
    tls_certificate: Path | None = field(
        default=None,
        metadata=_about(
            kinds.PATH,
            "A PEM file with the certificate that https:// listeners show, followed by its chain.",
        ),
    )
    tls_key: Path | None = field(
        default=None,
        metadata=_about(
            kinds.PATH,
            "A PEM file with the certificate's private key, unencrypted. None: it is in tls_certificate.",
        ),
    )
    tls_client_ca: Path | None = field(
        default=None,
        metadata=_about(
            kinds.PATH,
            "A PEM file of certificate authorities: clients of https:// listeners must show a certificate "
            "from one of them. The admin listener asks for none.",
        ),
    )
    hosts: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            kinds.list_of(kinds.HOST),
            "Names that clients reach sidekey by, besides loopback ones: what a request's Host may be.",
        ),
    )
    origins: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            kinds.list_of(kinds.ORIGIN), "Web pages that may call sidekey from a browser. None: CORS is off."
        ),
    )
    client_key_required: bool = field(
        default=True,
        metadata=_about(
            kinds.BOOLEAN,
            "Whether clients must show the client key. Only a listener on loopback, or a Unix socket of mode "
            "0600, may do without.",
        ),
    )
    drain_timeout: float = field(
        default=30.0,
        metadata=_about(
            kinds.seconds(at_least=0),
            "How long open requests may take to finish when the proxy is stopped, in seconds.",
        ),
    )

    allow_profiling: bool = field(
        default=False,
        metadata=_about(
            kinds.BOOLEAN,
            "Whether this user's debuggers and profilers may look into the server: tokens are in its memory.",
        ),
    )

    head_timeout: float = field(
        default=30.0,
        metadata=_about(
            kinds.seconds(at_least=0.1),
            "How long a client may take to send a request's headers, from their first byte on, in seconds.",
        ),
    )
    body_timeout: float = field(
        default=60.0,
        metadata=_about(
            kinds.seconds(at_least=0.1),
            "How long a request's body may pause while it is waited for, in seconds.",
        ),
    )
    keep_alive_timeout: float = field(
        default=75.0,
        metadata=_about(
            kinds.seconds(at_least=0.1),
            "How long a client's connection is kept without a request, in seconds.",
        ),
    )
    max_body: int = field(
        default=0,
        metadata=_about(
            kinds.SIZE, "The longest request body that is let through. 0: no limit of sidekey's."
        ),
    )
    max_connections: int = field(
        default=16384,
        metadata=_about(kinds.COUNT, "How many connections clients may have at once, all together."),
    )
    max_connections_per_client: int = field(
        default=8192,
        metadata=_about(
            kinds.COUNT, "How many connections one client's address may have at once, its streams included."
        ),
    )
    max_requests: int = field(
        default=8192,
        metadata=_about(kinds.COUNT, "How many requests may be under way at once, streams included."),
    )

    upstream: str = field(
        default=DEFAULT_UPSTREAM,
        metadata=_about(
            kinds.UPSTREAM,
            "The API behind the proxy: this replaces a client's /v1. Without a path, /v1 is meant.",
        ),
    )
    allow_upstream: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            kinds.list_of(kinds.ALLOWED_UPSTREAM),
            "Where a bearer from a sign-in may go besides api.openai.com and its regional hosts.",
        ),
    )
    allow_insecure_upstream: bool = field(
        default=False,
        metadata=_about(
            kinds.BOOLEAN,
            "Whether an http:// upstream may be on another machine: keys travel in the clear then.",
        ),
    )
    pass_organization: bool = field(
        default=True,
        metadata=_about(
            kinds.BOOLEAN,
            "Whether a client's OpenAI-Organization and OpenAI-Project go to upstream.",
        ),
    )
    ca_bundle: Path | None = field(
        default=None,
        metadata=_about(
            kinds.PATH, "A PEM file of certificate authorities to trust instead of the system's."
        ),
    )
    connect_timeout: float = field(
        default=10.0,
        metadata=_about(
            kinds.seconds(at_least=0.1), "How long connecting to upstream or the issuer may take, in seconds."
        ),
    )
    response_timeout: float = field(
        default=600.0,
        metadata=_about(
            kinds.seconds(at_least=0.1),
            "How long upstream may take until its answer begins, in seconds: some models think long.",
        ),
    )
    idle_timeout: float = field(
        default=300.0,
        metadata=_about(
            kinds.seconds(at_least=0.1),
            "How long upstream may stay silent in the middle of an answer, in seconds.",
        ),
    )
    peer_timeout: float = field(
        default=60.0,
        metadata=_about(
            kinds.seconds(at_least=1),
            "How long a client or upstream may acknowledge nothing before it is given up, in seconds.",
        ),
    )
    replay_limit: int = field(
        default=64 * 1024**2,
        metadata=_about(
            kinds.SIZE,
            "The longest request body of which a copy is kept, to send it again with a new key after a 401.",
        ),
    )
    replay_budget: int = field(
        default=256 * 1024**2,
        metadata=_about(
            kinds.SIZE,
            "The most that all copies together may hold: of each, one MiB in memory and the rest in a file.",
        ),
    )
    replay_folder: Path | None = field(
        default=None,
        metadata=_about(
            kinds.PATH,
            "Where such files, nameless and encrypted, are made. Nothing: in the system's temporary folder.",
        ),
    )
    foreign_refusals: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            kinds.list_of(kinds.SOME_TEXT, 'error codes such as "missing_scope"'),
            "Codes of further 401 answers that no new key would cure: they cause no refresh.",
        ),
    )

    profile: str = field(
        default=DEFAULT_PROFILE,
        metadata=_about(kinds.PROFILE, "Which stored credential to use."),
    )
    issuer: str = field(
        default=ISSUER,
        metadata=_about(kinds.ISSUER, "The OAuth server."),
    )
    client_id: str = field(
        default=CLIENT_ID,
        metadata=_about(
            kinds.SOME_TEXT, "The OAuth client that sidekey signs in as: the Codex CLI's public one."
        ),
    )
    scope: str = field(
        default=SCOPE,
        metadata=_about(kinds.SOME_TEXT, "The OAuth scopes to ask for, separated by spaces."),
    )
    originator: str = field(
        default=ORIGINATOR,
        metadata=_about(kinds.TEXT, "The originator that the authorize URL names. Empty leaves it out."),
    )
    allowed_workspace_id: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            kinds.list_of(kinds.SOME_TEXT, "workspace ids"),
            "ChatGPT workspaces that one may sign in to. None: any.",
        ),
    )
    allowed_issuers: tuple[str, ...] = field(
        default=(),
        metadata=_about(
            kinds.list_of(kinds.ISSUER, 'URLs such as "https://auth.openai.com"'),
            "Issuers, besides the one above, that an imported auth.json may name.",
        ),
    )
    callback_host: Literal["localhost", "127.0.0.1"] = field(
        default="localhost",
        metadata=_about(
            kinds.choice("localhost", "127.0.0.1"),
            "The host in the redirect URI. The callback server listens on 127.0.0.1 in any case.",
        ),
    )
    callback_ports: tuple[int, ...] = field(
        default=CALLBACK_PORTS,
        metadata=_about(
            kinds.list_of(kinds.PORT, "ports from 1 to 65535, or 0 for any free one", at_least=1),
            "Ports to try for the callback server, in turn. Only these two are registered with OpenAI.",
        ),
    )
    callback_timeout: float = field(
        default=300.0,
        metadata=_about(kinds.seconds(at_least=1), "How long a sign-in waits for the browser, in seconds."),
    )
    redeem_credits: bool = field(
        default=False,
        metadata=_about(
            kinds.BOOLEAN,
            "Whether to ask for a subscription's API credits after a sign-in, as old Codex versions did.",
        ),
    )

    refresh_margin: float = field(
        default=300.0,
        metadata=_about(
            kinds.seconds(at_least=0), "How long before a token's expiry it is refreshed, in seconds."
        ),
    )
    exchange: Exchange = field(
        default="always",
        metadata=_about(
            kinds.choice("always", "when-refused"),
            "When an id_token is traded for a new API key: at every refresh, or after a 401 only.",
        ),
    )

    key_name: str = field(
        default=TEMPLATE,
        metadata=_about(
            kinds.KEY_NAME,
            "What exchanged keys are called in the organisation's list, whose administrators see the host's "
            "name in it. Empty: OpenAI chooses.",
        ),
    )

    log_level: LogLevel = field(
        default="info",
        metadata=_about(
            kinds.choice("debug", "info", "warning", "error"), "The least important lines that are logged."
        ),
    )
    log_format: LogFormat = field(
        default="auto",
        metadata=_about(
            kinds.choice("auto", "console", "json"),
            "How lines are logged: coloured for people, as JSON, or by whether a terminal shows them.",
        ),
    )


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, described.

    Attributes:
        name: in the file, and of the attribute.
        kind: how its values are written.
        default: its value when nobody says anything.
        says: one sentence about it.
    """

    name: str
    kind: Kind[Any]
    default: Any
    says: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return VARIABLE_PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The command line's flag for it, where a command has one."""
        return _FLAGS.get(self.name) or "--" + self.name.replace("_", "-")


SETTINGS: Final = {
    item.name: Setting(item.name, item.metadata["kind"], item.default, item.metadata["says"])
    for item in fields(Settings)
}
SECTIONS: Final = {
    "Listening": "listen",
    "Limits": "head_timeout",
    "Upstream": "upstream",
    "Signing in": "profile",
    "Keeping the key fresh": "refresh_margin",
    "Log": "log_level",
}
"""Headings for people, each with the setting that it stands above."""


def allowed_origins(settings: Settings) -> tuple[Origin, ...]:
    """Return the setting ``allow_upstream`` as origins."""
    return tuple(parse_allowed(entry) for entry in settings.allow_upstream)
