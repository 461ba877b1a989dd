"""A request's head and chunks as they go on the wire (RFC 9112). Pure."""

from __future__ import annotations

from sidekey_proxy.message.exchange import first

from .interface import UpstreamRequest


def request_bytes(host: bytes, target: str, request: UpstreamRequest, *, expects: bool = False) -> bytes:
    """Return a request's head as it goes on the wire (RFC 9112 section 3).

    Args:
        host: the Host header's value.
        target: the request target.
        request: method, headers, and what kind of body follows.
        expects: ask whether the body is wanted (RFC 9110 section 10.1.1).

    Raises:
        ValueError: a value holds a line break, which would make another message of it.
    """
    line = f"{request.method} {target} HTTP/1.1".encode("utf-8", "surrogateescape")
    lines = [line, b"Host: " + host]
    lines += map(b": ".join, request.headers)
    if request.websocket:
        lines += [b"Connection: Upgrade", b"Upgrade: websocket"]
    elif is_chunked(request):
        lines.append(b"Transfer-Encoding: chunked")
    if expects:
        lines.append(b"Expect: 100-continue")
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1 or b"\0" in head:
        raise ValueError("a request's head holds a line break where none may be")
    return head + b"\r\n\r\n"


def is_chunked(request: UpstreamRequest) -> bool:
    """Tell whether the body goes in chunks: there is one, and nobody has said how long it is."""
    return request.body is not None and first(request.headers, b"content-length") is None


def chunk(data: bytes) -> bytes:
    """Return a piece of a body as one chunk (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
