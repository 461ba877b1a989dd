"""Which web pages may read what sidekey answers: CORS, as the Fetch standard has it. Pure.

Off until the setting ``origins`` lists a page. Keys travel in Authorization, which a page sets itself, so
nothing here allows credentials in the standard's sense (cookies, TLS client certificates).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

from .exchange import Headers, RequestHead, every

MAX_AGE: Final = 7200
"""Seconds that a browser may remember a preflight's answer; Chromium remembers none longer."""

_PREFLIGHT_VARIES: Final = b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
_READABLE: Final = frozenset(
    {b"x-request-id", b"x-should-retry", b"retry-after", b"retry-after-ms", b"location", b"www-authenticate"}
)
_READABLE_FAMILIES: Final = (b"x-ratelimit-", b"x-sidekey-", b"openai-")
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TOKENS = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+(?:[ \t]*,[ \t]*[!#$%&'*+.^_`|~0-9A-Za-z-]+)*")


class BadPreflight(ValueError):
    """The preflight asks for what is neither a method nor a list of header names."""


def is_listed(origin: bytes, origins: Collection[str]) -> bool:
    """Tell whether a page may call.

    Args:
        origin: the Origin header's value.
        origins: the setting, in lower case.
    """
    return origin.decode("latin-1").lower() in origins


def is_preflight(head: RequestHead) -> bool:
    """Tell whether a browser asks what a page may send (Fetch standard, CORS-preflight request)."""
    return (
        head.method == "OPTIONS"
        and bool(every(head.headers, b"origin"))
        and bool(every(head.headers, b"access-control-request-method"))
    )


def preflight_headers(request: Headers) -> Headers:
    """Return the headers that answer the preflight of a listed page: what it asks for is allowed.

    Args:
        request: the preflight's headers.

    Raises:
        BadPreflight: it is not as a browser sends it.
    """
    methods = every(request, b"access-control-request-method")
    names = b", ".join(filter(None, every(request, b"access-control-request-headers")))
    if len(methods) != 1 or not _TOKEN.fullmatch(methods[0]):
        raise BadPreflight("Access-Control-Request-Method must be one method")
    if names and not _TOKENS.fullmatch(names):
        raise BadPreflight("Access-Control-Request-Headers must be a list of header names")
    headers = [
        (b"access-control-allow-origin", every(request, b"origin")[0]),
        (b"access-control-allow-methods", methods[0]),
        (b"access-control-max-age", str(MAX_AGE).encode()),
        (b"vary", _PREFLIGHT_VARIES),
    ]
    if names:
        headers.append((b"access-control-allow-headers", names))
    if b"true" in every(request, b"access-control-request-private-network"):
        headers.append((b"access-control-allow-private-network", b"true"))
    return tuple(headers)


def readable(answer: Headers, request: Headers, origins: Collection[str]) -> Headers:
    """Return an answer's headers with those that let a listed page read it.

    Args:
        answer: the answer's, upstream's or sidekey's own.
        request: the request's.
        origins: the setting; without any, nothing is added.
    """
    if not origins:
        return answer
    varying = (*answer, (b"vary", b"Origin"))
    asked = every(request, b"origin")
    if len(asked) != 1 or not is_listed(asked[0], origins):
        return varying
    allowed = (*varying, (b"access-control-allow-origin", asked[0]))
    exposed = b", ".join(dict.fromkeys(name for pair in answer if _is_exposed(name := pair[0].lower())))
    return (*allowed, (b"access-control-expose-headers", exposed)) if exposed else allowed


def _is_exposed(name: bytes) -> bool:
    return name in _READABLE or name.startswith(_READABLE_FAMILIES)
