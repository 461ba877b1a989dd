"""How long a message is: RFC 9112 section 6, for requests that come in and answers that come back. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Sequence

from .exchange import Headers, every

_LENGTH = re.compile(rb"[0-9]{1,19}")
_BODILESS_STATUSES = frozenset({204, 304})
_SWITCHING = 101
_FIRST_FINAL_STATUS = 200


class Framing(enum.Enum):
    """What ends a body."""

    NONE = "there is none"
    LENGTH = "its Content-Length"
    CHUNKS = "its last chunk"
    CLOSE = "the connection's end"


class BadFraming(ValueError):
    """The message's length is ambiguous or unknown: it must not be passed on.

    Args:
        message: what is wrong with it.
        status: the status code that answers a request like this.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


def bodiless(method: str, status: int) -> bool:
    """Tell whether an answer has no body whatever its headers say (RFC 9110 section 6.4.1)."""
    return method == "HEAD" or status in _BODILESS_STATUSES or status < _FIRST_FINAL_STATUS


def request_framing(version: str, headers: Headers) -> Framing:
    """Return what ends a request's body (RFC 9112 section 6.3).

    Args:
        version: the request's HTTP version, such as ``1.1``.
        headers: as they came.

    Raises:
        BadFraming: two readers could disagree about where the request ends.
    """
    return _framing(version, headers, without=Framing.NONE)


def answer_framing(version: str, method: str, status: int, headers: Headers) -> Framing:
    """Return what ends an answer's body (RFC 9112 section 6.3).

    Args:
        version: the answer's HTTP version, such as ``1.1``.
        method: the request's.
        status: the answer's.
        headers: as they came.

    Raises:
        BadFraming: two readers could disagree about where the answer ends.
    """
    framing = _framing(version, headers, without=Framing.CLOSE)
    return Framing.NONE if bodiless(method, status) else framing


def _framing(version: str, headers: Headers, *, without: Framing) -> Framing:
    if version not in ("1.0", "1.1"):
        raise BadFraming(f"HTTP/{version} is not spoken here", 505)
    codings, lengths = every(headers, b"transfer-encoding"), every(headers, b"content-length")
    if codings:
        _check_codings(version, codings, lengths)
        return Framing.CHUNKS
    if not lengths:
        return without
    if len(lengths) > 1 or not _LENGTH.fullmatch(lengths[0]):
        raise BadFraming("Content-Length must be one number")
    return Framing.LENGTH


def _check_codings(version: str, codings: Sequence[bytes], lengths: Sequence[bytes]) -> None:
    if version == "1.0":
        raise BadFraming("Transfer-Encoding does not exist in HTTP/1.0")
    if lengths:
        raise BadFraming("a message has either Transfer-Encoding or Content-Length")
    if len(codings) > 1 or codings[0].strip().lower() != b"chunked":
        raise BadFraming("the only transfer coding that is understood is chunked, once", 501)
