"""One request and its answer on an aiohttp connection (``exchange.Exchange``); see ``listener.py``."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from .exchange import ClientGone, Headers, RequestHead, RequestInvalid, first
from .failures import Failure
from .framing import Framing, bodiless
from .listener_tunnel import ClientTunnel

_WRITTEN_TOGETHER = 64 * 1024
"""Bytes of an answer that may wait for the end of the event loop's turn, to be written in one go."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class ServedExchange:
    """A request that aiohttp has parsed the head of.

    Args:
        request: as aiohttp sees it.
        closing: tells whether connections are to be closed after their present request.
    """

    def __init__(self, request: web.BaseRequest, closing: Callable[[], bool]) -> None:
        message = request._message  # noqa: SLF001 - its public name is deprecated
        expects = first(message.raw_headers, b"expect") or b""
        self.head = RequestHead(
            method=message.method,
            target=message.path,
            headers=message.raw_headers,
            client=_client_of(request),
            version=f"{message.version.major}.{message.version.minor}",
            has_body=bool(message.chunked) or not request.content.at_eof(),
            websocket=bool(message.upgrade) and _asks_for_websocket(message.raw_headers),
        )
        self._request = request
        self._protocol = request.protocol
        self._content = request.content
        self._task = asyncio.current_task()
        self._loop = asyncio.get_running_loop()
        self._closing = closing
        self._keep_alive = not message.should_close
        self._continue_wanted = expects.lower() == b"100-continue" and self.head.version != "1.0"
        self._framing = Framing.NONE
        self._left = 0
        self._unsent: list[bytes] = []
        self._unsent_size = 0
        self._flush_soon: asyncio.Handle | None = None
        self._begun = self._whole = self._gone = self._broken = False
        self._tunnel: ClientTunnel | None = None

    # --- the request ----------------------------------------------------------------------------------

    def whole(self) -> bytes | None:
        """Return the whole body if it has already arrived, and None if some of it is still to come."""
        if not self._content.is_eof() or self._broken or self._content.exception() is not None:
            return None
        return self._content.read_nowait(-1)

    async def read(self) -> bytes:
        """Return the next bytes of the body as soon as there are any, or ``b""`` at the end."""
        if self._continue_wanted and not self._begun:
            self._continue_wanted = False
            self._write(_CONTINUE)
            self._flush()
        try:
            data = await self._content.readany()
        except (OSError, RuntimeError) as error:
            raise ClientGone from error
        if not data and self._broken:
            raise RequestInvalid("The request's body is not framed as HTTP demands")
        return data

    # --- the answer -----------------------------------------------------------------------------------

    async def send_head(
        self, status: int, reason: str, headers: Headers, *, until_close: bool = False
    ) -> None:
        """Send the response's head; see ``Exchange.send_head``."""
        self._begun = True
        self._framing = self._frame(status, headers, until_close=until_close)
        if self._framing is Framing.LENGTH:
            self._left = int(first(headers, b"content-length") or 0)
        self._keep_alive = self._keeps_alive()
        self._write(
            head_bytes(self.head.version, status, reason, headers, self._framing, keep=self._keep_alive)
        )

    async def send_chunk(self, data: bytes) -> None:
        """Send a piece of the body at once; waits while the client does not read."""
        if not data or self._framing is Framing.NONE:
            return
        if self._framing is Framing.CHUNKS:
            self._write(b"%x\r\n%b\r\n" % (len(data), data))
        else:
            if self._framing is Framing.LENGTH:
                self._left -= len(data)
            self._write(data)
        if self._unsent_size > _WRITTEN_TOGETHER:
            self._flush()
        await self._room()

    async def finish(self) -> None:
        """End the response as a whole one."""
        if self._left:
            self.cut()
            return
        if self._framing is Framing.CHUNKS:
            self._write(b"0\r\n\r\n")
        self._flush()
        self._whole = True

    def cut(self) -> None:
        """Close the connection so that the client sees a cut response, never a whole one."""
        transport = self._request.transport
        self._keep_alive = False
        if transport is None or self._whole:
            return
        self._flush()
        if self._framing is Framing.CLOSE or self._gone or not self._begun:
            reset(transport)
        else:
            transport.close()

    def _frame(self, status: int, headers: Headers, *, until_close: bool) -> Framing:
        if bodiless(self.head.method, status):
            return Framing.NONE
        if first(headers, b"content-length") is not None:
            return Framing.LENGTH
        return Framing.CLOSE if until_close or self.head.version == "1.0" else Framing.CHUNKS

    def _keeps_alive(self) -> bool:
        """Tell whether the connection can serve another request: not while this one's is still to come."""
        wanted = self._keep_alive and self._framing is not Framing.CLOSE and not self._closing()
        return wanted and self._content.is_eof() and not self._broken

    def _write(self, data: bytes) -> None:
        """Send bytes before this turn of the event loop is over, together with what else there is by then."""
        if self._gone:
            raise ClientGone
        self._unsent.append(data)
        self._unsent_size += len(data)
        if self._flush_soon is None:
            self._flush_soon = self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        if self._flush_soon is not None:
            self._flush_soon.cancel()
            self._flush_soon = None
        transport = self._request.transport
        if self._unsent and transport is not None and not transport.is_closing():
            transport.write(self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent))
        self._unsent.clear()
        self._unsent_size = 0

    async def _room(self) -> None:
        if self._protocol.writing_paused:
            try:
                await self._request.writer.drain()
            except OSError as error:
                raise ClientGone from error
        if self._request.transport is None:
            raise ClientGone

    # --- the connection -------------------------------------------------------------------------------

    async def switch(self, headers: Headers) -> ClientTunnel:
        """Answer 101 with these headers and hand the connection over (RFC 9110 section 7.8)."""
        self._begun = self._whole = True
        self._keep_alive = False
        lines = [b"HTTP/1.1 101 Switching Protocols", b"Connection: Upgrade", b"Upgrade: websocket"]
        lines += [name + b": " + value for name, value in headers]
        self._write(b"\r\n".join(lines) + b"\r\n\r\n")
        self._flush()
        transport = self._request.transport
        if transport is None:
            raise ClientGone
        self._tunnel = ClientTunnel(transport, self._request.writer)
        self._protocol.set_parser(self._tunnel)  # type: ignore[arg-type]  # it needs feed_data and feed_eof
        return self._tunnel

    def body_broken(self) -> None:
        """Take note that the body was not framed as it should be, if it had not come to its end."""
        if not self._content.is_eof():
            self._broken = True
            self._content.feed_eof()

    def client_ended(self) -> None:
        """Take note that the client has closed its side, or all of it."""
        if self._tunnel is not None:
            self._tunnel.feed_eof()
            return
        if self._gone or self._whole:
            return
        self._gone = True
        self.abandon()

    def abandon(self) -> None:
        """Cancel the task that serves this exchange."""
        if self._task is not None:
            self._task.cancel()

    def answered(self) -> Answered:
        """Return what aiohttp is told when all has been written."""
        return _KEPT if self._keep_alive and self._whole else _CLOSED


class Answered(web.StreamResponse):
    """What aiohttp takes for a response: nothing is added to what has been written.

    Args:
        failure: what is still to be written, after which the connection closes.
        keep_alive: whether the connection serves another request.
    """

    def __init__(self, failure: Failure | None = None, *, keep_alive: bool = False) -> None:
        super().__init__()
        self._keeps = keep_alive
        self._failure = failure

    @property
    def keep_alive(self) -> bool | None:
        """Whether the connection serves another request."""
        return self._keeps

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Write the failure, if there is one."""
        failure, transport = self._failure, request.transport
        if failure is not None and transport is not None:
            framing = Framing.LENGTH
            head = head_bytes("1.1", failure.status, failure.reason, failure.headers(), framing, keep=False)
            transport.write(head + failure.body())
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the end has been written."""


_KEPT = Answered(keep_alive=True)
_CLOSED = Answered()


def head_bytes(
    version: str, status: int, reason: str, headers: Headers, framing: Framing, *, keep: bool
) -> bytes:
    """Return an answer's head as it goes on the wire (RFC 9112 section 4). Pure.

    Args:
        version: the request's.
        status: the status code.
        reason: its phrase.
        headers: all but framing and Connection.
        framing: what ends the body.
        keep: whether the connection serves another request.
    """
    lines = [f"HTTP/1.1 {status} {reason}".encode("latin-1")]
    lines += [name + b": " + value for name, value in headers]
    if framing is Framing.CHUNKS:
        lines.append(b"Transfer-Encoding: chunked")
    if not keep:
        lines.append(b"Connection: close")
    elif version == "1.0":
        lines.append(b"Connection: keep-alive")
    return b"\r\n".join(lines) + b"\r\n\r\n"


def reset(transport: asyncio.Transport) -> None:
    """Close a connection by a RST: where only the connection's end ends a body, a FIN would make it whole."""
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family != getattr(socket, "AF_UNIX", None):
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


def _client_of(request: web.BaseRequest) -> str:
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    if isinstance(peer, tuple):
        return str(peer[0])
    return str(peer) if peer else "unix"


def _asks_for_websocket(headers: Headers) -> bool:
    return (first(headers, b"upgrade") or b"").lower() == b"websocket"
