"""An answer's head as it goes on the wire: RFC 9112 section 4. Pure."""

from __future__ import annotations

from email.utils import formatdate

from .exchange import Headers
from .failures import Failure
from .framing import Framing

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def head_bytes(
    version: str, status: int, reason: str, headers: Headers, framing: Framing, *, keep: bool
) -> bytes:
    """Return an answer's head.

    Args:
        version: the request's.
        status: the status code.
        reason: its phrase.
        headers: all but framing and Connection.
        framing: what ends the body.
        keep: whether the connection serves another request.
    """
    lines = [f"HTTP/1.1 {status} {reason}".encode("latin-1"), *map(b": ".join, headers)]
    if framing is Framing.CHUNKS:
        lines.append(b"Transfer-Encoding: chunked")
    if not keep:
        lines.append(b"Connection: close")
    elif version == "1.0":
        lines.append(b"Connection: keep-alive")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def switching_bytes(headers: Headers) -> bytes:
    """Return the head that switches to WebSocket (RFC 9110 section 15.2.2).

    Args:
        headers: all but Connection and Upgrade.
    """
    lines = [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: websocket"]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def date_field(now: float) -> tuple[bytes, bytes]:
    """Return the Date that an answer of sidekey's own has (RFC 9110 section 6.6.1).

    Args:
        now: Unix time, in seconds.
    """
    return b"date", formatdate(now, usegmt=True).encode()


def failure_bytes(failure: Failure, now: float) -> bytes:
    """Return a whole answer with a failure, after which the connection closes.

    Args:
        failure: what is answered.
        now: Unix time, in seconds.
    """
    headers = (*failure.headers(), date_field(now))
    head = head_bytes("1.1", failure.status, failure.reason, headers, Framing.LENGTH, keep=False)
    return head + failure.body()
