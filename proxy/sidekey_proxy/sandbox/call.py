"""One call of the API: its path, its bearer, its body, and what it cost so far."""

from __future__ import annotations

import importlib
import json
import time
import zlib
from collections.abc import Callable
from typing import Any

from aiohttp import web

from sidekey_auth.secret import Secret, secret_or_none

from .events import KEY_SUBPROTOCOL
from .refusal import Refusal


class Call:
    """One call of the API.

    Args:
        request: as aiohttp gives it.
    """

    __slots__ = ("bearer", "path", "received", "request", "started_at")

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.path = request.raw_path.partition("?")[0]
        self.received = 0
        self.started_at = time.perf_counter()
        self.bearer = bearer_of(request)

    def count(self, size: int) -> None:
        """Count bytes of the body."""
        self.received += size

    async def fields(self) -> dict[str, Any]:
        """Return the JSON object that the body is, decoded where it came compressed.

        Raises:
            Refusal: it is not one.
        """
        try:
            raw = await self.request.read()
        except web.HTTPRequestEntityTooLarge:
            raise Refusal(413, None, "The body is too large.") from None
        self.count(len(raw))
        try:
            value = json.loads(_decoded(raw, self.request.headers.get("Content-Encoding", "")))
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise Refusal(400, None, "We could not parse the JSON body of your request.")
        return value


def bearer_of(request: web.Request) -> Secret | None:
    """Return the bearer of a request: of its Authorization header, or of a browser's subprotocol."""
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value.strip():
        return Secret(value.strip())
    offered = request.headers.get("Sec-WebSocket-Protocol", "")
    for name in offered.split(","):
        if name.strip().startswith(KEY_SUBPROTOCOL):
            return secret_or_none(name.strip().removeprefix(KEY_SUBPROTOCOL))
    return None


def _decoded(data: bytes, encoding: str) -> bytes:
    name = encoding.strip().lower()
    if name in {"", "identity"}:
        return data
    decode = _decoder(name)
    if decode is None:
        raise Refusal(415, "unsupported_content_encoding", f"The sandbox cannot read {name} here.")
    try:
        return decode(data)
    except Exception:  # noqa: BLE001 - each library has its own error for damaged data
        raise Refusal(400, None, f"The body is not valid {name}.") from None


def _decoder(name: str) -> Callable[[bytes], bytes] | None:
    if name in {"gzip", "deflate"}:
        return lambda data: zlib.decompress(data, wbits=zlib.MAX_WBITS | 32)
    if name == "zstd":
        # Python 3.14 has zstd; before, a package of its own may be there.
        for module in ("compression.zstd", "backports.zstd"):
            try:
                found: Callable[[bytes], bytes] = importlib.import_module(module).decompress
            except ImportError:
                continue
            return found
    return None
