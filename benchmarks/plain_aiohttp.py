"""The proxy that one writes first: aiohttp's server, a ``ClientSession``, and a header replaced.

As a program it is that proxy: ``python -m benchmarks.plain_aiohttp PORT ORIGIN``.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web

from .programs import BEARER, Origin, Running, await_port, free_port, program

_NOT_UP = {"host", "authorization", "connection", "transfer-encoding"}
_NOT_DOWN = {"connection", "transfer-encoding"}


class PlainAiohttp:
    """The plain aiohttp proxy as one under test."""

    name = "plain aiohttp"
    speaks_tls = False

    def missing(self) -> str | None:
        """Return None: aiohttp is sidekey's own dependency."""
        return None

    @contextlib.contextmanager
    def running(self, origin: Origin, folder: Path, core: int) -> Iterator[Running]:
        """Run it in front of an origin."""
        port = free_port()
        said = folder / "said"
        command = [sys.executable, "-m", __name__, str(port), str(origin.port)]
        with program(command, core=core, said=said) as process:
            await_port(process, port, said)
            yield Running(port, process.pid)


class _Proxy:
    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._session: aiohttp.ClientSession

    async def session(self, _: web.Application) -> AsyncIterator[None]:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        ) as self._session:
            yield

    async def handle(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_UP}
        headers["Authorization"] = f"Bearer {BEARER}"
        data = request.content if request.can_read_body else None
        async with self._session.request(
            request.method, f"{self._origin}{request.path_qs}", headers=headers, data=data
        ) as answer:
            response = web.StreamResponse(status=answer.status, reason=answer.reason)
            for name, value in answer.headers.items():
                if name.lower() not in _NOT_DOWN:
                    response.headers.add(name, value)
            await response.prepare(request)
            async for piece in answer.content.iter_any():
                await response.write(piece)
            await response.write_eof()
            return response


def _serve(port: int, origin: int) -> None:
    proxy = _Proxy(f"http://127.0.0.1:{origin}")
    application = web.Application(client_max_size=0)
    application.cleanup_ctx.append(proxy.session)
    application.router.add_route("*", "/{path:.*}", proxy.handle)
    web.run_app(
        application, host="127.0.0.1", port=port, loop=uvloop.new_event_loop(), access_log=None, print=None
    )


if __name__ == "__main__":
    _serve(int(sys.argv[1]), int(sys.argv[2]))
