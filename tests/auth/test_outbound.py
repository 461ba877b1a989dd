"""Requests out, on real sockets: TLS, proxies, and answers that are not what they should be."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from pathlib import Path

import pytest
import trustme
from yarl import URL

from canary import Canary
from sidekey_auth.clock import SystemClock
from sidekey_auth.errors import ConfigurationError, IssuerUnavailable
from sidekey_auth.outbound import LARGEST_ANSWER, Outbound
from sidekey_auth.proxies import proxy_for
from sidekey_auth.secret import Secret

TOKEN = Secret("rt_canary_0123456789")
HOST = "issuer.example"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def listening(talk: Talk, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Serve each connection with ``talk`` on a free port of 127.0.0.1."""
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            await talk(reader, writer)
        await _end(writer)
        under_way.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if under_way:
            await asyncio.wait(under_way, timeout=5)


async def _end(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError, ssl.SSLError):
        writer.close()
        await writer.wait_closed()


class Answering:
    """Answers every request with the same bytes and remembers what came."""

    def __init__(self, raw: bytes = OK) -> None:
        self.raw = raw
        self.heads: list[str] = []
        self.bodies: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        self.heads.append(head)
        length = next(
            (int(line[15:]) for line in head.split("\r\n") if line.startswith("Content-Length:")), 0
        )
        self.bodies.append((await reader.readexactly(length)).decode())
        writer.write(self.raw)
        await writer.drain()


def outbound(*, request_timeout: float = 5.0, ca_bundle: Path | None = None) -> Outbound:
    return Outbound(connect_timeout=2.0, request_timeout=request_timeout, ca_bundle=ca_bundle)


@pytest.fixture
def authority(tmp_path: Path) -> tuple[Path, ssl.SSLContext]:
    """A CA's PEM file, and a server's TLS for the issuer's name."""
    ca = trustme.CA()
    path = tmp_path / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(HOST, "127.0.0.1").configure_cert(context)
    return path, context


# --- what is sent -------------------------------------------------------------------------------------------


async def test_secrets_go_into_the_body_and_nowhere_else() -> None:
    server = Answering()
    async with listening(server) as port, outbound() as out:
        await out.request(f"http://127.0.0.1:{port}/form", what="it", form={"token": TOKEN, "a": "ä&="})
        await out.request(f"http://127.0.0.1:{port}/json", what="it", document={"token": TOKEN})
        await out.request(f"http://127.0.0.1:{port}/get", what="it")
    assert server.bodies[0] == f"token={TOKEN.reveal()}&a=%C3%A4%26%3D"
    assert json.loads(server.bodies[1]) == {"token": TOKEN.reveal()}
    assert [head.split()[0] for head in server.heads] == ["POST", "POST", "GET"]
    assert not any(TOKEN.reveal() in head for head in server.heads)


async def test_a_netrc_file_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login ada password canary-netrc-password\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    server = Answering()
    async with listening(server) as port, outbound() as out:
        await out.request(f"http://127.0.0.1:{port}/", what="it")
    assert "authorization" not in server.heads[0].lower()


async def test_a_failing_request_shows_its_secrets_in_no_frame_of_ours(canary: Canary) -> None:
    async with outbound() as out:
        with pytest.raises(IssuerUnavailable) as caught:
            await out.request("http://127.0.0.1:1/", what="it failed", form={"token": TOKEN})
    frame = caught.value.__traceback__
    while frame is not None:
        canary.check(repr(frame.tb_frame.f_locals))
        frame = frame.tb_next


# --- what comes back ----------------------------------------------------------------------------------------


async def test_redirects_are_not_followed() -> None:
    elsewhere = Answering()
    async with listening(elsewhere) as other:
        location = f"Location: http://127.0.0.1:{other}/".encode()
        server = Answering(b"HTTP/1.1 307 Moved\r\n" + location + b"\r\nContent-Length: 0\r\n\r\n")
        async with listening(server) as port, outbound() as out:
            answer = await out.request(f"http://127.0.0.1:{port}/", what="it", form={"token": TOKEN})
    assert answer.status == 307
    assert elsewhere.heads == []


@pytest.mark.parametrize("framing", [b"Content-Length: 9999999", b"Connection: close"])
async def test_an_answer_is_not_read_without_end(framing: bytes) -> None:
    server = Answering(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n" + b" " * (LARGEST_ANSWER + 1))
    async with listening(server) as port, outbound() as out:
        with pytest.raises(IssuerUnavailable, match="larger than") as caught:
            await out.request(f"http://127.0.0.1:{port}/", what="it failed")
    assert (caught.value.sent, caught.value.answered) == (True, True)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
    ],
)
async def test_an_answer_that_is_not_whole_is_none(raw: bytes) -> None:
    async with listening(Answering(raw)) as port, outbound() as out:
        with pytest.raises(IssuerUnavailable, match="broke before the answer was whole") as caught:
            await out.request(f"http://127.0.0.1:{port}/", what="it failed", form={"token": TOKEN})
    assert (caught.value.sent, caught.value.answered) == (True, False)


async def test_an_answer_that_trickles_is_left_in_time() -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    async with listening(trickle) as port, outbound(request_timeout=0.2) as out:
        with pytest.raises(IssuerUnavailable, match="in time"):
            await out.request(f"http://127.0.0.1:{port}/", what="it failed")


async def test_retry_after_is_read() -> None:
    server = Answering(b"HTTP/1.1 429 No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n")
    async with listening(server) as port, outbound() as out:
        answer = await out.request(f"http://127.0.0.1:{port}/", what="it")
    assert (answer.status, answer.body, answer.retry_after) == (429, b"", 7.0)


class Tomorrow(SystemClock):
    """A clock that goes a day ahead."""

    def wall(self) -> float:
        return super().wall() + 86400


async def test_a_date_in_retry_after_is_counted_from_the_clock_that_was_given() -> None:
    in_a_minute = formatdate(Tomorrow().wall() + 60, usegmt=True).encode()
    server = Answering(b"HTTP/1.1 429 No\r\nRetry-After: " + in_a_minute + b"\r\nContent-Length: 0\r\n\r\n")
    async with (
        listening(server) as port,
        Outbound(connect_timeout=2.0, request_timeout=5.0, clock=Tomorrow()) as out,
    ):
        answer = await out.request(f"http://127.0.0.1:{port}/", what="it")
    assert answer.retry_after is not None
    assert 0 < answer.retry_after <= 60


# --- TLS ----------------------------------------------------------------------------------------------------


async def test_a_ca_bundle_is_trusted(authority: tuple[Path, ssl.SSLContext]) -> None:
    path, context = authority
    async with listening(Answering(), context) as port, outbound(ca_bundle=path) as out:
        answer = await out.request(f"https://127.0.0.1:{port}/", what="it", form={"token": TOKEN})
    assert answer.status == 200


async def test_without_it_nothing_is_sent(authority: tuple[Path, ssl.SSLContext]) -> None:
    server = Answering()
    async with listening(server, authority[1]) as port, outbound() as out:
        with pytest.raises(IssuerUnavailable, match=r"certificate of .* is not trusted") as caught:
            await out.request(f"https://127.0.0.1:{port}/", what="it failed", form={"token": TOKEN})
    assert not caught.value.sent
    assert "ca_bundle" in caught.value.remedy
    assert server.heads == []


async def test_a_plain_server_where_tls_is_meant_gets_nothing() -> None:
    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 No\r\n\r\n")

    async with listening(plain) as port, outbound() as out:
        with pytest.raises(IssuerUnavailable) as caught:
            await out.request(f"https://127.0.0.1:{port}/", what="it failed", form={"token": TOKEN})
    assert not caught.value.sent


async def test_a_ca_bundle_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    junk = tmp_path / "junk.pem"
    junk.write_text("junk")
    for path in (tmp_path / "absent.pem", junk):
        async with outbound(ca_bundle=path) as out:
            with pytest.raises(ConfigurationError, match=path.name):
                await out.request("https://127.0.0.1:1/", what="it")


# --- proxies ------------------------------------------------------------------------------------------------


class Tunnel:
    """An HTTP proxy that knows one way only."""

    def __init__(self, to: int, *, refuses: bool = False) -> None:
        self.to = to
        self.refuses = refuses
        self.heads: list[str] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if self.refuses:
            writer.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.to)
        writer.write(b"HTTP/1.1 200 Connected\r\n\r\n")
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    await _end(writer)


async def test_https_proxy_counts_and_sees_no_secret(
    authority: tuple[Path, ssl.SSLContext], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = authority
    server = Answering()
    async with listening(server, context) as port:
        tunnel = Tunnel(port)
        async with listening(tunnel) as proxy_port, outbound(ca_bundle=path) as out:
            monkeypatch.setenv("HTTPS_PROXY", f"http://ada:canary-proxy-pass@127.0.0.1:{proxy_port}")
            answer = await out.request(f"https://{HOST}/token", what="it", form={"token": TOKEN})
    assert answer.status == 200
    assert tunnel.heads[0].startswith(f"CONNECT {HOST}:443 HTTP/1.1\r\n")
    assert "Proxy-Authorization: Basic" in tunnel.heads[0]
    assert "Proxy-Authorization" not in server.heads[0]


async def test_a_proxy_that_refuses_has_sent_nothing_on(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening(Tunnel(1, refuses=True)) as port, outbound() as out:
        monkeypatch.setenv("HTTPS_PROXY", f"http://ada:canary-proxy-pass@127.0.0.1:{port}")
        with pytest.raises(IssuerUnavailable, match="the proxy answered 407") as caught:
            await out.request(f"https://{HOST}/token", what="it failed", form={"token": TOKEN})
    assert not caught.value.sent
    assert "canary-proxy-pass" not in str(caught.value)


async def test_a_proxy_that_is_not_there_has_got_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:canary-proxy-pass@127.0.0.1:1")
    async with outbound() as out:
        with pytest.raises(IssuerUnavailable, match="the proxy cannot be reached") as caught:
            await out.request(f"https://{HOST}/token", what="it failed", form={"token": TOKEN})
    assert not caught.value.sent
    assert "canary-proxy-pass" not in str(caught.value)


def test_no_proxy_and_loopback_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inner.example,.corp.example")
    assert proxy_for(URL("https://auth.openai.com/x")) == URL("http://proxy.example:3128")
    for direct in (
        "https://inner.example/",
        "https://a.corp.example/",
        "http://127.0.0.1:1/",
        "http://localhost:1/",
        "http://[::1]:1/",
    ):
        assert proxy_for(URL(direct)) is None


@pytest.mark.parametrize("named", ["socks5://ada:canary-proxy-pass@p.example:1", "http://", "http://[::1"])
def test_a_proxy_that_cannot_be_used_is_refused_without_showing_its_password(
    named: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", named)
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        proxy_for(URL("https://auth.openai.com/"))
    assert "canary-proxy-pass" not in str(caught.value)
