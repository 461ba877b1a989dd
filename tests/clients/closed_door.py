"""A proxy server that lets nobody out, and remembers who wanted to go where."""

from __future__ import annotations

import asyncio
from typing import Self


class ClosedDoor:
    """Answers every CONNECT with 502.

    Attributes:
        knocked: the request lines of those who came.
    """

    def __init__(self) -> None:
        self.knocked: list[str] = []
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """Such as ``http://127.0.0.1:40123``."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._refuse, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.knocked.append((await reader.readline()).decode("latin-1").strip())
        writer.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()
