"""Connections to one upstream, kept for the next request (``upstream.Upstream``)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from yarl import URL

from sidekey_auth.proxies import proxy_for
from sidekey_auth.upstream import Origin, UpstreamBase

from .answer import Answer
from .connection import Connection, Stale
from .dial import Dial, DirectDial
from .interface import UpstreamRequest
from .proxy import Proxy, ProxyDial
from .request import request_bytes
from .tls import tls_context

_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
_PORTS: Final = {"https": 443, "http": 80}
_TURNS_TO_CLOSE: Final = 20
"""Turns of the event loop in which aborted connections have told that they are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """How upstream is reached.

    Attributes:
        base: what replaces the client's ``/v1``.
        ca_bundle: a PEM file of certificate authorities to trust instead of the system's.
        connect_timeout: seconds that a connection may take to be made.
        response_timeout: seconds until an answer's head must be here.
        idle_timeout: seconds that upstream may stay silent in the middle of an answer.
        peer_timeout: seconds that upstream may acknowledge nothing.
        keep_idle: seconds that an unused connection is kept.
        pool_size: unused connections that are kept.
    """

    base: UpstreamBase
    ca_bundle: Path | None = None
    connect_timeout: float = 10.0
    response_timeout: float = 600.0
    idle_timeout: float = 300.0
    peer_timeout: float = 60.0
    keep_idle: float = 30.0
    pool_size: int = 128


class PooledUpstream:
    """Sends requests to one base URL over connections that are kept and used again.

    Args:
        settings: where upstream is, and how long things may take.
        dial: makes connections; where it is left out, directly, or through the proxy that the environment
            names for upstream.

    Raises:
        ConfigurationError: the CA bundle cannot be used, or the proxy.
    """

    def __init__(self, settings: UpstreamSettings, dial: Dial | None = None) -> None:
        self._settings = settings
        self._host = _host_header(settings.base.origin)
        self._dial = dial or _dial(settings)
        self._idle: dict[Connection, float] = {}
        self._open: set[Connection] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False

    async def send(self, request: UpstreamRequest) -> Answer:
        """Send a request and return its answer when the head is here; see ``Upstream.send``.

        A request whose connection turns out to have been closed while it was idle is sent once more on a
        fresh one, if its method is idempotent and its body can be had again (RFC 9110 section 9.2.2).
        """
        connection = self._take()
        if connection is not None:
            try:
                return await self._exchange(connection, request)
            except Stale:
                if not _repeatable(request):
                    raise
        return await self._exchange(await self._connect(), request)

    async def _exchange(self, connection: Connection, request: UpstreamRequest) -> Answer:
        whole = None if request.body is None else request.body.whole()
        expects = request.expect_continue and request.body is not None and whole is None
        target = self._settings.base.path + request.target
        head = request_bytes(self._host, target, request, expects=expects)
        return await connection.exchange(head, request, whole)

    @property
    def in_use(self) -> bool:
        """Whether there are connections."""
        return bool(self._open)

    def retire(self) -> None:
        """Close what is unused now, and every other connection after its answer."""
        self._closed = True
        if self._sweep is not None:
            self._sweep.cancel()
        while self._idle:
            connection, _ = self._idle.popitem()
            connection.abort()

    async def close(self) -> None:
        """Close all connections."""
        self.retire()
        for connection in list(self._open):
            connection.abort()
        for _ in range(_TURNS_TO_CLOSE):
            if not self._open:
                break
            await asyncio.sleep(0)

    async def _connect(self) -> Connection:
        settings = self._settings
        connection = await self._dial(
            lambda: Connection(
                silence=settings.idle_timeout,
                patience=settings.response_timeout,
                peer_timeout=settings.peer_timeout,
                done=self._done,
            )
        )
        if connection.usable:
            self._open.add(connection)
        return connection

    # --- connections that nobody uses -----------------------------------------------------------------

    def _take(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.usable:
                return connection
        return None

    def _done(self, connection: Connection, usable: bool) -> None:  # noqa: FBT001 - a callback's argument
        if not usable:
            self._open.discard(connection)
            self._idle.pop(connection, None)
        elif self._closed or len(self._idle) >= self._settings.pool_size:
            connection.abort()
        else:
            loop = asyncio.get_running_loop()
            self._idle[connection] = loop.time()
            if self._sweep is None:
                self._sweep = loop.call_later(self._settings.keep_idle, self._sweep_idle)

    def _sweep_idle(self) -> None:
        self._sweep = None
        loop = asyncio.get_running_loop()
        too_old = loop.time() - self._settings.keep_idle
        for connection in [c for c, since in self._idle.items() if since <= too_old]:
            del self._idle[connection]
            connection.abort()
        if self._idle:
            oldest = next(iter(self._idle.values()))
            self._sweep = loop.call_at(oldest + self._settings.keep_idle, self._sweep_idle)


def _dial(settings: UpstreamSettings) -> Dial:
    origin = settings.base.origin
    tls = tls_context(settings.ca_bundle) if origin.scheme == "https" else None
    named = proxy_for(URL.build(scheme=origin.scheme, host=origin.host, port=origin.port))
    if named is None:
        return DirectDial(origin, tls, settings.connect_timeout)
    to_proxy = tls_context(settings.ca_bundle) if named.scheme == "https" else None
    return ProxyDial(origin, tls, Proxy.named(named), to_proxy, settings.connect_timeout)


def _host_header(origin: Origin) -> bytes:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    standard = origin.port == _PORTS[origin.scheme]
    return (host if standard else f"{host}:{origin.port}").encode("ascii")


def _repeatable(request: UpstreamRequest) -> bool:
    return request.method in _IDEMPOTENT and (request.body is None or request.body.again())
