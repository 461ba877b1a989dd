"""One refresh against the real issuer (the sandbox): what fails before the first byte, and what after it."""

# ruff: noqa: ASYNC240 - a test may touch the disk itself
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sidekey_auth.aside import load_with_aside
from sidekey_auth.clock import SystemClock
from sidekey_auth.credential import Credential
from sidekey_auth.errors import ConfigurationError, IssuerUnavailable
from sidekey_auth.issuer import Issuer
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.refresh import Outcome, refresh
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vault import Vault
from sidekey_auth.vaults.file import FileVault
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.sandbox import Sandbox, SandboxSettings, TokenAnswer, TokenDropped


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings()) as made:
        yield made


@pytest.fixture
async def vault(tmp_path: Path) -> FileVault:
    seal = EnvironmentSeal("SIDEKEY_SEAL_KEY", new_seal_key().reveal())
    made = FileVault(tmp_path / "sidekey", seal, aside=tmp_path / "aside")
    await made.create()
    return made


async def signed_in(vault: Vault, token: Secret) -> Credential:
    credential = Credential(mode="chatgpt", generation=5, sign_in=5, refresh_token=token)
    async with vault.lock("default"):
        await vault.save(credential)
    return credential


async def attempt(
    vault: Vault, token: Secret, issuer: str, client_id: str, ca_bundle: Path | None = None
) -> Outcome:
    settings = IssuerSettings(
        issuer=issuer, client_id=client_id, request_timeout=2.0, retry_wait=0.01, ca_bundle=ca_bundle
    )
    clock = SystemClock()
    made = Issuer(settings)
    return await refresh(vault, made, profile="default", token=token, client_id=client_id, clock=clock)


def refresh_token(sandbox: Sandbox) -> Secret:
    token = sandbox.sign_in().refresh_token
    assert token is not None
    return token


@pytest.mark.parametrize("fault", ["proxy", "ca_bundle"])
async def test_what_fails_before_the_first_byte_leaves_no_note_however_often(
    sandbox: Sandbox, vault: FileVault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    before = await signed_in(vault, refresh_token(sandbox))
    assert before.refresh_token is not None
    ca_bundle = tmp_path / "no-such-file.pem" if fault == "ca_bundle" else None
    with monkeypatch.context() as broken:
        if fault == "proxy":
            broken.setenv("HTTPS_PROXY", "socks5h://127.0.0.1:1")
        for _ in range(3):
            outcome = await attempt(
                vault, before.refresh_token, "https://auth.example.invalid", "app", ca_bundle
            )
            assert isinstance(outcome.error, ConfigurationError)
            assert await vault.load("default") == before
    assert sandbox.events.seen("refresh") == 0
    outcome = await attempt(vault, before.refresh_token, sandbox.issuer, sandbox.client_id)
    assert outcome.error is None
    stored = await vault.load("default")
    assert stored.refreshes == 1
    assert stored.refresh_token != before.refresh_token


async def test_an_issuer_that_nobody_can_connect_to_costs_no_try(sandbox: Sandbox, vault: FileVault) -> None:
    before = await signed_in(vault, refresh_token(sandbox))
    assert before.refresh_token is not None
    async with await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    for _ in range(3):
        outcome = await attempt(vault, before.refresh_token, f"http://127.0.0.1:{port}", sandbox.client_id)
        assert isinstance(outcome.error, IssuerUnavailable)
        assert not outcome.error.sent
        assert await vault.load("default") == before


async def test_the_note_is_on_the_disk_before_a_byte_reaches_the_server(vault: FileVault) -> None:
    before = await signed_in(vault, Secret("rt-canary-0123456789"))
    assert before.refresh_token is not None
    noted: list[int | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted.set()
        await reader.read(1)
        stored = await vault.load("default")
        noted.append(stored.note.sends if stored.note else None)
        writer.close()

    accepted = asyncio.Event()
    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        issuer = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with vault.lock("default"):
            attempting = asyncio.create_task(attempt(vault, before.refresh_token, issuer, "app"))
            await accepted.wait()
            assert (await vault.load("default")).note is None, "it is connected, and waits for the lock"
            assert noted == []
        outcome = await attempting
    assert noted == [1]
    assert isinstance(outcome.error, IssuerUnavailable)
    assert (await vault.load("default")).note is not None, "it may be spent"


async def test_a_refresh_that_another_process_has_made_is_not_sent(
    sandbox: Sandbox, vault: FileVault
) -> None:
    old = refresh_token(sandbox)
    theirs = await signed_in(vault, refresh_token(sandbox))
    assert await attempt(vault, old, sandbox.issuer, sandbox.client_id) == Outcome()
    assert sandbox.events.seen("refresh") == 0
    assert await vault.load("default") == theirs


async def test_an_answer_that_refuses_for_now_puts_the_note_before_back(sandbox: Sandbox) -> None:
    vault = MemoryVault()
    before = await signed_in(vault, refresh_token(sandbox))
    assert before.refresh_token is not None
    sandbox.faults.put(TokenAnswer(status=429))
    outcome = await attempt(vault, before.refresh_token, sandbox.issuer, sandbox.client_id)
    assert isinstance(outcome.error, IssuerUnavailable)
    assert await vault.load("default") == before


async def test_a_token_whose_answer_was_lost_twice_is_not_sent_a_third_time(sandbox: Sandbox) -> None:
    vault = MemoryVault()
    before = await signed_in(vault, refresh_token(sandbox))
    assert before.refresh_token is not None
    sandbox.faults.put(TokenDropped(consumed=False, times=None))
    for _ in range(4):
        await attempt(vault, before.refresh_token, sandbox.issuer, sandbox.client_id)
    stored = await vault.load("default")
    assert stored.refresh_failure is not None
    assert stored.refresh_failure.code == "refresh_answer_lost"
    assert sandbox.events.seen("refresh") == 2


async def test_an_answer_that_the_vault_cannot_take_is_put_aside_and_taken_up(
    sandbox: Sandbox, vault: FileVault, tmp_path: Path
) -> None:
    before = await signed_in(vault, refresh_token(sandbox))
    assert before.refresh_token is not None
    sandbox.faults.put(TokenAnswer(status=429))
    await attempt(vault, before.refresh_token, sandbox.issuer, sandbox.client_id)
    save = vault.save

    async def full_once_the_note_is_written(credential: Credential) -> None:
        if credential.refreshes:
            raise OSError(28, "No space left on device")
        await save(credential)

    vault.save = full_once_the_note_is_written  # type: ignore[method-assign]
    outcome = await attempt(vault, before.refresh_token, sandbox.issuer, sandbox.client_id)
    assert outcome.aside is not None
    assert Path(outcome.aside).parent == tmp_path / "aside"
    vault.save = save  # type: ignore[method-assign]
    async with vault.lock("default"):
        taken_up = await load_with_aside(vault, "default")
    assert outcome.credential is not None
    assert taken_up.refresh_token == outcome.credential.refresh_token
    assert not Path(outcome.aside).exists()
