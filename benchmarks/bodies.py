"""Load of long bodies: sent, fetched, and fetched by a client that does not read."""

from __future__ import annotations

import asyncio
import json
import ssl
from pathlib import Path
from typing import Final

from .programs import BenchmarkFailed, Origin, Running

_BLOCK: Final = bytes(256 * 1024)
_LIMIT: Final = 256 * 1024


async def send_body(proxy: Running, size: int) -> None:
    """Send a body of this many bytes, and see that all of it arrived at the origin."""
    reader, writer = await _request(proxy, "POST", "/v1/sink", f"Content-Length: {size}\r\n")
    left = size
    while left:
        piece = _BLOCK[:left]
        left -= len(piece)
        writer.write(piece)
        await writer.drain()
    arrived = json.loads(await reader.readexactly(await _length(reader)))["count"]
    writer.close()
    if arrived != size:
        raise BenchmarkFailed(f"{arrived} of {size} bytes arrived")


async def fetch_body(proxy: Running, size: int) -> None:
    """Fetch a body of this many bytes, and see that all of it arrived here."""
    reader, writer = await _request(proxy, "GET", f"/v1/flood?bytes={size}", "")
    left = await _length(reader)
    while left:
        piece = await reader.read(_LIMIT)
        if not piece:
            raise BenchmarkFailed(f"a body was cut: {left} of {size} bytes are missing")
        left -= len(piece)
    writer.close()


async def not_reading(proxy: Running, count: int) -> list[asyncio.Transport]:
    """Ask for endless bodies and read nothing of them; return the connections."""
    loop = asyncio.get_running_loop()
    connections = []
    for _ in range(count):
        transport, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", proxy.port)
        transport.pause_reading()
        transport.write(_head(proxy, "GET", f"/v1/flood?bytes={1 << 40}", ""))
        connections.append(transport)
    return connections


async def flooded(origin: Origin) -> int:
    """Return how many bytes the origin has handed to the system for all floods so far."""
    return await _told(origin, "/v1/flooded")


async def end_streams(origin: Origin) -> int:
    """Let the origin end all event streams, and return how many events it has sent in all."""
    return await _told(origin, "/v1/end")


async def _told(origin: Origin, path: str) -> int:
    reader, writer = await _request(Running(origin.port, 0), "GET", path, "", origin.ca)
    count = json.loads(await reader.readexactly(await _length(reader)))["count"]
    writer.close()
    return int(count)


async def _request(
    proxy: Running, method: str, path: str, fields: str, ca: Path | None = None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    tls = None if ca is None else ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port, limit=_LIMIT, ssl=tls)
    writer.write(_head(proxy, method, path, fields))
    return reader, writer


def _head(proxy: Running, method: str, path: str, fields: str) -> bytes:
    authority = f"Host: 127.0.0.1:{proxy.port}\r\nAuthorization: Bearer {proxy.key}\r\n"
    return f"{method} {path} HTTP/1.1\r\n{authority}{fields}\r\n".encode()


async def _length(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    if " 200 " not in head[:20]:
        raise BenchmarkFailed(f"refused: {head}")
    fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
    return int(fields["content-length"])
