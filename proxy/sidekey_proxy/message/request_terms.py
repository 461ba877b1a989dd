"""What a request's head settles for its connection: where the body ends, and what comes afterwards. Pure."""

from __future__ import annotations

from typing import NamedTuple

from .exchange import Headers, every, first
from .framing import BadFraming, Framing, request_framing
from .request_head import BadHead, Head

_CONTINUE = b"100-continue"


class Terms(NamedTuple):
    """How a request travels.

    Attributes:
        framing: what ends its body.
        length: bytes of the body, where its Content-Length ends it.
        keep_alive: the client wants its connection kept (RFC 9112 section 9.3).
        websocket: the client asks to switch to WebSocket (RFC 9110 section 7.8).
        expects_continue: the client waits for a 100 before it sends its body (RFC 9110 section 10.1.1).
    """

    framing: Framing
    length: int
    keep_alive: bool
    websocket: bool
    expects_continue: bool

    @property
    def has_body(self) -> bool:
        """Whether there is a body, of whatever length."""
        return self.length > 0 or self.framing is Framing.CHUNKS


def terms_of(head: Head, body_limit: int) -> Terms:
    """Return how a request travels.

    Args:
        head: the request's.
        body_limit: the longest body, in bytes; 0 is no limit.

    Raises:
        BadFraming: two readers could disagree about where the request ends, or it is too long.
        BadHead: the client expects what cannot be met.
    """
    headers, version = head.headers, head.version
    framing = request_framing(version, headers)
    length = int(first(headers, b"content-length") or 0) if framing is Framing.LENGTH else 0
    if body_limit and length > body_limit:
        raise BadFraming(f"The request's body is longer than {body_limit} bytes", 413)
    options = _connection_options(headers)
    bodiless = framing is not Framing.CHUNKS and not length
    return Terms(
        framing,
        length,
        keep_alive=b"keep-alive" in options if version == "1.0" else b"close" not in options,
        websocket=bodiless and version == "1.1" and b"upgrade" in options and _names_websocket(headers),
        expects_continue=_expects_continue(version, headers),
    )


def _connection_options(headers: Headers) -> frozenset[bytes]:
    values = every(headers, b"connection")
    if not values:
        return frozenset()
    return frozenset(option.strip().lower() for value in values for option in value.split(b","))


def _names_websocket(headers: Headers) -> bool:
    return (first(headers, b"upgrade") or b"").lower() == b"websocket"


def _expects_continue(version: str, headers: Headers) -> bool:
    expected = every(headers, b"expect")
    if not expected or version == "1.0":
        return False
    if any(value.lower() != _CONTINUE for value in expected):
        raise BadHead("The only expectation that can be met is 100-continue", 417)
    return True
