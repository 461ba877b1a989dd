"""A running proxy: broker, upstream and listeners, put together for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sidekey_auth import critical_section
from sidekey_auth.broker import Broker
from sidekey_auth.secret import Secret
from sidekey_auth.upstream import parse_base
from sidekey_auth.vault import VaultDescription
from sidekey_proxy.configuration.config import DEFAULT
from sidekey_proxy.forward import Forward
from sidekey_proxy.listener.endpoint import Bound
from sidekey_proxy.listener.plan import Role
from sidekey_proxy.listener.tls import server_tls
from sidekey_proxy.logs import Log
from sidekey_proxy.place import Place
from sidekey_proxy.record import Recorder, RequestRecord
from sidekey_proxy.replay.copies import Copies
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings

from .hardening import admit_profilers
from .server import Arrangement, Server

log = structlog.get_logger("sidekey.server")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_SETTING_OF: Final[dict[Role, str]] = {"clients": "listen", "admin": "admin_listen"}


@dataclass(frozen=True, slots=True)
class Keys:
    """What is to be shown.

    Attributes:
        client: by clients; None where nothing is asked for.
        admin: by who asks for `/status`.
    """

    client: Secret | None
    admin: Secret


@dataclass(frozen=True, slots=True)
class _Way:
    """What requests travel through; a reload makes another one, and those under way end on the old.

    Attributes:
        upstream: the connections.
        copies: of request bodies.
        forward: the rest.
    """

    upstream: PooledUpstream
    copies: Copies
    forward: Forward

    async def close(self) -> None:
        await self.upstream.close()
        self.copies.close()


class Running:
    """A running proxy.

    Args:
        place: whose credential is served.
        vault: where that is kept.
        record: is told of each request that is over.
        keys: what is to be shown.
    """

    def __init__(self, place: Place, vault: VaultDescription, record: Recorder, keys: Keys) -> None:
        self.place = place
        self._vault = vault
        self._record = record
        self._issuers = place.issuers()
        self.broker = place.broker(self._issuers)
        self._way = self._way_of(place)
        self._old_ways: list[_Way] = []
        self.server = Server(self.broker, self._arrangement(place, keys, self._way))

    async def start(self, given: Iterable[tuple[Role, Bound]] = ()) -> None:
        """Listen; see ``Server.start``."""
        await self.broker.start()
        await self.server.start(given)

    def record_with(self, record: Recorder) -> None:
        """Tell another recorder of requests that are over, from now on."""
        self._record = record

    async def change(self, place: Place, keys: Keys) -> None:
        """Serve with other settings from now on; requests under way end as they began.

        Args:
            place: the same one with other settings, those aside that are fixed at start.
            keys: what is to be shown from now on.

        Raises:
            ConfigurationError: they cannot be used; all is as it was before.
        """
        way = self._way_of(place)
        try:
            await self.server.change(self._arrangement(place, keys, way))
        except BaseException:
            await way.close()
            raise
        self._way.upstream.retire()
        self._old_ways = [old for old in (*self._old_ways, self._way) if old.upstream.in_use]
        self._way, self.place = way, place
        self._issuers.change(place.issuer_settings())
        self.broker.carry(place.carrier())
        self.broker.refresh_before(place.settings.refresh_margin)

    async def stop(self) -> None:
        """Drain, and end."""
        async with AsyncExitStack() as stack:  # each of them, whatever becomes of the others
            stack.push_async_callback(self._issuers.close)
            stack.push_async_callback(self.broker.stop)
            for way in (*self._old_ways, self._way):
                stack.push_async_callback(way.close)
            stack.push_async_callback(self.server.stop)

    def _way_of(self, place: Place) -> _Way:
        upstream = PooledUpstream(upstream_settings(place))
        copies = _copies(place)
        forward = Forward(
            self.broker,
            upstream,
            self._tell,
            may_carry=place.carrier(),
            copies=copies,
            pass_organization=place.settings.pass_organization,
            foreign_refusals=place.settings.foreign_refusals,
        )
        return _Way(upstream, copies, forward)

    def _tell(self, record: RequestRecord) -> None:
        self._record(record)

    def _arrangement(self, place: Place, keys: Keys, way: _Way) -> Arrangement:
        came_from = place.configuration.came_from
        return Arrangement(
            settings=place.settings,
            forward=way.forward,
            client_key=keys.client,
            admin_key=keys.admin,
            status=lambda: place.report(self.broker, self._vault),
            tls=server_tls(place.settings),
            nobodys_choice=frozenset(
                role for role, name in _SETTING_OF.items() if came_from.get(name) == DEFAULT
            ),
        )


@asynccontextmanager
async def running(
    place: Place, lines: Log, keys: Keys, given: Iterable[tuple[Role, Bound]] = ()
) -> AsyncIterator[Running]:
    """Serve until the block ends, then drain and stop.

    Args:
        place: whose credential is served.
        lines: the access log.
        keys: what is to be shown.
        given: sockets that listen already.

    Raises:
        VaultError, SealError: the vault cannot be used as it is.
        ConfigurationError: an address cannot be listened on, or TLS cannot be had.
    """
    if place.settings.allow_profiling:
        admit_profilers()
        log.warning(
            "debuggers and profilers of this user may look into this process", setting="allow_profiling"
        )
    await place.vault.check()
    proxy = Running(place, await place.vault.describe(), lines.request, keys)
    try:
        await proxy.start(given)
        addresses = proxy.server.addresses
        log.info(
            "listening",
            base_url=addresses.base_url,
            admin_url=addresses.admin_url,
            listen=[str(address) for address in addresses.listen],
            admin_listen=[str(address) for address in addresses.admin],
            upstream=place.settings.upstream,
            profile=place.profile,
            client_key=keys.client is not None,
        )
        tell_standing(place, proxy.broker)
        yield proxy
    finally:
        await proxy.stop()


async def until_told_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it ends, or until the process is asked to end (SIGTERM, or Ctrl-C).

    Then it is cancelled, wherever it is: also in the middle of its start, at a keyring that hangs. A second
    Ctrl-C ends the process at once, unless a refresh token is on its way: its answer comes only once.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(number: int) -> None:
        if not told.is_set():
            told.set()
            log.info("stopping", signal=signal.Signals(number).name)
        elif critical_section.active():
            log.warning("waiting for the issuer's answer to a refresh: ending now would lose the sign-in")
        elif number == signal.SIGINT:
            loop.remove_signal_handler(number)
            signal.raise_signal(number)

    for number in _STOPPING:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, tell, number)
    at_work, stop = asyncio.create_task(work), asyncio.create_task(told.wait())
    await asyncio.wait({at_work, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if told.is_set():
        at_work.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await at_work


def upstream_settings(place: Place) -> UpstreamSettings:
    """Return how a place's upstream is reached."""
    chosen = place.settings
    return UpstreamSettings(
        base=parse_base(chosen.upstream),
        ca_bundle=chosen.ca_bundle,
        connect_timeout=chosen.connect_timeout,
        response_timeout=chosen.response_timeout,
        idle_timeout=chosen.idle_timeout,
        peer_timeout=chosen.peer_timeout,
    )


def _copies(place: Place) -> Copies:
    chosen = place.settings
    return Copies(limit=chosen.replay_limit, budget=chosen.replay_budget, folder=chosen.replay_folder)


def tell_standing(place: Place, broker: Broker) -> None:
    """Log whether requests will have a bearer."""
    standing = broker.standing()
    if standing.bearer is not None:
        log.info("ready", state=standing.state, sentence=standing.sentence)
    elif standing.code == "upstream_not_allowed":
        log.warning(
            "the bearer may not go to this upstream: requests are refused",
            upstream=place.settings.upstream,
            remedy="Name it in the setting allow_upstream.",
        )
    else:
        log.warning("no bearer", state=standing.state, sentence=standing.sentence, remedy=standing.remedy)
