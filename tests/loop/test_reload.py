"""SIGHUP: the configuration is read again, and no connection is dropped for it."""

from __future__ import annotations

import asyncio
import signal
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme

from processes import Server
from raw_http import Message, Origin, Wire, answer
from sidekey_auth.credential import Credential
from sidekey_auth.secret import Secret

from .conftest import House


@dataclass
class Configured:
    """A running server, and the file that its settings come from."""

    house: House
    server: Server
    file: Path
    origin: Origin
    reloads: int = 0

    async def reload(self, **settings: Any) -> dict[str, Any]:
        """Write the file anew, have it read, and return what is logged of it."""
        configure(self.file, **settings)
        self.reloads += 1
        self.server.process.send_signal(signal.SIGHUP)
        return await self.server.logged("reloaded", self.reloads)

    async def connect(self, tls: ssl.SSLContext | None = None, *, path: str | None = None) -> Wire:
        if path is not None:
            return Wire(*await asyncio.open_unix_connection(path))
        url = await self.server.url()
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        return Wire(*await asyncio.open_connection("127.0.0.1", port, ssl=tls))

    async def ask(self, wire: Wire, *fields: str, host: str = "localhost") -> None:
        lines = ("GET /v1/models HTTP/1.1", f"Host: {host}", f"Authorization: Bearer {self.house.client_key}")
        await wire.send("\r\n".join((*lines, *fields, "", "")).encode())

    async def answered(self, wire: Wire, *, host: str = "localhost") -> Message:
        """Return the answer to a request that sidekey or, with an empty body, the origin answers."""
        await self.ask(wire, host=host)
        return await wire.message()


def configure(file: Path, **settings: Any) -> None:
    """Write a settings' file: a port for clients and none for probes, unless it is said otherwise."""
    settings = {"listen": ["127.0.0.1:0"], "admin_listen": [], **settings}
    lines = [f"{name} = {value!r}\n" for name, value in settings.items()]
    file.write_text("".join(lines).replace("True", "true").replace("False", "false"))


@pytest.fixture
async def configured(house: House, tmp_path: Path) -> AsyncIterator[Configured]:
    """Give a server with a static key, whose settings are a file's, in front of an origin made by hand."""
    await house.store(Credential(static_key=Secret("sk-static-canary-0123456789"), generation=1))
    file = tmp_path / "config.toml"
    async with Origin().serving() as origin:
        configure(file, upstream=f"http://127.0.0.1:{origin.port}")
        for name in ("SIDEKEY_UPSTREAM", "SIDEKEY_ALLOW_UPSTREAM"):
            del house.environment[name]
        async with house.serving("--config", str(file)) as server:
            await server.logged("ready")
            yield Configured(house, server, file, origin)


@pytest.fixture
def short() -> Iterator[Path]:
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


async def test_a_stream_stays_whole_and_its_connection_takes_the_new_settings_next(
    configured: Configured,
) -> None:
    client = await configured.connect()
    await configured.ask(client)
    upstream = await configured.origin.accept()
    await upstream.head()
    await upstream.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    await client.head()
    assert await client.chunk() == b"one"
    async with Origin().serving() as other:
        line = await configured.reload(
            upstream=f"http://127.0.0.1:{other.port}/v2", hosts=["new.example"], profile="other"
        )
        assert line["changed"] == ["hosts", "upstream"]
        waiting = await configured.server.logged("these settings hold after a restart only")
        assert waiting["settings"] == ["profile"]
        await upstream.send(b"3\r\ntwo\r\n0\r\n\r\n")
        assert [await client.chunk(), await client.chunk()] == [b"two", None]
        await upstream.ended()
        await configured.ask(client, host="new.example")
        elsewhere = await other.accept()
        assert (await elsewhere.head()).line == b"GET /v2/models HTTP/1.1"
        await elsewhere.send(answer())
        assert (await client.message()).status == 200
    client.close()


async def test_a_configuration_that_cannot_be_used_is_told_with_all_its_faults_and_the_old_one_stays(
    configured: Configured,
) -> None:
    configure(configured.file, upstream="nonsense", hostz=["x"])
    configured.server.process.send_signal(signal.SIGHUP)
    told = await configured.server.logged("the configuration cannot be used: the old one stays")
    assert [("upstream" in line, "hostz" in line) for line in told["problems"]] == [
        (False, True),
        (True, False),
    ]
    client = await configured.connect()
    await configured.ask(client)
    upstream = await configured.origin.accept()
    await upstream.head()
    await upstream.send(answer())
    assert (await client.message()).status == 200
    client.close()


async def test_an_authority_file_that_is_none_leaves_everything_as_it_was(
    configured: Configured, tmp_path: Path
) -> None:
    upstream = f"http://127.0.0.1:{configured.origin.port}"
    (tmp_path / "no.pem").write_text("nothing")
    configure(
        configured.file, upstream=upstream, hosts=["new.example"], tls_certificate=str(tmp_path / "no.pem")
    )
    configured.server.process.send_signal(signal.SIGHUP)
    await configured.server.logged("the configuration cannot be used: the old one stays")
    client = await configured.connect()
    assert (await configured.answered(client, host="new.example")).status == 421
    client.close()


async def test_listeners_come_and_go_and_what_is_under_way_on_them_ends_well(
    configured: Configured, short: Path
) -> None:
    upstream = f"http://127.0.0.1:{configured.origin.port}"
    path = str(short / "s")
    client = await configured.connect()
    await configured.ask(client)
    wire = await configured.origin.accept()
    await wire.head()
    line = await configured.reload(upstream=upstream, listen=[f"unix:{path}"])
    assert line["changed"] == ["listen"]
    with pytest.raises(ConnectionRefusedError):
        await configured.connect()
    other = await configured.connect(path=path)
    await other.send(b"GET /v1/models HTTP/1.1\r\nHost: anything\r\n\r\n")
    assert (await other.message()).status == 401
    await wire.send(answer())
    assert (await client.message()).status == 200
    await client.ended()
    client.close()
    other.close()


async def test_a_new_certificate_is_shown_to_new_connections_and_old_ones_stay(
    house: House, tmp_path: Path
) -> None:
    certificate = tmp_path / "tls.pem"
    old, new = trustme.CA(), trustme.CA()
    trusts = [ssl.create_default_context(), ssl.create_default_context()]
    for ca, context in zip((old, new), trusts, strict=True):
        ca.configure_trust(context)
    _write(old.issue_cert("127.0.0.1"), certificate)
    house.environment["SIDEKEY_TLS_CERTIFICATE"] = str(certificate)
    async with house.serving("--listen", "https://127.0.0.1:0", SIDEKEY_ADMIN_LISTEN=",") as server:
        configured = Configured(house, server, tmp_path / "none", Origin())
        before = await configured.connect(trusts[0])
        assert (await configured.answered(before, host="evil.example")).status == 421
        _write(new.issue_cert("127.0.0.1"), certificate)
        server.process.send_signal(signal.SIGHUP)
        await server.logged("reloaded")
        with pytest.raises(ssl.SSLError):
            await configured.connect(trusts[0])
        after = await configured.connect(trusts[1])
        for wire in (before, after):
            assert (await configured.answered(wire, host="evil.example")).status == 421
            wire.close()


def _write(leaf: trustme.LeafCert, file: Path) -> None:
    file.write_bytes(leaf.private_key_and_cert_chain_pem.bytes())
