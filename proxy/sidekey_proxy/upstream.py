"""The API behind the proxy, as ``forward.py`` sees it: one small interface, whatever client stands behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from .exchange import Headers, Tunnel


@dataclass(frozen=True, slots=True)
class UpstreamRequest:
    """One request to upstream, ready to be written.

    Attributes:
        method: such as ``POST``.
        target: path and query as they go on the request line.
        headers: all of them but ``Host``, framing and ``Connection``, which are upstream's business.
        body: the body's pieces, or None where there is none.
        length: the body's length in bytes where the client announced it; None means chunked.
    """

    method: str
    target: str
    headers: Headers
    body: AsyncIterator[bytes] | None = None
    length: int | None = None


class UpstreamAnswer(Protocol):
    """What upstream answered: the head is here, the body follows."""

    status: int
    reason: str
    headers: Headers

    def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, undecoded; reading slowly slows upstream down.

        Raises:
            UpstreamCut: the connection ended before the body did.
            UpstreamTimedOut: nothing came for too long.
        """

    def tunnel(self) -> Tunnel:
        """Return the connection after a 101."""

    async def close(self) -> None:
        """Give the connection back when the body was read to its end, and close it otherwise."""


class Upstream(Protocol):
    """Sends requests to one base URL."""

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send the request, its body as it comes, and return when the answer's head is here.

        Upstream may answer before the body is sent; then the rest of the body is not waited for.

        Raises:
            UpstreamUnreachable: no connection could be made; nothing was sent.
            UpstreamTimedOut: no answer came in time.
            UpstreamCut: the connection ended before the head was whole.
            UpstreamInvalid: the answer is not HTTP as it should be.
        """

    async def close(self) -> None:
        """Close all connections."""


class UpstreamError(Exception):
    """Upstream did not answer as it should; the text says why, without any secret."""


class UpstreamUnreachable(UpstreamError):
    """No connection could be made: nothing of the request was sent."""


class UpstreamTimedOut(UpstreamError):
    """Upstream was too slow."""


class UpstreamCut(UpstreamError):
    """Upstream closed the connection too early."""


class UpstreamInvalid(UpstreamError):
    """Upstream's answer is not valid HTTP."""
