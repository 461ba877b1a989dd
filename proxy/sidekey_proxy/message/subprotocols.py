"""WebSocket subprotocols that carry what a browser cannot put into headers (RFC 6455 section 11.3.4). Pure.

A page cannot set headers at a WebSocket's handshake, so OpenAI's SDKs for browsers offer the API key as a
subprotocol: ``openai-insecure-api-key.<key>``, beside ``realtime`` and others.
"""

from __future__ import annotations

from typing import Final

from sidekey_auth.secret import Secret

from .exchange import Headers, every

HEADER: Final = b"sec-websocket-protocol"
_KEY: Final = b"openai-insecure-api-key."
_ORGANIZATION: Final = (b"openai-organization.", b"openai-project.")


def client_keys(headers: Headers) -> list[Secret]:
    """Return the keys that are offered as subprotocols, in order; an empty one is none.

    Args:
        headers: the request's.
    """
    return [
        Secret(entry[len(_KEY) :].decode("latin-1"))
        for value in every(headers, HEADER)
        for entry in _entries(value)
        if entry.lower().startswith(_KEY) and len(entry) > len(_KEY)
    ]


def upward(headers: Headers, *, organization: bool = True) -> Headers:
    """Return the headers with those subprotocols that go to upstream, in their order.

    A value that loses nothing stays as it is, byte for byte; one that loses everything falls.

    Args:
        headers: the request's.
        organization: whether those that name an organization or a project go up.
    """
    fallen = (_KEY,) if organization else (_KEY, *_ORGANIZATION)
    kept: list[tuple[bytes, bytes]] = []
    for name, value in headers:
        left = _without(value, fallen) if name.lower() == HEADER else value
        if left is not None:
            kept.append((name, left))
    return tuple(kept)


def _without(value: bytes, fallen: tuple[bytes, ...]) -> bytes | None:
    entries = _entries(value)
    left = [entry for entry in entries if not entry.lower().startswith(fallen)]
    if len(left) == len(entries):
        return value
    return b", ".join(left) or None


def _entries(value: bytes) -> list[bytes]:
    return [entry for piece in value.split(b",") if (entry := piece.strip(b" \t"))]
