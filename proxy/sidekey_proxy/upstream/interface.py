"""The API behind the proxy, as ``forward.py`` sees it: one small interface, whatever client stands behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from sidekey_proxy.message.exchange import ByteSource, Headers, Tunnel


class Body(ByteSource, Protocol):
    """A request's body, which can perhaps be sent a second time."""

    def whole(self) -> bytes | None:
        """Return the whole body if all of it is here, and None if some of it is still to come."""

    def again(self) -> bool:
        """Start over from the first byte; False where it cannot be had a second time."""


class UpstreamRequest(NamedTuple):
    """One request to upstream, ready to be written.

    Attributes:
        method: such as ``POST``.
        target: path and query below the base, such as ``/models?limit=2``; it replaces nothing.
        headers: all of them but ``Host``, ``Transfer-Encoding`` and ``Connection``, which are upstream's
            business. A ``Content-Length`` among them is kept; without one the body is sent in chunks.
        body: the body, or None where there is none.
        websocket: ask to switch to WebSocket.
        expect_continue: ask whether the body is wanted before it is sent, unless all of it is here already
            (RFC 9110 section 10.1.1).
    """

    method: str
    target: str
    headers: Headers
    body: Body | None = None
    websocket: bool = False
    expect_continue: bool = False


class UpstreamAnswer(ByteSource, Protocol):
    """What upstream answered: the head is here, the body follows.

    ``read`` gives the body, undecoded. It raises an UpstreamError where the body does not come to its end,
    and what the request's body raised while it was being sent.
    """

    @property
    def status(self) -> int:
        """The status code."""

    @property
    def reason(self) -> str:
        """The reason phrase."""

    @property
    def headers(self) -> Headers:
        """The header fields as they came."""

    @property
    def until_close(self) -> bool:
        """Whether the body ends where the connection does (RFC 9112 section 6.3, rule 8)."""

    def tunnel(self) -> Tunnel:
        """Return the connection after a 101."""

    def on_break(self, call: Callable[[], None]) -> None:
        """Call this when upstream breaks off (by a RST) while nobody waits in ``read``.

        Whoever reads the answer may be stuck then: with a client that does not read on.
        """

    def stop_sending(self) -> None:
        """Send no more of the request's body: the answer is here, and is all that is wanted."""

    def close(self) -> None:
        """Give the connection back if the answer was whole, and close it otherwise."""


class Upstream(Protocol):
    """Sends requests to one base URL."""

    async def send(self, request: UpstreamRequest) -> UpstreamAnswer:
        """Send the request, its body as it comes, and return when the answer's head is here.

        Upstream may answer before the body is sent. Cancelling closes the connection at once.

        Raises:
            UpstreamUnreachable: no connection could be made; nothing was sent.
            UpstreamTimedOut: no answer came in time.
            UpstreamCut: the connection ended before the head was whole.
            UpstreamInvalid: the answer is not HTTP as it should be.
            ClientGone, RequestInvalid: the request's body did not come to its end.
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
