"""Which upstream may be used, and which bearer may go there. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from .credential import Mode
from .hosts import is_loopback_host, parse_host

DEFAULT_UPSTREAM: Final = "https://api.openai.com/v1"
DEFAULT_PATH: Final = "/v1"
_PORTS: Final = {"https": 443, "http": 80}
_HIGHEST_PORT: Final = 65535
_OPENAI_HOST = re.compile(r"(?:[a-z]{2}\.)?api\.openai\.com")
_PATH = re.compile(r"(?:/[A-Za-z0-9._~!$&'()*+,;=:@%-]*)*")
_DOT_SEGMENT = re.compile(r"/(?:\.|%2e){1,2}(?=/|\Z)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where requests go: scheme, host and port.

    Attributes:
        scheme: ``https`` or ``http``.
        host: a name or an IP address, in lower case, without brackets or a final dot.
        port: always there, the scheme's own one included.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")


@dataclass(frozen=True, slots=True)
class UpstreamBase:
    """The base that replaces a client's ``/v1``.

    Attributes:
        origin: where it is.
        path: such as ``/v1``, never empty, without a slash at its end.
    """

    origin: Origin
    path: str

    def __str__(self) -> str:
        return f"{self.origin}{self.path}"


def parse_base(url: str) -> UpstreamBase:
    """Return the upstream that a base URL names; without a path, ``/v1`` is meant.

    Raises:
        ValueError: it is not an http or https URL, or holds what a base must not.
    """
    parts = _split(url)
    if parts.query or parts.fragment or url.endswith(("?", "#")):
        raise ValueError("a base URL has no query and no fragment")
    if not _PATH.fullmatch(parts.path) or _DOT_SEGMENT.search(parts.path):
        raise ValueError("the path holds what a base URL must not")
    return UpstreamBase(_origin(parts), parts.path.rstrip("/") or DEFAULT_PATH)


def parse_allowed(entry: str) -> Origin:
    """Return the origin that an entry of ``allow_upstream`` names.

    It is ``HOST``, ``HOST:PORT`` or an origin's URL; without a scheme, https is meant.

    Raises:
        ValueError: it names none.
    """
    parts = _split(entry if "://" in entry else f"https://{entry}")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("only scheme, host and port can be allowed, not a path")
    return _origin(parts)


def is_openai(origin: Origin) -> bool:
    """Tell whether it is api.openai.com or one of its regional hosts, over TLS."""
    return (
        origin.scheme == "https"
        and origin.port == _PORTS["https"]
        and _OPENAI_HOST.fullmatch(origin.host) is not None
    )


def may_carry(origin: Origin, bearer_origin: Mode, allowed: Collection[Origin]) -> bool:
    """Tell whether a bearer may go to an upstream.

    One that a sign-in (or a machine's identity) brought goes to OpenAI and to what the person allowed; a
    static key was stored for the configured upstream, and goes there.

    Args:
        origin: the configured upstream's.
        bearer_origin: the mode that the bearer comes from.
        allowed: the setting ``allow_upstream``.
    """
    return bearer_origin == "api_key" or is_openai(origin) or origin in allowed


def sign_in_may_go(url: str, allowed: Collection[Origin]) -> bool:
    """Tell whether a token of a sign-in may go to an address: where the bearer may, and nowhere else.

    Args:
        url: the whole address.
        allowed: the setting ``allow_upstream``.
    """
    try:
        origin = _origin(_split(url))
    except ValueError:
        return False
    return may_carry(origin, "chatgpt", allowed)


def bearer_may_go(url: str, bearer_origin: Mode, *, upstream: Origin, allowed: Collection[Origin]) -> bool:
    """Tell whether a program may send a bearer to an address.

    A static key was stored for the configured upstream, so it goes there, and to all of OpenAI's hosts where
    that is one of them. Nothing goes unencrypted to another machine.

    Args:
        url: the whole address.
        bearer_origin: the mode that the bearer comes from.
        upstream: the configured upstream's origin.
        allowed: the setting ``allow_upstream``.
    """
    try:
        origin = _origin(_split(url.partition("#")[0].partition("?")[0]))
    except ValueError:
        return False
    if clear_text_problem(origin, allow_insecure=False) is not None:
        return False
    if bearer_origin == "api_key":
        return origin == upstream or (is_openai(origin) and is_openai(upstream))
    return may_carry(origin, bearer_origin, allowed)


def clear_text_problem(origin: Origin, *, allow_insecure: bool) -> str | None:
    """Say why a bearer must not travel to this upstream unencrypted, or return None where it may.

    Args:
        origin: the upstream's.
        allow_insecure: the setting that lets http:// leave this machine.
    """
    if origin.scheme == "https" or is_loopback_host(origin.host) or allow_insecure:
        return None
    return f"{origin} would carry the key in the clear: use https:// or set allow_insecure_upstream"


def _split(url: str) -> SplitResult:
    if not url.isascii() or any(character <= " " or character in '\\"<>^`{|}\x7f' for character in url):
        raise ValueError("a URL is plain ASCII without spaces")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.netloc:
        raise ValueError("a URL begins with https:// or http://")
    if "@" in parts.netloc:
        raise ValueError("a URL must not hold a user name or password")
    return parts


def _origin(parts: SplitResult) -> Origin:
    try:
        port = parts.port
    except ValueError:
        raise ValueError("the port is not a number from 1 to 65535") from None
    if port is None:
        if parts.netloc.endswith(":"):
            raise ValueError("the port is missing")
        port = _PORTS[parts.scheme]
    if not 0 < port <= _HIGHEST_PORT:
        raise ValueError("the port is not a number from 1 to 65535")
    return Origin(parts.scheme, parse_host(parts.hostname or "").rstrip("."), port)
