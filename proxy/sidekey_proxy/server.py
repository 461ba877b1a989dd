"""Listeners, and how they start, drain and stop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog
from aiohttp import web

from sidekey_auth.broker import Broker
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret

from .addresses import Address, base_url
from .admin.health import Health, admin_application
from .forward import Forward
from .guard import GuardRules
from .listener import Listener
from .settings import Settings
from .status import StatusReport
from .upstream_rules import loop_problem, parse_base

log = structlog.get_logger("sidekey.server")

BACKLOG: Final = 1024
_NO_SUCH_ADDRESS: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running server is reached.

    Attributes:
        listen: what clients connect to, ports filled in.
        admin: what probes connect to.
    """

    listen: tuple[Address, ...]
    admin: tuple[Address, ...]

    @property
    def base_url(self) -> str:
        """The base URL for clients on this machine."""
        return base_url(self.listen[0])

    @property
    def admin_url(self) -> str | None:
        """The admin listener's URL, if there is one."""
        return base_url(self.admin[0]).removesuffix("/v1") if self.admin else None


class Server:
    """The proxy's listeners and the admin listener, around one broker.

    Args:
        settings: where to listen, and whom to let in.
        broker: started already; it is not stopped here.
        forward: takes requests to upstream.
        client_key: what clients must show, or None where nothing is asked for.
        admin_key: what `/status` asks for, in any case.
        status: gives the report for `/status`.
        default_listen: the listen address was nobody's choice: `::1` is added where there is IPv6.
    """

    def __init__(
        self,
        settings: Settings,
        broker: Broker,
        forward: Forward,
        *,
        client_key: Secret | None,
        admin_key: Secret,
        status: Callable[[], StatusReport],
        default_listen: bool = False,
    ) -> None:
        self._settings = settings
        self._broker = broker
        self._forward = forward
        self._keys = (client_key,) if client_key is not None else ()
        self._admin_keys = (admin_key,)
        self._status = status
        self._default_listen = default_listen
        self._listeners: list[Listener] = []
        self._servers: list[asyncio.Server] = []
        self._admin: list[web.AppRunner] = []
        self._draining = False
        self.addresses = Addresses((), ())

    async def start(self) -> Addresses:
        """Listen.

        Raises:
            ConfigurationError: an address cannot be had.
        """
        try:
            listen = [await self._listen(address) for address in self._wanted()]
            admin = [await self._listen_admin(address) for address in self._settings.admin_listen]
            self.addresses = Addresses(tuple(filter(None, listen)), tuple(admin))
            self._check_loop()
        except BaseException:
            await self.stop(drain=0)
            raise
        self._warn_of_clear_text()
        return self.addresses

    async def stop(self, drain: float | None = None) -> None:
        """Stop accepting, let open requests finish, then end.

        Args:
            drain: seconds that open requests may take; the setting's where it is left out.
        """
        self._draining = True
        for server in self._servers:
            server.close()
        seconds = self._settings.drain_timeout if drain is None else drain
        waiting = sum(listener.open_exchanges for listener in self._listeners)
        if waiting:
            log.info("draining", requests=waiting, seconds=seconds)
        cut = await asyncio.gather(*(listener.drain(seconds) for listener in self._listeners))
        for runner in self._admin:
            await runner.cleanup()
        self._listeners, self._servers, self._admin = [], [], []
        if sum(cut):
            log.warning("requests were cut", requests=sum(cut))

    def _wanted(self) -> Sequence[tuple[Address, bool]]:
        wanted = [(address, True) for address in self._settings.listen]
        if self._default_listen:
            wanted.append((replace(self._settings.listen[0], host="::1"), False))
        return wanted

    async def _listen(self, wanted: tuple[Address, bool]) -> Address | None:
        address, needed = wanted
        rules = GuardRules(
            loopback=address.is_loopback,
            hosts=frozenset(self._settings.hosts),
            origins=frozenset(self._settings.origins),
            client_keys=self._keys,
        )
        listener = Listener(lambda exchange: self._forward.handle(exchange, rules))
        bound = bind(address, needed=needed)
        if bound is None:
            return None
        loop = asyncio.get_running_loop()
        self._servers.append(await loop.create_server(listener, sock=bound, backlog=BACKLOG))
        self._listeners.append(listener)
        return replace(address, port=bound.getsockname()[1])

    async def _listen_admin(self, address: Address) -> Address:
        rules = GuardRules(
            loopback=address.is_loopback,
            hosts=frozenset(self._settings.hosts),
            client_keys=self._admin_keys,
        )
        health = Health(self._broker.standing, self._report, lambda: self._draining)
        runner = web.AppRunner(admin_application(health, rules), access_log=None)
        bound = bind(address)
        assert bound is not None  # noqa: S101 - it is needed
        await runner.setup()
        self._admin.append(runner)
        await web.SockSite(runner, bound, shutdown_timeout=1.0).start()
        return replace(address, port=bound.getsockname()[1])

    def _report(self) -> dict[str, Any]:
        return {
            **self._status().as_json(),
            "listen": [str(address) for address in self.addresses.listen],
            "admin_listen": [str(address) for address in self.addresses.admin],
            "upstream": self._settings.upstream,
            "client_key_required": bool(self._keys),
            "clear_text_listeners": [str(address) for address in self._exposed()],
            "open_requests": sum(listener.open_exchanges for listener in self._listeners),
        }

    def _exposed(self) -> list[Address]:
        return [address for address in self.addresses.listen if address.is_clear_text]

    def _check_loop(self) -> None:
        """Look again at what the settings could not know: free ports, and `::1` beside the default."""
        bound = (*self.addresses.listen, *self.addresses.admin)
        origin = parse_base(self._settings.upstream).origin
        if problem := loop_problem(origin, bound, own_names=self._settings.hosts):
            raise ConfigurationError(f"`upstream`: {problem}")

    def _warn_of_clear_text(self) -> None:
        for address in self._exposed():
            log.warning("client keys travel in the clear", listen=str(address))


def bind(address: Address, *, needed: bool = True) -> socket.socket | None:
    """Return a socket bound to an address, exclusively.

    Args:
        address: where; port 0 takes a free one.
        needed: False returns None where the machine has no such address.

    Raises:
        ConfigurationError: it is in use, or not this machine's.
    """
    try:
        family, kind, protocol, _, place = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        _insist(address, error, needed=needed)
        return None
    try:
        bound.setblocking(False)
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            # On POSIX this only lets a port be had again whose old connections linger.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(place)
        bound.listen(BACKLOG)
    except OSError as error:
        bound.close()
        _insist(address, error, needed=needed)
        return None
    return bound


def _insist(address: Address, error: OSError, *, needed: bool) -> None:
    if not needed and (error.errno in _NO_SUCH_ADDRESS or isinstance(error, socket.gaierror)):
        return
    if error.errno == errno.EADDRINUSE:
        raise ConfigurationError(
            f"{address} is in use",
            remedy="Is sidekey running already? Else choose another address with --listen or --admin-listen.",
        ) from None
    raise ConfigurationError(
        f"{address} cannot be listened on: {error.strerror}", remedy="Choose another address with --listen."
    ) from None
