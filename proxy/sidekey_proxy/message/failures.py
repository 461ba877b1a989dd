"""What sidekey itself answers: failures in OpenAI's error shape, and the few answers that are none. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from sidekey_auth.errors import NoBearer
from sidekey_proxy.upstream.interface import UpstreamError, UpstreamInvalid, UpstreamTimedOut

from .exchange import Headers

RETRY_AFTER: Final = 5
"""Seconds after which a client may ask again for a bearer that may come by itself."""

_BAD_REQUEST, _AUTHENTICATION, _PERMISSION, _SERVER = (
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "server_error",
)
_DO_NOT_RETRY: Final[Headers] = ((b"x-should-retry", b"false"),)
ALLOW: Final = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
"""The methods that are known to be forwarded; others that upstream may know are forwarded, too."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error answer.

    Attributes:
        status: the status code.
        code: for programs, such as ``sidekey_login_required``.
        message: for people: what is wrong and what to do.
        kind: OpenAI's error type.
        extra: headers besides those of any error.
    """

    status: int
    code: str
    message: str
    kind: str = _BAD_REQUEST
    extra: Headers = ()

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return HTTPStatus(self.status).phrase

    def body(self) -> bytes:
        """Return the body, as OpenAI shapes errors."""
        error = {"message": self.message, "type": self.kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    def headers(self) -> Headers:
        """Return the headers, Content-Length among them."""
        length = str(len(self.body())).encode()
        return (
            (b"content-type", b"application/json"),
            (b"content-length", length),
            *self.extra,
        )


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of sidekey's own that is no failure and has no body.

    Attributes:
        status: the status code.
        headers: all of them.
    """

    status: int
    headers: Headers

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return HTTPStatus(self.status).phrase


# --- no bearer ------------------------------------------------------------------------------------------


def no_bearer(error: NoBearer) -> Failure:
    """Answer that there is no credential to send the request with.

    Where one may come by itself, the client is asked to come again; else SDKs are told to stop at once.
    """
    message = " ".join(filter(None, (_sentence(str(error)), error.remedy)))
    if error.transient:
        retry = ((b"retry-after", str(RETRY_AFTER).encode()),)
        return Failure(503, "sidekey_bearer_unavailable", message, _SERVER, retry)
    return Failure(401, "sidekey_login_required", message, _AUTHENTICATION, _DO_NOT_RETRY)


def bearer_not_allowed_there() -> Failure:
    """Answer that a bearer of a sign-in must not go to the configured upstream."""
    return Failure(
        403,
        "sidekey_upstream_not_allowed",
        "The key of a sign-in goes to OpenAI only. To send it to the configured upstream, "
        "name that in sidekey's setting allow_upstream.",
        _PERMISSION,
        _DO_NOT_RETRY,
    )


# --- upstream -------------------------------------------------------------------------------------------


def upstream_failed(error: UpstreamError) -> Failure:
    """Answer that upstream gave no answer that could be passed on."""
    why = _sentence(f"sidekey: {error}")
    if isinstance(error, UpstreamTimedOut):
        return Failure(504, "sidekey_upstream_timeout", why, _SERVER)
    if isinstance(error, UpstreamInvalid):
        return Failure(502, "sidekey_upstream_invalid", why, _SERVER)
    return Failure(502, "sidekey_upstream_unreachable", why, _SERVER)


def too_busy(what: str) -> Failure:
    """Answer that there are as many connections or requests as there may be.

    Args:
        what: ``connections`` or ``requests``.
    """
    return Failure(
        503,
        "sidekey_too_busy",
        f"sidekey has as many {what} open as its setting max_{what} allows.",
        _SERVER,
        ((b"retry-after", b"1"),),
    )


def too_many_connections() -> Failure:
    """Answer that this client has as many connections as one may have (RFC 6585 section 4)."""
    return Failure(
        429,
        "sidekey_too_many_connections",
        "This client has as many connections open as sidekey's setting max_connections_per_client allows.",
        "rate_limit_error",
        ((b"retry-after", b"1"),),
    )


def internal() -> Failure:
    """Answer that sidekey itself failed; its log says why."""
    return Failure(500, "sidekey_internal_error", "sidekey failed on this request: see its log.", _SERVER)


# --- who may come in ------------------------------------------------------------------------------------


def foreign_host(host: str) -> Failure:
    """Answer that the request was meant for another host (RFC 9110 section 15.5.20)."""
    return Failure(
        421,
        "sidekey_host_not_allowed",
        f"sidekey does not answer to the host {host!r}. If clients reach it by that name, "
        "add it to sidekey's setting hosts.",
        _PERMISSION,
        _DO_NOT_RETRY,
    )


def foreign_origin(origin: str | None) -> Failure:
    """Answer that a web page may not call sidekey."""
    page = f"The web page {origin!r}" if origin else "This web page"
    return Failure(
        403,
        "sidekey_origin_not_allowed",
        f"{page} may not call sidekey. To let it, add its origin to sidekey's setting origins.",
        _PERMISSION,
        _DO_NOT_RETRY,
    )


def client_key_required() -> Failure:
    """Answer that the client showed no key."""
    return Failure(
        401,
        "sidekey_client_key_required",
        "sidekey asks for its client key as the API key. `sidekey env` prints it as OPENAI_API_KEY.",
        _AUTHENTICATION,
        (*_DO_NOT_RETRY, (b"www-authenticate", b"Bearer")),
    )


def client_key_invalid() -> Failure:
    """Answer that the client showed a key that is not sidekey's."""
    return Failure(
        401,
        "sidekey_client_key_invalid",
        "This API key is not sidekey's client key. `sidekey env` prints the right one as OPENAI_API_KEY.",
        _AUTHENTICATION,
        (*_DO_NOT_RETRY, (b"www-authenticate", b"Bearer")),
    )


# --- what is no request for us --------------------------------------------------------------------------


def not_below_v1(path: str) -> Failure:
    """Answer that the path is none of the API's."""
    return Failure(
        404,
        "sidekey_path_not_found",
        f"sidekey has no {path[:200]!r}: the base URL (OPENAI_BASE_URL) must end in /v1.",
        extra=_DO_NOT_RETRY,
    )


def method_not_allowed(method: str) -> Failure:
    """Answer that the method is of no use here (RFC 9110 sections 9.3.6 and 9.3.8)."""
    return Failure(
        405,
        "sidekey_method_not_allowed",
        f"sidekey does not forward {method}.",
        extra=(*_DO_NOT_RETRY, ALLOW),
    )


def bad_request(why: str, status: int = 400) -> Failure:
    """Answer that the request is not HTTP as it should be.

    Args:
        why: what is wrong with it.
        status: 400, or the more exact status code that there is for it.
    """
    return Failure(status, "sidekey_bad_request", _sentence(why), extra=_DO_NOT_RETRY)


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
