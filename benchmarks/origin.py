"""The origin of event streams and long bodies; a program: ``python -m benchmarks.origin PORT [CERTIFICATE]``.

POST /v1/stream?every=S   events, each written by itself, S seconds apart, until the end is told
GET  /v1/end              ends all streams and says how many events there were
POST /v1/sink             reads the body and says how long it was
GET  /v1/flood?bytes=N    sends N bytes as fast as they are taken
GET  /v1/flooded          says how many bytes of floods have been handed to the system so far
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import parse_qs, urlsplit

import uvloop

from .programs import Origin, await_port, free_port, program

_BLOCK = bytes(64 * 1024)
_DATA = (
    b'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
    b'"item_id":"msg_0123","output_index":0,"content_index":0,"sequence_number":12345,"delta":" word"}\n\n'
)
EVENT = b"%x\r\n%b\r\n" % (len(_DATA), _DATA)
_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n"
    b"x-request-id: req_0123456789abcdef0123456789abcdef\r\nCache-Control: no-cache\r\n\r\n"
)


@contextlib.contextmanager
def stream_origin(
    folder: Path, core: int, *, certificate: Path | None = None, ca: Path | None = None
) -> Iterator[Origin]:
    """Run this origin until the block ends.

    Args:
        folder: for what it prints.
        core: where it runs.
        certificate: a PEM file with its key, for TLS.
        ca: the PEM file of the certificate's authority.
    """
    port = free_port()
    said = folder / "origin.out"
    command: list[str | Path] = [sys.executable, "-m", __name__, str(port)]
    if certificate is not None:
        command.append(certificate)
    with program(command, core=core, said=said) as process:
        await_port(process, port, said)
        yield Origin(port, ca)


class _Sent:
    """What all connections have sent."""

    def __init__(self) -> None:
        self.flooded = 0
        self.events = 0
        self.streaming: set[_Connection] = set()


class _Connection(asyncio.Protocol):
    def __init__(self, sent: _Sent) -> None:
        self._sent = sent
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport
        self._head = b""
        self._body_left = 0
        self._body_read = 0
        self._path = ""
        self._query: dict[str, list[str]] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._flood_left = 0
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._stop_streaming()
        self._flood_left = 0

    def data_received(self, data: bytes) -> None:
        if not self._body_left:
            self._head += data
            head, end, data = self._head.partition(b"\r\n\r\n")
            if not end:
                return
            self._head = b""
            self._begin(head.decode("latin-1"))
        self._body_left -= len(data)
        self._body_read += len(data)
        if self._body_left <= 0:
            self._body_left = 0
            self._answer()

    def _begin(self, head: str) -> None:
        line, *fields = head.split("\r\n")
        url = urlsplit(line.split(" ")[1])
        self._path, self._query = url.path, parse_qs(url.query)
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        self._body_left = int(headers.get("content-length", 0))
        self._body_read = 0

    def _number(self, name: str) -> float:
        return float(self._query.get(name, ["0"])[0])

    def _answer(self) -> None:
        if self._path.endswith("/stream"):
            self._sent.streaming.add(self)
            self._transport.write(_STREAM_HEAD)
            self._timer = self._loop.call_later(self._number("every"), self._event)
        elif self._path.endswith("/flood"):
            self._flood_left = int(self._number("bytes"))
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % self._flood_left)
            self._flood()
        else:
            body = b'{"count": %d}' % self._count()
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def _count(self) -> int:
        if self._path.endswith("/flooded"):
            return self._sent.flooded
        if self._path.endswith("/end"):
            for connection in list(self._sent.streaming):
                connection.end_stream()
            return self._sent.events
        return self._body_read

    def _event(self) -> None:
        self._sent.events += 1
        self._transport.write(EVENT)
        self._timer = self._loop.call_later(self._number("every"), self._event)

    def end_stream(self) -> None:
        self._stop_streaming()
        self._transport.write(b"0\r\n\r\n")

    def _stop_streaming(self) -> None:
        self._sent.streaming.discard(self)
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flood()

    def _flood(self) -> None:
        while self._flood_left and not self._paused:
            piece = _BLOCK[: self._flood_left]
            self._flood_left -= len(piece)
            self._sent.flooded += len(piece)
            self._transport.write(piece)


async def _serve(port: int, certificate: str | None = None) -> None:
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    sent = _Sent()
    await loop.create_server(lambda: _Connection(sent), "127.0.0.1", port, ssl=context, backlog=4096)
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), *sys.argv[2:]))
