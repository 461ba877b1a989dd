"""A place looked at from all sides: real files, real sockets, servers that answer oddly or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from canary import Canary
from house import House, furnished
from sidekey_auth.credential import Failure
from sidekey_proxy.doctor import examine as examining
from sidekey_proxy.doctor import knock
from sidekey_proxy.doctor.examine import examine
from sidekey_proxy.doctor.findings import Finding
from sidekey_proxy.place import find_place


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    async with furnished(canary) as house:
        house.environment |= {"SIDEKEY_LISTEN": "127.0.0.1:0", "SIDEKEY_ADMIN_LISTEN": ","}
        yield house


@asynccontextmanager
async def somebody(answer: bytes | None) -> AsyncIterator[int]:
    """Listen on a free port and answer everything with these bytes, or stay silent."""
    leave = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await leave.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        leave.set()
        server.close()


async def found(house: House, **environment: str) -> dict[str, Finding]:
    place = find_place({**house.environment, **environment})
    findings = {finding.check: finding for finding in await examine(place)}
    for finding in findings.values():
        house.canary.check(finding.says + finding.remedy)
        assert finding.remedy or finding.verdict == "ok", finding
    return findings


async def test_in_a_good_house_nothing_is_wrong(house: House) -> None:
    await house.signed_in()
    findings = await found(house)
    # The tests' own process is not protected, and sidekey's would be.
    assert {check: one.verdict for check, one in findings.items() if check != "process"} == {
        "settings": "ok",
        "vault": "ok",
        "credential": "ok",
        "key exchange": "ok",
        "listener 127.0.0.1:0": "ok",
        "proxies": "ok",
        "upstream": "ok",
        "clock": "ok",
        "issuer": "ok",
    }
    assert "status 401 without a key" in findings["upstream"].says


async def test_a_refused_key_exchange_is_told_also_while_an_earlier_key_works(house: House) -> None:
    stored = await house.signed_in()
    assert stored.id_token is not None
    refused = Failure(stored.id_token.fingerprint(), "key_creation_disabled", "No new keys", 1.0)
    await house.store(replace(stored, exchange_failure=refused))
    findings = await found(house)
    assert findings["credential"].verdict == "ok"
    assert findings["key exchange"].verdict == "warning"
    assert findings["key exchange"].says == "Refused with key_creation_disabled: No new keys."
    await house.store(replace(stored, exchange_failure=refused, api_key=None))
    findings = await found(house)
    assert "No new keys" in findings["credential"].says
    assert "key exchange" not in findings, "it is told once"


async def test_where_no_vault_is_none_is_made(house: House) -> None:
    findings = await found(house)
    assert findings["vault"].verdict == "ok"
    assert findings["credential"].remedy.startswith("Run `sidekey login`")
    assert not house.home.exists()


async def test_a_seal_that_cannot_be_had_is_found_before_there_is_a_vault(house: House) -> None:
    findings = await found(house, SIDEKEY_SEAL_KEY="not a key")
    assert findings["vault"].verdict == "problem"
    assert "SIDEKEY_SEAL_KEY" in findings["vault"].says


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o644, True)])
async def test_a_seal_file_that_others_can_read_is_a_warning(
    house: House, tmp_path: Path, mode: int, told: bool
) -> None:
    path = tmp_path / "seal"
    path.write_text(house.environment.pop("SIDEKEY_SEAL_KEY"))
    house.canary.allow_file(path)
    path.chmod(mode)
    findings = await found(house, SIDEKEY_SEAL_KEY_FILE=str(path))
    assert findings["vault"].verdict == "ok"
    assert ("seal" in findings) is told
    if told:
        assert findings["seal"].verdict == "warning"
        assert f"{path} (mode 644)" in findings["seal"].says
        assert f"chmod 600 {path}" in findings["seal"].remedy


async def test_an_open_folder_is_found_before_there_is_a_vault_in_it(house: House) -> None:
    house.home.mkdir(mode=0o755)
    findings = await found(house)
    assert f"chmod 700 {house.home}" in findings["vault"].remedy


async def test_a_vault_that_does_not_open_is_told_once(house: House) -> None:
    await house.signed_in()
    [file] = (house.home / "profiles").iterdir()
    file.chmod(0o644)
    findings = await found(house)
    assert f"chmod 600 {file}" in findings["vault"].remedy
    assert "credential" not in findings
    assert findings["upstream"].verdict == "ok"


async def test_another_program_in_a_listeners_place_is_a_problem(house: House) -> None:
    async with somebody(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") as port:
        findings = await found(house, SIDEKEY_LISTEN=f"127.0.0.1:{port}")
    assert findings[f"listener 127.0.0.1:{port}"].says == "Another program answers."


async def test_an_address_that_is_not_this_machines_is_a_problem(house: House) -> None:
    findings = await found(house, SIDEKEY_LISTEN="192.0.2.1:8484")
    assert findings["listener 192.0.2.1:8484"].verdict == "problem"


async def test_what_is_silent_is_not_waited_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "PATIENCE", 0.2)
    monkeypatch.setattr(knock, "_KNOCK", 0.2)
    async with somebody(None) as port:
        where = f"127.0.0.1:{port}"
        url = f"http://{where}"
        async with asyncio.timeout(10):
            findings = await found(
                house, SIDEKEY_UPSTREAM=f"{url}/v1", SIDEKEY_ISSUER=url, SIDEKEY_ADMIN_LISTEN="127.0.0.1:0"
            )
            listeners = await found(house, SIDEKEY_LISTEN=where)
    assert findings["upstream"].verdict == findings["issuer"].verdict == "problem"
    assert listeners[f"listener {where}"].says == "Another program answers."


async def test_what_is_not_http_is_a_problem_and_breaks_nothing(house: House) -> None:
    async with somebody(b"SSH-2.0-OpenSSH_9.2\r\n") as port:
        url = f"http://127.0.0.1:{port}"
        findings = await found(house, SIDEKEY_UPSTREAM=f"{url}/v1", SIDEKEY_ISSUER=url)
    assert findings["upstream"].verdict == findings["issuer"].verdict == "problem"


async def test_nobody_at_upstream_is_a_problem(house: House) -> None:
    async with somebody(b"") as port:
        pass
    findings = await found(house, SIDEKEY_UPSTREAM=f"http://127.0.0.1:{port}/v1")
    assert findings["upstream"].verdict == "problem"
    assert "HTTPS_PROXY" in findings["upstream"].remedy


@pytest.mark.parametrize(
    ("date", "verdict"), [("Mon, 01 Jan 2024 00:00:00 GMT", "warning"), ("soon", None), ("", None)]
)
async def test_the_clock_is_compared_with_what_upstream_says(
    house: House, date: str, verdict: str | None
) -> None:
    answer = f"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nDate: {date}\r\n\r\n".encode()
    async with somebody(answer) as port:
        findings = await found(house, SIDEKEY_UPSTREAM=f"http://127.0.0.1:{port}/v1")
    assert findings["upstream"].verdict == "ok"
    assert (findings["clock"].verdict if "clock" in findings else None) == verdict


async def test_a_listener_that_others_reach_without_tls_is_a_warning(house: House) -> None:
    findings = await found(house, SIDEKEY_LISTEN="0.0.0.0:0")
    assert findings["listener 0.0.0.0:0"].verdict == "ok"
    assert findings["clear text"].verdict == "warning"
    assert "0.0.0.0:0 without TLS" in findings["clear text"].says


async def test_a_proxy_is_told_without_its_password(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://ada:open-sesame-0123@127.0.0.1:9")
    findings = await found(house, SIDEKEY_ISSUER="https://issuer.example")
    assert findings["proxies"].says == "In between: issuer.example through http://127.0.0.1:9."
    assert findings["issuer"].verdict == "problem"
    assert not [one for one in findings.values() if "sesame" in one.says + one.remedy]


async def test_with_an_api_key_alone_the_issuer_is_not_asked(house: House) -> None:
    await house.signed_in(mode="api_key", static_key=house.sandbox.issue_key())
    findings = await found(house, SIDEKEY_ISSUER="https://issuer.invalid")
    assert findings["credential"].verdict == "ok"
    assert "issuer" not in findings


async def test_a_certificate_that_is_over_or_none_is_a_problem(house: House, tmp_path: Path) -> None:
    file = tmp_path / "side.pem"
    over = trustme.CA().issue_cert("localhost", not_after=datetime(2026, 1, 1, tzinfo=UTC))
    over.private_key_and_cert_chain_pem.write_to_path(str(file))
    findings = await found(house, SIDEKEY_TLS_CERTIFICATE=str(file))
    assert f"{file} is over since 2026-01-01." in findings["certificate"].says
    file.write_text("no certificate")
    findings = await found(house, SIDEKEY_TLS_CERTIFICATE=str(file))
    assert findings["certificate"].verdict == "problem"
    assert "tls_certificate" in findings["certificate"].remedy
