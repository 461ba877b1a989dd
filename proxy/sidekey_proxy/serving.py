"""A running proxy: broker, upstream and listeners, put together for as long as a block lasts."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import structlog

from sidekey_auth.broker import Broker
from sidekey_auth.credential import Bearer
from sidekey_auth.secret import Secret
from sidekey_auth.vault import VaultDescription

from .config import DEFAULT
from .copies import Copies
from .forward import Forward
from .hardening import admit_profilers
from .logs import Log
from .place import Place
from .server import Server
from .settings import allowed_origins
from .status import StatusReport, report
from .upstream_pool import PooledUpstream, UpstreamSettings
from .upstream_rules import may_carry, parse_base

log = structlog.get_logger("sidekey.server")

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Running:
    """A running proxy.

    Attributes:
        server: its listeners.
        broker: its bearer.
    """

    server: Server
    broker: Broker


@asynccontextmanager
async def running(
    place: Place, lines: Log, client_key: Secret | None, admin_key: Secret
) -> AsyncIterator[Running]:
    """Serve until the block ends, then drain and stop.

    Args:
        place: whose credential is served.
        lines: the access log.
        client_key: what clients must show; None where nothing is asked for.
        admin_key: what `/status` asks for.

    Raises:
        VaultError, SealError: the vault cannot be used as it is.
        ConfigurationError: an address cannot be listened on.
    """
    if place.settings.allow_profiling:
        admit_profilers()
        log.warning(
            "debuggers and profilers of this user may look into this process", setting="allow_profiling"
        )
    await place.vault.check()
    description = await place.vault.describe()
    issuers = place.issuers()
    broker = place.broker(issuers)
    upstream = PooledUpstream(upstream_settings(place))
    copies = _copies(place)
    server = Server(
        place.settings,
        broker,
        Forward(
            broker,
            upstream,
            lines.request,
            may_carry=_carrier(place),
            copies=copies,
            pass_organization=place.settings.pass_organization,
            foreign_refusals=place.settings.foreign_refusals,
        ),
        client_key=client_key,
        admin_key=admin_key,
        status=lambda: _report(place, broker, description),
        default_listen=place.configuration.came_from.get("listen") == DEFAULT,
    )
    try:
        await broker.start()
        addresses = await server.start()
        log.info(
            "listening",
            base_url=addresses.base_url,
            admin_url=addresses.admin_url,
            also=[str(address) for address in addresses.listen[1:]],
            upstream=place.settings.upstream,
            profile=place.profile,
            client_key=client_key is not None,
        )
        _tell_standing(place, broker)
        yield Running(server, broker)
    finally:
        async with AsyncExitStack() as stack:  # each of them, whatever becomes of the others
            stack.callback(copies.close)
            stack.push_async_callback(issuers.close)
            stack.push_async_callback(broker.stop)
            stack.push_async_callback(upstream.close)
            stack.push_async_callback(server.stop)


async def until_told_to_stop(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it ends, or until the process is asked to end (SIGTERM, or Ctrl-C).

    Then it is cancelled, wherever it is: also in the middle of its start, at a keyring that hangs.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOPPING:
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(number, told.set)
    at_work, stop = asyncio.create_task(work), asyncio.create_task(told.wait())
    await asyncio.wait({at_work, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    if told.is_set():
        loop.remove_signal_handler(signal.SIGINT)  # a second Ctrl-C ends it at once
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
    )


def _copies(place: Place) -> Copies:
    chosen = place.settings
    return Copies(limit=chosen.replay_limit, budget=chosen.replay_budget, folder=chosen.replay_folder)


def _carrier(place: Place) -> Callable[[Bearer], bool]:
    origin = parse_base(place.settings.upstream).origin
    allowed = allowed_origins(place.settings)
    return lambda bearer: may_carry(origin, bearer.origin, allowed)


def _report(place: Place, broker: Broker, description: VaultDescription) -> StatusReport:
    return report(broker.credential, broker.standing(), description, now=time.time(), sandbox=place.sandbox)


def _tell_standing(place: Place, broker: Broker) -> None:
    standing = broker.standing()
    if standing.bearer is None:
        log.warning("no bearer", state=standing.state, sentence=standing.sentence, remedy=standing.remedy)
    elif not _carrier(place)(standing.bearer):
        log.warning(
            "the bearer may not go to this upstream: requests are refused",
            upstream=place.settings.upstream,
            remedy="Name it in the setting allow_upstream.",
        )
    else:
        log.info("ready", state=standing.state, sentence=standing.sentence)
