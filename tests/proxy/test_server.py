"""A server listens on all it is to listen on, or on nothing; what it listens on can be changed."""

from __future__ import annotations

import ssl
import stat
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme

from sidekey_auth.broker import Broker
from sidekey_auth.clock import SystemClock
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_auth.timing import Timing
from sidekey_auth.upstream import parse_base
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.addresses import Address, UnixAddress
from sidekey_proxy.configuration.settings import Settings
from sidekey_proxy.doctor.knock import who_answers
from sidekey_proxy.forward import Forward
from sidekey_proxy.listener.endpoint import bind
from sidekey_proxy.listener.tls import server_tls
from sidekey_proxy.running.server import Arrangement, Server
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings

KEY = "sk-side-canary-of-the-server-0123456789"
ANYWHERE = Address("127.0.0.1", 0)


@pytest.fixture
def short() -> Iterator[Path]:
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


def arranged(**settings: Any) -> Arrangement:
    """Return how to serve with these settings; there is no bearer, so that requests end here."""
    keyless = settings.pop("keyless", False)
    settings = {"listen": (ANYWHERE,), "admin_listen": (), **settings}
    chosen = Settings(**settings)
    pool = PooledUpstream(UpstreamSettings(base=parse_base(chosen.upstream)))
    broker = Broker(MemoryVault(), {}, timing=Timing(SystemClock(), 300))
    return Arrangement(
        settings=chosen,
        forward=Forward(broker, pool, lambda _: None, may_carry=lambda _: True),
        client_key=None if keyless else Secret(KEY),
        admin_key=Secret(KEY),
        status=lambda: pytest.fail("nobody asks"),
        tls=server_tls(chosen),
    )


@asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator[Server]:
    server = Server(Broker(MemoryVault(), {}, timing=Timing(SystemClock(), 300)), arranged(**settings))
    try:
        await server.start()
        yield server
    finally:
        await server.stop(drain=0)


def is_there(path: str) -> bool:
    return Path(path).is_socket()


def mode_of(path: str) -> int:
    return stat.S_IMODE(Path(path).stat().st_mode)


async def status_at(
    url: str, *, path: str | None = None, tls: ssl.SSLContext | None = None, **headers: str
) -> int:
    """Return the status of one request: 401 says that a key is asked for, and 404 that the path is none."""
    connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector(ssl=tls or True)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        session.get(url, headers=headers) as answer,
    ):
        return answer.status


async def test_a_listener_of_its_own_is_refused_as_upstream_though_the_settings_could_not_know() -> None:
    with bind(Address("127.0.0.1", 0)).socket as free:  # type: ignore[union-attr]
        port = free.getsockname()[1]
    with pytest.raises(ConfigurationError, match="upstream"):
        async with serving(listen=(Address("127.0.0.1", port),), upstream=f"http://127.0.0.1:{port}/v1"):
            pytest.fail("it has started")
    bind(Address("127.0.0.1", port)).close()  # type: ignore[union-attr]


async def test_it_listens_in_several_ways_at_once(short: Path) -> None:
    path = str(short / "clients.sock")
    async with serving(listen=(ANYWHERE, Address("::1", 0), UnixAddress(path))) as server:
        one, other, unix = server.addresses.listen
        assert await status_at(f"http://{one}/v1/models") == 401
        assert await status_at(f"http://{other}/v1/models") == 401
        assert unix == UnixAddress(path)
        for host in ("localhost", "sidekey", "api.openai.com"):
            assert await status_at("http://localhost/v1/models", path=path, Host=host) == 401, (
                "any Host will do on a Unix socket"
            )
        assert await status_at(f"http://{one}/v1/models", Host="api.openai.com") == 421
    assert not is_there(path)


async def test_the_doctor_finds_every_kind_of_listener(short: Path, tmp_path: Path) -> None:
    ca = trustme.CA()
    files = _written(tmp_path, ca.issue_cert("127.0.0.1"), ca)
    unix, tls = UnixAddress(str(short / "s")), Address("127.0.0.1", 0, tls=True)
    async with serving(listen=(unix, tls, Address("::1", 0)), admin_listen=(tls,), **files) as server:
        for address in (*server.addresses.listen, *server.addresses.admin):
            assert await who_answers(address) == "sidekey", address
    assert await who_answers(unix) == "nobody"


async def test_the_admin_listener_may_be_a_unix_socket(short: Path) -> None:
    path = str(short / "admin.sock")
    async with serving(admin_listen=(UnixAddress(path),)) as server:
        assert server.addresses.admin_url is None
        assert await status_at("http://anything/livez", path=path) == 200
        assert await status_at("http://anything/readyz", path=path) == 503


async def test_when_one_address_cannot_be_had_none_is_kept(short: Path) -> None:
    path = short / "s"
    with bind(ANYWHERE).socket as taken:  # type: ignore[union-attr]
        there = Address("127.0.0.1", taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="is in use"):
            async with serving(listen=(UnixAddress(str(path)), there)):
                pytest.fail("it has started")
    assert not path.exists()


async def test_an_https_listener_shows_its_certificate_and_admits_who_shows_one(tmp_path: Path) -> None:
    ca, clients_ca = trustme.CA(), trustme.CA()
    files = _written(tmp_path, ca.issue_cert("127.0.0.1"), clients_ca)
    tls = Address("127.0.0.1", 0, tls=True)
    async with serving(listen=(tls,), admin_listen=(tls,), **files) as server:
        trusting = ssl.create_default_context()
        ca.configure_trust(trusting)
        assert server.addresses.base_url is not None
        assert server.addresses.admin_url is not None
        assert server.addresses.base_url.startswith("https://")
        with pytest.raises(aiohttp.ClientError):
            await status_at(f"{server.addresses.base_url}/models", tls=trusting)
        assert await status_at(f"{server.addresses.admin_url}/livez", tls=trusting) == 200, "probes have none"
        clients_ca.issue_cert("somebody@example.org").configure_cert(trusting)
        assert await status_at(f"{server.addresses.base_url}/models", tls=trusting) == 401
        trustme.CA().issue_cert("nobody@example.org").configure_cert(trusting)
        with pytest.raises(aiohttp.ClientError):
            await status_at(f"{server.addresses.base_url}/models", tls=trusting)


def _written(folder: Path, leaf: trustme.LeafCert, clients_ca: trustme.CA) -> dict[str, Path]:
    files = {name: folder / f"{name}.pem" for name in ("tls_certificate", "tls_key", "tls_client_ca")}
    files["tls_certificate"].write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    files["tls_key"].write_bytes(leaf.private_key_pem.bytes())
    files["tls_client_ca"].write_bytes(clients_ca.cert_pem.bytes())
    return files


async def test_a_change_closes_what_is_gone_opens_what_is_new_and_leaves_the_rest(short: Path) -> None:
    gone, new = str(short / "gone"), str(short / "new")
    async with serving(listen=(ANYWHERE, UnixAddress(gone))) as server, aiohttp.ClientSession() as session:
        port = server.addresses.listen[0]
        url = f"http://{port}/v1/models"
        async with session.get(url) as answer:
            assert answer.status == 401
        await server.change(arranged(listen=(ANYWHERE, UnixAddress(new, 0o660)), hosts=("new.example",)))
        assert server.addresses.listen == (port, UnixAddress(new, 0o660))
        assert not is_there(gone)
        assert await status_at("http://localhost/v1/models", path=new) == 401
        async with session.get(url, headers={"Host": "new.example"}) as answer:
            assert answer.status == 401, "new rules hold for connections that are open"
        await server.change(arranged(listen=(ANYWHERE, UnixAddress(new, 0o600))))
        assert mode_of(new) == 0o600


async def test_a_change_that_cannot_be_made_changes_nothing(short: Path) -> None:
    path = short / "s"
    with bind(ANYWHERE).socket as taken:  # type: ignore[union-attr]
        there = Address("127.0.0.1", taken.getsockname()[1])
        async with serving() as server:
            before = server.addresses
            with pytest.raises(ConfigurationError, match="is in use"):
                await server.change(arranged(listen=(UnixAddress(str(path)), there), hosts=("new.example",)))
            assert server.addresses == before
            assert await status_at(f"http://{before.listen[0]}/v1/models") == 401
            assert await status_at(f"http://{before.listen[0]}/v1/models", Host="new.example") == 421
    assert not path.exists()


async def test_a_port_can_change_to_tls_and_back(tmp_path: Path) -> None:
    ca = trustme.CA()
    files = _written(tmp_path, ca.issue_cert("127.0.0.1"), ca)
    del files["tls_client_ca"]
    trusting = ssl.create_default_context()
    ca.configure_trust(trusting)
    async with serving() as server:
        (port,) = server.addresses.listen
        assert isinstance(port, Address)
        await server.change(arranged(listen=(Address("127.0.0.1", 0, tls=True),), **files))
        assert server.addresses.listen == (Address("127.0.0.1", port.port, tls=True),)
        assert await status_at(f"https://{port}/v1/models", tls=trusting) == 401
        await server.change(arranged())
        assert await status_at(f"http://{port}/v1/models") == 401


async def test_a_socket_that_others_can_use_demands_a_key_however_it_came_here(short: Path) -> None:
    given = bind(UnixAddress(str(short / "s"), 0o666))
    assert given is not None
    server = Server(Broker(MemoryVault(), {}, timing=Timing(SystemClock(), 300)), arranged(keyless=True))
    with pytest.raises(ConfigurationError, match="clients must show a key"):
        await server.start([("clients", given.as_given())])
