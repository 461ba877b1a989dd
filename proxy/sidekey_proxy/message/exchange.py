"""One request and its response as ``forward.py`` sees them, whatever HTTP server stands in front. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, Protocol, Self

Headers = tuple[tuple[bytes, bytes], ...]
"""Header fields as they stood on the wire: order, duplicates and case kept."""


class Fields(Headers):
    """Headers that are looked into many times: each message's are put into order once."""

    by_name: dict[bytes, list[bytes]]
    """The values by the header's name in lower case."""

    def __new__(cls, pairs: Iterable[tuple[bytes, bytes]]) -> Self:
        """Make them of names and values, in order."""
        fields = super().__new__(cls, pairs)
        by_name: dict[bytes, list[bytes]] = {}
        for name, value in fields:
            key = name.lower()
            if key in by_name:
                by_name[key].append(value)
            else:
                by_name[key] = [value]
        fields.by_name = by_name
        return fields


_NONE: tuple[bytes, ...] = ()


def first(headers: Headers, name: bytes) -> bytes | None:
    """Return the first value of a header, or None.

    Args:
        headers: the fields.
        name: the header's name in lower case.
    """
    if headers.__class__ is Fields:
        values = headers.by_name.get(name)
        return values[0] if values else None
    return next((value for key, value in headers if key.lower() == name), None)


def every(headers: Headers, name: bytes) -> Sequence[bytes]:
    """Return all values of a header, in order.

    Args:
        headers: the fields.
        name: the header's name in lower case.
    """
    if headers.__class__ is Fields:
        return headers.by_name.get(name, _NONE)
    return [value for key, value in headers if key.lower() == name]


class RequestHead(NamedTuple):
    """A request's line and headers.

    Attributes:
        method: such as ``POST``.
        target: the request target byte for byte, such as ``/v1/files?limit=2`` (RFC 9112 section 3.2); bytes
            that are not UTF-8 stand in it as surrogates.
        headers: as they came.
        client: the peer's address, or a Unix socket's path, for the log.
        version: ``1.1`` or ``1.0``.
        has_body: whether a body follows, of whatever length.
        websocket: the client asks to switch to WebSocket, and the listener can (RFC 9110 section 7.8).
    """

    method: str
    target: str
    headers: Headers
    client: str
    version: str = "1.1"
    has_body: bool = False
    websocket: bool = False


class ClientGone(Exception):
    """The client closed its connection before the exchange was over."""


class RequestInvalid(Exception):
    """The request's body is not as it must be; the text says how.

    Args:
        message: what is wrong with it.
        status: the status code that answers it.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class ByteSource(Protocol):
    """Something that bytes are read from."""

    async def read(self) -> bytes:
        """Return the next bytes as soon as there are any, or ``b""`` at the end, and then again.

        Whoever reads slowly slows down whoever sends. Cancelling a read loses no bytes.
        """


class Exchange(ByteSource, Protocol):
    """The listener's side of one request: read the body, send the head, the chunks, and end or cut it.

    ``read`` gives the request's body, undecoded. It raises ClientGone or RequestInvalid where the body does
    not come to its end. The task that runs an exchange is cancelled when its client goes away.
    """

    @property
    def head(self) -> RequestHead:
        """The request's line and headers."""

    def whole(self) -> bytes | None:
        """Return the whole body if it has already arrived, and None if some of it is still to come.

        Nothing of it can be read afterwards.
        """

    async def send_head(
        self, status: int, reason: str, headers: Headers, *, until_close: bool = False
    ) -> None:
        """Send the response's head, hop-by-hop headers excluded; framing is the listener's business.

        A ``Content-Length`` among the headers is kept; without one the body is sent in chunks. What follows
        a HEAD request, or a status of 204 or 304, has no body.

        Args:
            status: the status code.
            reason: its phrase.
            headers: what to send, in order.
            until_close: end the body by closing the connection, since it came that way: nobody can tell
                whether it is whole, and the client must not be told that it is.
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


class Tunnel(ByteSource, Protocol):
    """Bytes both ways after a 101, in either direction as they are."""

    async def write(self, data: bytes) -> None:
        """Send bytes; waits while the other side does not read.

        Raises:
            ConnectionError: there is nobody to send them to.
        """

    def on_break(self, call: Callable[[], None]) -> None:
        """Call this when the other side breaks off (by a RST): whoever reads here may be stuck elsewhere."""

    def end(self) -> None:
        """Close once everything that was written is delivered; nothing can be read from now on."""

    def cut(self) -> None:
        """Close at once."""
