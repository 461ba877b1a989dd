"""Upstream through an HTTP proxy: CONNECT, the proxy's own TLS, and proxies that do not do as they should."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from raw_http import PATIENCE, Origin, Wire, answer
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.upstream import parse_base
from sidekey_proxy.upstream.interface import (
    UpstreamCut,
    UpstreamError,
    UpstreamRequest,
    UpstreamTimedOut,
    UpstreamUnreachable,
)
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings

GET = UpstreamRequest("GET", "/models", ((b"Authorization", b"Bearer sk-upstream"),))
PASSWORD = "canary-proxy-pass"
BASIC = b"Basic " + base64.b64encode(f"ada:{PASSWORD}".encode())


class ConnectProxy:
    """A real little proxy: whatever name it is asked for, it connects to one port."""

    def __init__(self) -> None:
        self.to = 0
        self.port = 0
        self.heads: list[bytes] = []
        self.passed = bytearray()
        self._tasks: set[asyncio.Task[None]] = set()

    @contextlib.asynccontextmanager
    async def serving(self, to: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
        self.to = to
        async with Origin().serving(tls) as listening:
            self.port = listening.port
            accepting = asyncio.create_task(self._accept(listening))
            try:
                yield
            finally:
                accepting.cancel()
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(accepting, *self._tasks, return_exceptions=True)

    async def _accept(self, listening: Origin) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                wire = await listening.accept()
                self._tasks.add(asyncio.create_task(self._connect(wire)))

    async def _connect(self, wire: Wire) -> None:
        self.heads.append(await wire.reader.readuntil(b"\r\n\r\n"))
        far = Wire(*await asyncio.open_connection("127.0.0.1", self.to))
        try:
            await wire.send(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 proxy\r\n\r\n")
            await asyncio.gather(self._pump(wire, far), self._pump(far, wire))
        finally:
            far.abort()

    async def _pump(self, source: Wire, sink: Wire) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.reader.read(65536):
                self.passed += data
                sink.writer.write(data)
        sink.close()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def serves_as(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@contextlib.asynccontextmanager
async def upstream(
    base: str, bundle: Path | None = None, timeout: float = PATIENCE
) -> AsyncIterator[PooledUpstream]:
    settings = UpstreamSettings(base=parse_base(base), ca_bundle=bundle, connect_timeout=timeout)
    pool = PooledUpstream(settings)
    try:
        yield pool
    finally:
        await pool.close()


async def is_answered(pool: PooledUpstream, origin: Origin, wire: Wire | None = None) -> Wire:
    sending = asyncio.create_task(pool.send(GET))
    if wire is None:
        accepting = asyncio.create_task(origin.accept())
        await asyncio.wait({sending, accepting}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            accepting.cancel()
            await sending
        wire = await accepting
    assert (await wire.message()).line == b"GET /v1/models HTTP/1.1"
    await wire.send(answer(b"ok"))
    received = await sending
    assert await received.read() == b"ok"
    received.close()
    return wire


@pytest.mark.parametrize("to_proxy", ["http", "https"])
async def test_an_https_upstream_is_reached_through_the_proxy_which_sees_no_key(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch, to_proxy: str
) -> None:
    proxy = ConnectProxy()
    proxy_tls = serves_as(authority, "127.0.0.1") if to_proxy == "https" else None
    async with (
        Origin().serving(serves_as(authority, "upstream.example")) as origin,
        proxy.serving(origin.port, proxy_tls),
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"{to_proxy}://ada:{PASSWORD}@127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example", bundle) as pool:
            wire = await is_answered(pool, origin)
            await is_answered(pool, origin, wire)
        [head] = proxy.heads
        assert head.split(b"\r\n")[:3] == [
            b"CONNECT upstream.example:443 HTTP/1.1",
            b"Host: upstream.example:443",
            b"Proxy-Authorization: " + BASIC,
        ]
        assert b"sk-upstream" not in head + proxy.passed


async def test_an_http_upstream_is_reached_by_connect_too(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = ConnectProxy()
    async with Origin().serving() as origin, proxy.serving(origin.port):
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        async with upstream("http://upstream.example:8080") as pool:
            await is_answered(pool, origin)
        assert proxy.heads == [
            b"CONNECT upstream.example:8080 HTTP/1.1\r\nHost: upstream.example:8080\r\n\r\n"
        ]


async def test_an_ipv6_upstream_is_named_in_brackets(monkeypatch: pytest.MonkeyPatch) -> None:
    proxy = ConnectProxy()
    async with Origin().serving() as origin, proxy.serving(origin.port):
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        async with upstream("http://[2001:db8::1]") as pool:
            await is_answered(pool, origin)
        assert proxy.heads[0].startswith(b"CONNECT [2001:db8::1]:80 HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n")


async def test_loopback_and_what_no_proxy_names_are_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Origin().serving() as origin:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with upstream(f"http://127.0.0.1:{origin.port}") as pool:
            await is_answered(pool, origin)
    monkeypatch.setenv("NO_PROXY", "upstream.invalid")
    async with upstream("http://upstream.invalid") as pool:
        with pytest.raises(UpstreamUnreachable, match=r"^http://upstream\.invalid cannot be reached"):
            await pool.send(GET)


async def test_interim_answers_of_the_proxy_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Origin().serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"127.0.0.1:{proxy.port}")
        async with upstream("http://upstream.example") as pool:
            sending = asyncio.create_task(pool.send(GET))
            wire = await proxy.accept()
            await wire.head()
            await wire.send(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\n")
            assert (await wire.message()).line == b"GET /v1/models HTTP/1.1"
            await wire.send(answer(b"ok"))
            assert await (await sending).read() == b"ok"


# --- proxies that do not do as they should


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (
            b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n",
            r"refused to connect .*\(407\).* other credentials",
        ),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnope", r"refused to connect .*\(403\)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", r"refused to connect .*\(502\)"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://login.example\r\n\r\n", r"refused to connect .*\(302\)"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "gave an invalid answer"),
        (b"HTTP/1.1 200 OK\nX: y\n\n", "gave an invalid answer"),
        (b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "upstream has spoken first"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70_000, "its head is too long"),
        (b"HTTP/1.1 20", "closed the connection before it answered"),
        (b"", "closed the connection before it answered"),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_a_proxy_that_refuses_or_answers_nonsense_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch, said: bytes, why: str
) -> None:
    async with Origin().serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PASSWORD}@127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example") as pool:
            sending = asyncio.create_task(pool.send(GET))
            wire = await proxy.accept()
            await wire.head()
            wire.writer.write(said)
            if not said.endswith(b"a" * 10) and not said.endswith(b"\n"):
                wire.close()
            with pytest.raises(UpstreamUnreachable, match=why) as caught:
                async with asyncio.timeout(PATIENCE):
                    await sending
            assert f"http://127.0.0.1:{proxy.port}" in str(caught.value)
            assert PASSWORD not in str(caught.value)
            assert "ada" not in str(caught.value)
            await wire.ended()


async def test_a_proxy_that_wants_credentials_where_none_are_known_is_told_of(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Origin().serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example") as pool:
            sending = asyncio.create_task(pool.send(GET))
            wire = await proxy.accept()
            await wire.head()
            await wire.send(b"HTTP/1.1 407 Who are you\r\n\r\n")
            with pytest.raises(UpstreamUnreachable, match="asks for a user name and password"):
                await sending


async def test_a_proxy_that_hangs_is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    async with Origin().serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PASSWORD}@127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example", timeout=0.1) as pool:
            with pytest.raises(UpstreamTimedOut, match=r"through the proxy http://127\.") as caught:
                await pool.send(GET)
        assert PASSWORD not in str(caught.value)
        await (await proxy.accept()).ended()


async def test_a_proxy_that_is_not_there_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:{PASSWORD}@127.0.0.1:1")
    async with upstream("https://upstream.example") as pool:
        with pytest.raises(UpstreamUnreachable, match=r"the proxy http://127\.0\.0\.1:1 cannot be reached"):
            await pool.send(GET)


async def test_giving_up_while_the_proxy_connects_closes_the_connection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Origin().serving() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example") as pool:
            sending = asyncio.create_task(pool.send(GET))
            wire = await proxy.accept()
            await wire.head()
            sending.cancel()
            await wire.ended()
            with pytest.raises(asyncio.CancelledError):
                await sending


@pytest.mark.parametrize("named", ["socks5://ada:canary-proxy-pass@p.example:1", "http://"])
async def test_a_proxy_that_cannot_be_used_is_refused_at_once(
    monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", named)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        PooledUpstream(UpstreamSettings(base=parse_base("https://upstream.example")))
    assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_proxy_that_closes_as_soon_as_it_has_connected_makes_an_error(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    async with Origin().serving() as proxy:
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with upstream(f"{scheme}://upstream.example") as pool:
            sending = asyncio.create_task(pool.send(GET))
            wire = await proxy.accept()
            await wire.head()
            wire.writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            wire.close()
            with pytest.raises(UpstreamError, match=r"closed|cannot be reached"):
                async with asyncio.timeout(PATIENCE):
                    await sending


# --- who is trusted through it


async def test_upstreams_certificate_counts_through_a_proxy_as_well(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = ConnectProxy()
    async with (
        Origin().serving(serves_as(authority, "other.example")) as origin,
        proxy.serving(origin.port),
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example", bundle) as pool:
            with pytest.raises(UpstreamUnreachable, match=r"https://upstream\.example .* not trusted"):
                await pool.send(GET)
    assert b"sk-upstream" not in proxy.passed


async def test_an_https_proxy_must_be_who_it_says(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Origin().serving(serves_as(authority, "other.example")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"https://ada:{PASSWORD}@127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example", bundle) as pool:
            with pytest.raises(UpstreamUnreachable, match=r"the proxy .* its certificate is not trusted"):
                await pool.send(GET)


@pytest.mark.parametrize("to_proxy", ["http", "https"])
async def test_a_connection_through_a_proxy_that_breaks_is_a_cut(
    authority: trustme.CA, bundle: Path, monkeypatch: pytest.MonkeyPatch, to_proxy: str
) -> None:
    proxy = ConnectProxy()
    proxy_tls = serves_as(authority, "127.0.0.1") if to_proxy == "https" else None
    async with (
        Origin().serving(serves_as(authority, "upstream.example")) as origin,
        proxy.serving(origin.port, proxy_tls),
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"{to_proxy}://127.0.0.1:{proxy.port}")
        async with upstream("https://upstream.example", bundle) as pool:
            sending = asyncio.create_task(pool.send(GET))
            wire = await origin.accept()
            await wire.head()
            await wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
            received = await sending
            assert await received.read() == b"abc"
            wire.abort()
            with pytest.raises(UpstreamCut):
                async with asyncio.timeout(PATIENCE):
                    await received.read()
            received.close()
