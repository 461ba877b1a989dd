"""Which headers travel, both ways (RFC 9110 section 7.6.1). Pure.

What stays keeps its order, its duplicates and its case. ``docs/http.md`` holds the table.
"""

from __future__ import annotations

from typing import Final

from sidekey_auth.secret import Secret

from . import subprotocols
from .exchange import Headers, every, first

_HOP_BY_HOP: Final = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
_NEVER_UP: Final = _HOP_BY_HOP | {
    b"authorization",
    b"proxy-authorization",
    b"cookie",
    b"x-api-key",
    b"api-key",
    b"host",
    b"expect",
    b"forwarded",
}
_ORGANIZATION: Final = frozenset({b"openai-organization", b"openai-project"})
_NEVER_DOWN: Final = _HOP_BY_HOP | {b"set-cookie", b"set-cookie2", b"proxy-authenticate"}
_NOT_NAMED_AWAY: Final = frozenset({b"content-length", b"host"})
"""What ``Connection`` must not take out: the listener and upstream frame the message by it."""


def upward(headers: Headers, bearer: Secret, *, organization: bool = True) -> Headers:
    """Return what goes to upstream: the client's headers without what is its own, and the bearer.

    Args:
        headers: the client's.
        bearer: what upstream is shown instead of the client's key.
        organization: whether the client may choose the organization and the project.
    """
    named = _named_by_connection(headers)
    fallen = _NEVER_UP | named if named else _NEVER_UP
    if not organization:
        fallen |= _ORGANIZATION
    kept: Headers = tuple(
        [
            pair
            for pair in headers
            if (name := pair[0].lower()) not in fallen and not name.startswith(b"x-forwarded-")
        ]
    )
    if first(headers, subprotocols.HEADER) is not None:
        kept = subprotocols.upward(kept, organization=organization)
    return (*kept, (b"Authorization", b"Bearer " + bearer.reveal().encode()))


def downward(headers: Headers) -> Headers:
    """Return what goes to the client: upstream's headers without what belongs to its connection.

    Which pages may read the answer is not upstream's to say: its ``Access-Control-*`` fall. An event stream
    gets ``x-accel-buffering: no``, so that an nginx in front of sidekey does not hold it.
    """
    named = _named_by_connection(headers)
    fallen = _NEVER_DOWN | named if named else _NEVER_DOWN
    kept: Headers = tuple(
        [
            pair
            for pair in headers
            if (name := pair[0].lower()) not in fallen and not name.startswith(b"access-control-")
        ]
    )
    if is_event_stream(headers) and first(kept, b"x-accel-buffering") is None:
        kept += ((b"x-accel-buffering", b"no"),)
    return kept


def switching(headers: Headers) -> Headers:
    """Return what a 101 carries to the client: all but hop-by-hop, which the listener sets anew."""
    return tuple(pair for pair in downward(headers) if pair[0].lower() != b"content-length")


def is_event_stream(headers: Headers) -> bool:
    """Tell whether an answer is a stream of server-sent events."""
    content_type = first(headers, b"content-type") or b""
    return content_type.partition(b";")[0].strip().lower() == b"text/event-stream"


def _named_by_connection(headers: Headers) -> frozenset[bytes]:
    values = every(headers, b"connection")
    if not values:
        return frozenset()
    named = {token.strip().lower() for value in values for token in value.split(b",")}
    return frozenset(named - _HOP_BY_HOP - _NOT_NAMED_AWAY)
