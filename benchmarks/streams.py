"""Load of event streams: clients that keep streams open and count what arrives."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from .programs import BenchmarkFailed, Running

PATIENCE: Final = 120.0
_AT_ONCE: Final = 200
_BODY: Final = b'{"model":"gpt-5-mini","stream":true,"input":"Tell me a story."}'
_END: Final = b"\n\n"
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Stream(asyncio.Protocol):
    """One client of one event stream.

    Args:
        request: what it sends.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._tail = b""
        self.events = 0
        self.reads = 0
        self.head = b""
        self.begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.whole: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the request."""
        self.transport = transport  # type: ignore[assignment]  # a stream's is one
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count the ends of events, one of which may come in two pieces."""
        if not self.begun.done():
            self.head += data
            if b"\r\n\r\n" not in self.head:
                return
            self.begun.set_result(None)
        seen = (self._tail + data).count(_END)
        self._tail = data[-1:]
        self.events += seen
        self.reads += bool(seen)
        if data.endswith(_LAST_CHUNK) and not self.whole.done():
            self.whole.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever waits."""
        self.lost.set_result(None)
        for waited in (self.begun, self.whole):
            if not waited.done():
                waited.set_exception(exc or ConnectionResetError(f"closed after {self.events} events"))
                waited.exception()


async def open_streams(proxy: Running, count: int, every: float) -> Sequence[Stream]:
    """Open streams, and return them when each has begun.

    Args:
        proxy: where.
        count: of streams.
        every: seconds between two events of a stream.

    Raises:
        BenchmarkFailed: one was refused.
    """
    request = (
        f"POST /v1/stream?every={every} HTTP/1.1\r\nHost: 127.0.0.1:{proxy.port}\r\n"
        f"Authorization: Bearer {proxy.key}\r\nAccept: text/event-stream\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(_BODY)}\r\n\r\n"
    ).encode() + _BODY
    loop = asyncio.get_running_loop()
    streams: list[Stream] = []
    async with asyncio.timeout(PATIENCE):
        while len(streams) < count:
            wave = [
                (await loop.create_connection(lambda: Stream(request), "127.0.0.1", proxy.port))[1]
                for _ in range(min(_AT_ONCE, count - len(streams)))
            ]
            await asyncio.gather(*(stream.begun for stream in wave))
            streams += wave
    for stream in streams:
        if b" 200 " not in stream.head[:20]:
            raise BenchmarkFailed(f"a stream was refused: {stream.head!r}")
    return streams


async def close(streams: Sequence[Stream]) -> None:
    """Close all connections at once."""
    for stream in streams:
        stream.transport.abort()
    await asyncio.gather(*(stream.lost for stream in streams))
