from __future__ import annotations

import socket

import pytest

from sidekey_auth.broker import Broker
from sidekey_auth.clock import SystemClock
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_auth.timing import Timing
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.addresses import Address
from sidekey_proxy.forward import Forward
from sidekey_proxy.server import Server, bind
from sidekey_proxy.settings import Settings
from sidekey_proxy.upstream_pool import PooledUpstream, UpstreamSettings
from sidekey_proxy.upstream_rules import parse_base


def test_a_port_is_bound_exclusively() -> None:
    with bind(Address("127.0.0.1", 0)) as first:  # type: ignore[union-attr]
        port = first.getsockname()[1]
        with pytest.raises(ConfigurationError, match="is in use"):
            bind(Address("127.0.0.1", port))


def test_an_address_that_this_machine_has_not_is_left_out_only_where_nobody_asked_for_it() -> None:
    elsewhere = Address("192.0.2.1", 0)
    assert bind(elsewhere, needed=False) is None
    with pytest.raises(ConfigurationError, match="cannot be listened on"):
        bind(elsewhere)


def test_a_port_in_use_is_an_error_also_beside_the_default() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="is in use"):
            bind(Address("127.0.0.1", taken.getsockname()[1]), needed=False)


async def test_a_listener_of_its_own_is_refused_as_upstream_though_the_settings_could_not_know() -> None:
    with bind(Address("127.0.0.1", 0)) as free:  # type: ignore[union-attr]
        port = free.getsockname()[1]
    upstream = f"http://127.0.0.1:{port}/v1"
    pool = PooledUpstream(UpstreamSettings(base=parse_base(upstream)))
    broker = Broker(MemoryVault(), {}, timing=Timing(SystemClock(), 300))
    key = Secret("sk-side-0123456789")
    server = Server(
        Settings(listen=(Address("127.0.0.1", port),), admin_listen=(), upstream=upstream),
        broker,
        Forward(broker, pool, lambda _: None),
        client_key=key,
        admin_key=key,
        status=lambda: pytest.fail("nobody asks"),
    )
    with pytest.raises(ConfigurationError, match="upstream"):
        await server.start()
    bind(Address("127.0.0.1", port)).close()  # type: ignore[union-attr]
    await pool.close()
