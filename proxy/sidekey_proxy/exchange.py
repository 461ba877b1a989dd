"""One request and its response as ``forward.py`` sees them, whatever HTTP server stands in front."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields as they stood on the wire: order, duplicates and case kept."""


def first(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of a header, or None.

    Args:
        headers: the fields.
        name: the header's name in lower case.
    """
    return next((value for key, value in headers if key.lower() == name), None)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's line and headers.

    Attributes:
        method: such as ``POST``.
        target: the request target byte for byte, such as ``/v1/files?limit=2`` (RFC 9112 section 3.2).
        headers: as they came.
        has_body: whether a body follows, of whatever length.
        client: the peer's address, or a Unix socket's path, for the log.
    """

    method: str
    target: str
    headers: Headers
    has_body: bool
    client: str


class ClientGone(Exception):
    """The client closed its connection before the exchange was over."""


class Exchange(Protocol):
    """The listener's side of one request: read the body, send the head, the chunks, and end or cut it.

    The task that runs an exchange is cancelled when its client goes away.
    """

    head: RequestHead

    def body(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, undecoded; reading slowly slows the client down.

        Raises:
            ClientGone: the client went away in the middle of it.
        """

    async def send_head(self, status: int, reason: str, headers: Headers) -> None:
        """Send the response's head, hop-by-hop headers excluded; framing is the listener's business.

        A ``Content-Length`` among the headers is kept; without one the body is sent in chunks.
        """

    async def send_chunk(self, data: bytes) -> None:
        """Send a piece of the body at once; waits while the client does not read.

        Raises:
            ClientGone: there is nobody to send it to.
        """

    async def finish(self) -> None:
        """End the response as a whole one."""

    def cut(self) -> None:
        """Close the connection so that the client sees a cut response, never a whole one."""

    async def switch(self, headers: Headers) -> Tunnel:
        """Answer 101 with these headers and hand the connection over (RFC 9110 section 7.8)."""


class Tunnel(Protocol):
    """Bytes both ways after a 101, in either direction as they are."""

    async def read(self) -> bytes:
        """Return the next bytes, or ``b""`` at the end."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the other side does not read."""

    async def end(self) -> None:
        """Say that no more bytes follow, and close when the other side has ended, too."""

    def cut(self) -> None:
        """Close at once."""
