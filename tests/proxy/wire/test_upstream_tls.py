"""Upstream over TLS: who it must be, and that nothing makes sidekey take another for it."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
from pathlib import Path

import pytest
import trustme

from raw_http import Origin, Wire, answer
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.upstream import parse_base
from sidekey_proxy.configuration.settings import SETTINGS
from sidekey_proxy.upstream.interface import UpstreamCut, UpstreamRequest, UpstreamUnreachable
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings
from sidekey_proxy.upstream.tls import tls_context

GET = UpstreamRequest("GET", "/models", ())


async def served(pool: PooledUpstream, wire: Wire | None, origin: Origin) -> Wire:
    """Let one request be answered, on a given connection or a new one."""
    sending = asyncio.create_task(pool.send(GET))
    wire = wire or await origin.accept()
    await wire.message()
    await wire.send(answer(b"ok"))
    received = await sending
    assert await received.read() == b"ok"
    received.close()
    return wire


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


def server_context(authority: trustme.CA, name: str = "localhost") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


async def test_upstream_is_recognised_by_the_ca_bundle(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with Origin().serving(server_context(authority)) as origin:
        base = parse_base(f"https://localhost:{origin.port}")
        pool = PooledUpstream(UpstreamSettings(base=base, ca_bundle=bundle))
        wire = await served(pool, None, origin)
        await served(pool, wire, origin)
        await pool.close()


async def test_upstream_with_an_untrusted_certificate_is_not_spoken_to(authority: trustme.CA) -> None:
    async with Origin().serving(server_context(authority)) as origin:
        pool = PooledUpstream(UpstreamSettings(base=parse_base(f"https://localhost:{origin.port}")))
        with pytest.raises(UpstreamUnreachable, match="not trusted"):
            await pool.send(GET)
        await pool.close()


async def test_upstream_with_another_names_certificate_is_not_spoken_to(
    authority: trustme.CA, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with Origin().serving(server_context(authority, "other.example")) as origin:
        base = parse_base(f"https://localhost:{origin.port}")
        pool = PooledUpstream(UpstreamSettings(base=base, ca_bundle=bundle))
        with pytest.raises(UpstreamUnreachable, match="not trusted"):
            await pool.send(GET)
        await pool.close()


@pytest.mark.parametrize("polite", [True, False], ids=["close_notify", "FIN alone"])
async def test_over_tls_only_a_close_notify_ends_a_close_delimited_answer(
    authority: trustme.CA, tmp_path: Path, polite: bool
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    async with Origin().serving(server_context(authority)) as origin:
        base = parse_base(f"https://localhost:{origin.port}")
        pool = PooledUpstream(UpstreamSettings(base=base, ca_bundle=bundle))
        sending = asyncio.create_task(pool.send(GET))
        wire = await origin.accept()
        await wire.message()
        await wire.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        received = await sending
        assert await received.read() == b"abc"
        if polite:
            wire.close()
            assert await received.read() == b""
        else:
            wire.writer.transport.abort()
            with pytest.raises(UpstreamCut):
                await received.read()
        received.close()
        await pool.close()


def test_a_ca_bundle_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("")
    for bundle in (tmp_path / "absent.pem", empty):
        with pytest.raises(ConfigurationError, match=str(bundle)):
            PooledUpstream(UpstreamSettings(base=parse_base("https://localhost"), ca_bundle=bundle))


# --- nothing turns it off

EXPIRED = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)


async def refusal(context: ssl.SSLContext, bundle: Path | None) -> str:
    """Return why upstream is not spoken to, having seen that nothing was said to it."""
    async with Origin().serving(context) as origin:
        base = parse_base(f"https://localhost:{origin.port}")
        pool = PooledUpstream(UpstreamSettings(base=base, ca_bundle=bundle))
        with pytest.raises(UpstreamUnreachable) as caught:
            await pool.send(GET)
        assert origin.nobody_else()
        await pool.close()
    return str(caught.value)


async def test_an_expired_certificate_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    before = EXPIRED - dt.timedelta(days=30)
    authority.issue_cert("localhost", not_before=before, not_after=EXPIRED).configure_cert(context)
    assert "its certificate is not trusted: certificate has expired" in await refusal(context, bundle)


async def test_a_certificate_signed_by_itself_is_refused(authority: trustme.CA, tmp_path: Path) -> None:
    key = tmp_path / "own.pem"
    authority.private_key_pem.write_to_path(str(key))
    authority.cert_pem.write_to_path(str(key), append=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(key)
    assert "its certificate is not trusted: self-signed certificate" in await refusal(context, None)


async def test_another_name_is_told_of(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    why = await refusal(server_context(authority, "other.example"), bundle)
    assert "its certificate is not trusted: Hostname mismatch" in why


async def test_upstream_that_speaks_no_tls_is_told_of() -> None:
    async with Origin().serving() as origin:
        pool = PooledUpstream(UpstreamSettings(base=parse_base(f"https://localhost:{origin.port}")))
        sending = asyncio.create_task(pool.send(GET))
        await (await origin.accept()).send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        with pytest.raises(UpstreamUnreachable, match="cannot be reached"):
            await sending
        await pool.close()


@pytest.mark.parametrize(
    "variable", ["PYTHONHTTPSVERIFY", "SSL_NO_VERIFY", "NODE_TLS_REJECT_UNAUTHORIZED", "GIT_SSL_NO_VERIFY"]
)
@pytest.mark.parametrize("value", ["0", "1"])
async def test_no_variable_turns_verification_off(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert "not trusted" in await refusal(server_context(authority), None)


async def test_the_systems_authorities_may_be_named_by_openssls_variable_and_names_still_count(
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))
    assert "Hostname mismatch" in await refusal(server_context(authority, "other.example"), None)


def test_no_setting_turns_verification_off(tmp_path: Path, authority: trustme.CA) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    for context in (tls_context(None), tls_context(bundle)):
        assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
        assert context.minimum_version >= ssl.TLSVersion.TLSv1_2
    assert not [name for name in SETTINGS if "verify" in name or "trust" in name]
    assert [name for name in SETTINGS if "insecure" in name] == ["allow_insecure_upstream"]  # http:// only
