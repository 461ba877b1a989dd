"""Listeners, and how they start, change, drain and stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import structlog

from sidekey_auth.broker import Broker
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_auth.states import Standing
from sidekey_auth.upstream import parse_base
from sidekey_proxy.addresses import Address, ListenAddress, base_url, nearest, reachable_by_others
from sidekey_proxy.admin.health import Health
from sidekey_proxy.configuration.contradictions import exposed_problem
from sidekey_proxy.configuration.settings import Settings
from sidekey_proxy.forward import Forward
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.listener import plan as listen_plan
from sidekey_proxy.listener.admission import Admission
from sidekey_proxy.listener.bounds import ceilings, listener_settings
from sidekey_proxy.listener.doors import AdminDoor, ClientDoor, Door
from sidekey_proxy.listener.endpoint import Bound, bind
from sidekey_proxy.listener.plan import Change, Place, Role, Wanted
from sidekey_proxy.listener.tls import ServerTls
from sidekey_proxy.message.exchange import Exchange
from sidekey_proxy.status import StatusReport
from sidekey_proxy.upstream.loop import loop_problem

log = structlog.get_logger("sidekey.server")

_IDLE_GRACE: Final = 2.0
"""Seconds for which an idle connection may bring one more request after its listener is closed to others."""
_SETTLE: Final = 1.0
"""Seconds in which connections that were accepted at the very end have shaken hands."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where a running server is reached.

    Attributes:
        listen: what clients connect to, ports filled in.
        admin: what probes connect to.
        hosts: names that clients reach it by, besides.
    """

    listen: tuple[ListenAddress, ...] = ()
    admin: tuple[ListenAddress, ...] = ()
    hosts: tuple[str, ...] = ()

    @property
    def base_url(self) -> str | None:
        """The base URL for clients on this machine; None where there are only Unix sockets."""
        port = nearest(self.listen)
        return None if port is None else base_url(port, self.hosts)

    @property
    def admin_url(self) -> str | None:
        """The admin listener's URL, if there is one on a port."""
        port = nearest(self.admin)
        return None if port is None else base_url(port, self.hosts).removesuffix("/v1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrangement:
    """How a server serves. Another one can take its place while it does.

    Attributes:
        settings: where to listen, and whom to let in.
        forward: takes requests to upstream.
        client_key: what clients must show, or None where nothing is asked for.
        admin_key: what `/status` asks for, in any case.
        status: gives the report for `/status`.
        tls: what https:// listeners show, or None where there is none.
        nobodys_choice: the roles whose addresses are the defaults.
    """

    settings: Settings
    forward: Forward
    client_key: Secret | None
    admin_key: Secret
    status: Callable[[], StatusReport]
    tls: ServerTls | None = None
    nobodys_choice: frozenset[Role] = frozenset()


class Server:
    """The proxy's listeners and the admin listeners, around one broker.

    Args:
        broker: started already; it is not stopped here.
        arrangement: how to serve.
    """

    def __init__(self, broker: Broker, arrangement: Arrangement) -> None:
        self._broker = broker
        self._arrangement = arrangement
        self._admission = Admission()
        self._doors: dict[Place, Door] = {}
        self._closing: set[asyncio.Task[int]] = set()
        self._draining = False
        self._taken_over = False

    @property
    def addresses(self) -> Addresses:
        """Where it is reached now."""
        return Addresses(
            tuple(door.endpoint.bound.address for door in self._doors_of("clients")),
            tuple(door.endpoint.bound.address for door in self._doors_of("admin")),
            self._arrangement.settings.hosts,
        )

    async def start(self, given: Iterable[tuple[Role, Bound]] = ()) -> Addresses:
        """Listen.

        Args:
            given: sockets that listen already, such as systemd's; those that nobody wants are closed.

        Raises:
            ConfigurationError: an address cannot be had.
        """
        try:
            await self.change(self._arrangement, given)
        except BaseException:
            await self.stop(drain=0)
            raise
        return self.addresses

    async def change(self, arrangement: Arrangement, given: Iterable[tuple[Role, Bound]] = ()) -> None:
        """Serve in another way from now on, and drop no connection for it.

        Listeners that are wanted no more are closed and drained, new ones opened, and the others stay.

        Args:
            arrangement: the other way.
            given: sockets that listen already; those that nobody wants are closed.

        Raises:
            ConfigurationError: an address cannot be had; all is as it was before.
        """
        offered = _by_place(given)
        try:
            plan = listen_plan.change(self._doors, self._wanted(arrangement, offered))
            listening = self._prepared(plan, arrangement, offered)
        finally:
            for bound in offered.values():
                bound.close()
        self._arrangement = arrangement
        for place in plan.close:
            self._close_later(self._doors.pop(place))
        for place, bound in listening.items():
            if place in self._doors:
                self._doors[place].endpoint.bound = bound
            else:
                self._doors[place] = self._door(place.role, bound)
            await self._open(self._doors[place])
        self._warn_of_clear_text()

    def listening(self) -> list[tuple[Role, Bound]]:
        """Return what it listens on."""
        return [(place.role, self._bound(place)) for place in self._doors]

    def own(self) -> None:
        """Take sockets that were lent as one's own: the process that lent them accepts no more."""
        for door in self._doors.values():
            door.endpoint.bound = replace(door.endpoint.bound, lent=False)
            door.endpoint.bound.permit()

    def let_go(self, kept: Collection[Bound]) -> None:
        """Accept no more, since another process does; then stop.

        Args:
            kept: what the other process listens on.
        """
        self._taken_over = True
        sockets = {bound.socket for bound in kept}
        for door in self._doors.values():
            door.endpoint.bound = replace(door.endpoint.bound, lent=door.endpoint.bound.socket in sockets)
            door.endpoint.close()

    async def stop(self, drain: float | None = None) -> None:
        """Stop accepting, let open requests finish, then end. The admin listeners answer until then.

        Args:
            drain: seconds that open requests may take; the setting's where it is left out.
        """
        self._draining = True
        seconds = self._arrangement.settings.drain_timeout if drain is None else drain
        clients, admin = self._doors_of("clients"), self._doors_of("admin")
        for door in clients:
            door.endpoint.close()
        waiting = self._open_requests()
        if waiting:
            log.info("draining", requests=waiting, seconds=seconds)
        grace = 0.0
        if self._taken_over:
            grace = _IDLE_GRACE
            await asyncio.sleep(_SETTLE)
        cut = await asyncio.gather(
            *(door.drain(seconds, idle_grace=grace) for door in clients), *self._closing
        )
        for door in admin:
            door.endpoint.close()
            await door.drain(seconds)
        self._doors.clear()
        if sum(cut):
            log.warning("requests were cut", requests=sum(cut))

    # --- listeners ------------------------------------------------------------------------------------

    def _wanted(self, arrangement: Arrangement, offered: dict[Place, Bound]) -> tuple[Wanted, ...]:
        there = {place: self._bound(place) for place in self._doors} | offered
        return listen_plan.wanted(
            arrangement.settings.listen,
            arrangement.settings.admin_listen,
            nobodys_choice=arrangement.nobodys_choice,
            given=[Wanted(place.role, bound.wanted) for place, bound in there.items() if bound.given],
        )

    def _prepared(
        self, plan: Change, arrangement: Arrangement, offered: dict[Place, Bound]
    ) -> dict[Place, Bound]:
        """Return the sockets that are to be served, the new ones bound; offered ones are taken out."""
        opened: dict[Place, Bound] = {}
        try:
            for wanted in plan.open:
                bound = _taken(offered, wanted.place) or bind(wanted.address, needed=wanted.needed)
                if bound is not None:
                    opened[wanted.place] = bound.served_as(wanted.address)
            staying = {each.place: self._bound(each.place).served_as(each.address) for each in plan.stay}
            listening = {**staying, **opened}
            self._check(arrangement, listening)
            for bound in listening.values():
                bound.permit()
        except BaseException:
            for bound in opened.values():
                bound.close()
            raise
        return listening

    def _bound(self, place: Place) -> Bound:
        return self._doors[place].endpoint.bound

    def _check(self, arrangement: Arrangement, listening: Mapping[Place, Bound]) -> None:
        """Look again at what the settings could not know: free ports, `::1`, sockets that were given."""
        settings = arrangement.settings
        addresses = [bound.address for bound in listening.values()]
        ports = [address for address in addresses if isinstance(address, Address)]
        origin = parse_base(settings.upstream).origin
        if problem := loop_problem(origin, ports, own_names=settings.hosts):
            raise ConfigurationError(f"`upstream`: {problem}")
        if arrangement.tls is None and any(address.tls for address in addresses):
            raise ConfigurationError("an https:// listener needs `tls_certificate`")
        clients = [bound.address for place, bound in listening.items() if place.role == "clients"]
        exposed = reachable_by_others(clients)
        if exposed and arrangement.client_key is None:
            raise ConfigurationError(f"`client_key_required`: {exposed_problem(exposed)}")

    def _door(self, role: Role, bound: Bound) -> Door:
        if role == "admin":
            health = Health(self._standing, self._report, lambda: self._draining)
            return AdminDoor(bound, health)
        return ClientDoor(bound, self._handle, self._admission)

    async def _handle(self, exchange: Exchange, rules: GuardRules) -> None:
        await self._arrangement.forward.handle(exchange, rules)

    async def _open(self, door: Door) -> None:
        now = self._arrangement
        tls = None
        if door.endpoint.bound.wanted.tls and now.tls is not None:
            tls = now.tls.admin if isinstance(door, AdminDoor) else now.tls.clients
        self._admission.ceilings = ceilings(now.settings)
        await door.open(self._rules(door), listener_settings(now.settings), tls)

    def _rules(self, door: Door) -> GuardRules:
        now = self._arrangement
        settings = now.settings
        address = door.endpoint.bound.wanted
        admin = isinstance(door, AdminDoor)
        keys = (now.admin_key,) if admin else (now.client_key,) if now.client_key is not None else ()
        if isinstance(address, Address):
            loopback, hosts = address.is_loopback, settings.hosts
        else:  # no name can be pointed at a Unix socket, and its clients call it as they like
            loopback, hosts = False, ()
        return GuardRules(
            loopback=loopback,
            hosts=frozenset(hosts),
            origins=frozenset() if admin else frozenset(settings.origins),
            client_keys=keys,
        )

    def _close_later(self, door: Door) -> None:
        log.info("a listener is closed", listen=str(door.endpoint.bound.address))
        door.endpoint.close()
        seconds = self._arrangement.settings.drain_timeout
        task = asyncio.create_task(door.drain(seconds, idle_grace=_IDLE_GRACE))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    # --- telling --------------------------------------------------------------------------------------

    def _standing(self) -> Standing:
        return self._broker.standing()

    def _report(self) -> dict[str, Any]:
        now, addresses = self._arrangement, self.addresses
        return {
            **now.status().as_json(),
            "listen": [str(address) for address in addresses.listen],
            "admin_listen": [str(address) for address in addresses.admin],
            "upstream": now.settings.upstream,
            "client_key_required": now.client_key is not None,
            "clear_text_listeners": [str(address) for address in self._clear_text()],
            "open_requests": self._open_requests(),
        }

    def _open_requests(self) -> int:
        return sum(door.open_requests for door in self._doors.values())

    def _doors_of(self, role: Role) -> list[Door]:
        return [door for place, door in self._doors.items() if place.role == role]

    def _clear_text(self) -> list[ListenAddress]:
        return [address for address in self.addresses.listen if address.is_clear_text]

    def _warn_of_clear_text(self) -> None:
        for address in self._clear_text():
            log.warning("client keys travel in the clear", listen=str(address))


def _by_place(given: Iterable[tuple[Role, Bound]]) -> dict[Place, Bound]:
    """Return the sockets by what they occupy; of two with the same, the first."""
    found: dict[Place, Bound] = {}
    for role, bound in given:
        if bound.is_reachable and Place(role, bound.wanted.place) not in found:
            found[Place(role, bound.wanted.place)] = bound
        else:
            bound.close()
    return found


def _taken(offered: dict[Place, Bound], place: Place) -> Bound | None:
    """Take out the socket that occupies a place, also where it was bound to any free port."""
    for there, bound in offered.items():
        if place in {there, Place(there.role, bound.address.place)}:
            return offered.pop(there)
    return None
