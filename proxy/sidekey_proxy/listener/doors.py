"""What stands behind a listening socket: clients' requests, or the admin listener's answers."""

from __future__ import annotations

import ssl
from collections.abc import Awaitable, Callable
from typing import Protocol

from aiohttp import web

from sidekey_auth.server_log import server_log
from sidekey_proxy.admin.health import Health, admin_application
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.message.exchange import Exchange

from .admission import Admission
from .endpoint import Bound, Endpoint
from .server import Listener, ListenerSettings

Handle = Callable[[Exchange, GuardRules], Awaitable[None]]
"""Serves one request to its end."""


class Door(Protocol):
    """One listening socket with its server.

    Attributes:
        endpoint: the socket.
    """

    endpoint: Endpoint

    @property
    def open_requests(self) -> int:
        """How many requests of clients are being served."""

    async def open(self, rules: GuardRules, bounds: ListenerSettings, tls: ssl.SSLContext | None) -> None:
        """Let in whom these rules let in; called again, the rules and bounds hold for open connections, too.

        Args:
            rules: who may come in.
            bounds: how clients' connections are treated.
            tls: for the TLS of new connections, or None.
        """

    async def drain(self, seconds: float, *, idle_grace: float = 0.0) -> int:
        """Let open requests finish, and return how many had to be cut; the endpoint is closed already.

        Args:
            seconds: how long they may take.
            idle_grace: seconds for which an idle connection may bring one more request.
        """


class ClientDoor:
    """Where clients come in.

    Args:
        bound: the socket.
        handle: serves one request.
        admission: counts connections and requests, for all doors together.
    """

    def __init__(self, bound: Bound, handle: Handle, admission: Admission) -> None:
        self.endpoint = Endpoint(bound)
        self._rules = GuardRules()
        self._listener = Listener(lambda exchange: handle(exchange, self._rules), admission=admission)

    @property
    def open_requests(self) -> int:
        """How many requests are being served."""
        return self._listener.open_exchanges

    async def open(self, rules: GuardRules, bounds: ListenerSettings, tls: ssl.SSLContext | None) -> None:
        """Let clients in; see ``Door.open``."""
        self._rules = rules
        self._listener.settings = bounds
        await self.endpoint.serve(self._listener, tls)

    async def drain(self, seconds: float, *, idle_grace: float = 0.0) -> int:
        """Let open requests finish; see ``Door.drain``."""
        return await self._listener.drain(seconds, idle_grace=idle_grace)


class AdminDoor:
    """Where probes ask.

    Args:
        bound: the socket.
        health: what they are told.
    """

    def __init__(self, bound: Bound, health: Health) -> None:
        self.endpoint = Endpoint(bound)
        self._rules = GuardRules()
        application = admin_application(health, lambda: self._rules)
        self._runner = web.AppRunner(
            application, access_log=None, logger=server_log("admin"), shutdown_timeout=1.0
        )

    @property
    def open_requests(self) -> int:
        """Probes do not count."""
        return 0

    async def open(
        self,
        rules: GuardRules,
        bounds: ListenerSettings,  # noqa: ARG002 - see Door
        tls: ssl.SSLContext | None,
    ) -> None:
        """Let probes in; see ``Door.open``."""
        self._rules = rules
        if self._runner.server is None:
            await self._runner.setup()
        assert self._runner.server is not None  # noqa: S101 - setup makes it
        await self.endpoint.serve(self._runner.server, tls)

    async def drain(self, seconds: float, *, idle_grace: float = 0.0) -> int:  # noqa: ARG002 - see Door
        """End; a probe is answered at once, so that there is nothing to wait for."""
        await self._runner.cleanup()
        return 0
