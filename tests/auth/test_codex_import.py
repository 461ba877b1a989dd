from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sidekey_auth.codex import CodexAuth, parse_auth, without_refresh_token
from sidekey_auth.codex_import import import_codex, imported
from sidekey_auth.credential import Credential, bearer_of, with_tokens
from sidekey_auth.errors import ConfigurationError, IssuerUnavailable, NoPlatformKey, NoRefreshToken
from sidekey_auth.issuer import Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.sandbox import ExchangeRefused, Sandbox, SandboxSettings, TokenAnswer

STATIC = Secret("sk-static-canary-0123456789")


class CountingVault(MemoryVault):
    """Remembers what was written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[Credential] = []

    async def save(self, credential: Credential) -> None:
        self.written.append(credential)
        await super().save(credential)


class Rig:
    """A sandbox where Codex has signed in, and a vault."""

    def __init__(self, sandbox: Sandbox, issuers: Issuers) -> None:
        self.sandbox = sandbox
        self.issuers = issuers
        self.vault = CountingVault()

    def auth(self, *, key: Secret | None = None, id_token: Secret | None = None, **tokens: Any) -> CodexAuth:
        """Return what a file of Codex holds."""
        made = self.sandbox.sign_in()
        said = {
            "id_token": (id_token or made.id_token).reveal() if (id_token or made.id_token) else None,
            "access_token": made.access_token.reveal() if made.access_token else None,
            "refresh_token": made.refresh_token.reveal() if made.refresh_token else None,
            **tokens,
        }
        document = {"OPENAI_API_KEY": key.reveal() if key else None, "tokens": said}
        return parse_auth(json.dumps(document), self.issuers.settings.allows)


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Sandbox(SandboxSettings(client_ids=("app_sidekey", "app_codex"))) as sandbox:
        settings = IssuerSettings(issuer=sandbox.issuer, client_id="app_sidekey", retry_wait=0.001)
        async with Issuers(settings) as issuers:
            yield Rig(sandbox, issuers)


async def test_what_is_present_is_stored_in_one_write(rig: Rig) -> None:
    await MemoryVault.save(rig.vault, Credential(static_key=STATIC, generation=5))
    key = rig.sandbox.issue_key()
    auth = rig.auth(key=key)
    result = await import_codex(rig.vault, rig.issuers, auth)
    (stored,) = rig.vault.written
    assert stored == result.credential
    assert (stored.mode, stored.api_key, stored.static_key) == ("chatgpt", key, STATIC)
    assert (stored.id_token, stored.refresh_token) == (auth.id_token, auth.refresh_token)
    assert stored.key_source == (auth.id_token.fingerprint() if auth.id_token else "")
    assert stored.last_refresh is not None
    assert stored.received_at is None, "it did not arrive now"
    assert not result.needs_refresh
    assert rig.sandbox.events.seen("key_exchange") == 0
    bearer = bearer_of(stored)
    assert bearer is not None
    assert bearer.value == key


async def test_a_file_with_a_key_only_is_mode_chatgpt_too(rig: Rig) -> None:
    key = rig.sandbox.issue_key()
    auth = parse_auth(json.dumps({"OPENAI_API_KEY": key.reveal()}), rig.issuers.settings.allows)
    result = await import_codex(rig.vault, rig.issuers, auth)
    assert (result.credential.mode, result.credential.api_key) == ("chatgpt", key)
    assert result.problem is None


async def test_a_missing_key_is_exchanged_at_once_with_the_id_tokens_own_client(rig: Rig) -> None:
    token = rig.sandbox.id_token(client_id="app_codex")
    result = await import_codex(rig.vault, rig.issuers, rig.auth(id_token=token))
    assert result.credential.api_key is not None
    (event,) = rig.sandbox.events.of("key_exchange")
    assert event.field("client_id") == "app_codex"
    assert result.credential.client_id == "app_codex"
    assert [credential.api_key is None for credential in rig.vault.written] == [True, False]


async def test_the_client_of_oauth_provenance_comes_first(rig: Rig) -> None:
    provenance = {"issuer": rig.sandbox.issuer, "client_id": "app_sidekey"}
    token = rig.sandbox.id_token(client_id="app_codex")
    auth = rig.auth(id_token=token, oauth_provenance=provenance)
    result = await import_codex(rig.vault, rig.issuers, auth)
    (event,) = rig.sandbox.events.of("key_exchange")
    assert event.field("client_id") == "app_sidekey"
    assert result.problem is not None, "the audience is another one, so the issuer refuses"


async def test_an_expired_id_token_is_not_traded_but_refreshed_first(rig: Rig) -> None:
    result = await import_codex(rig.vault, rig.issuers, rig.auth(id_token=rig.sandbox.id_token(lifetime=-60)))
    assert result.needs_refresh
    assert result.problem is None
    assert rig.sandbox.events.seen("key_exchange") == 0
    assert len(rig.vault.written) == 1


async def test_an_expired_id_token_without_a_refresh_token_needs_a_sign_in(rig: Rig) -> None:
    auth = without_refresh_token(rig.auth(id_token=rig.sandbox.id_token(lifetime=-60)))
    result = await import_codex(rig.vault, rig.issuers, auth)
    assert isinstance(result.problem, NoRefreshToken)
    assert not result.needs_refresh


async def test_without_the_refresh_token_none_is_stored(rig: Rig) -> None:
    result = await import_codex(rig.vault, rig.issuers, without_refresh_token(rig.auth()))
    assert result.credential.refresh_token is None
    assert result.credential.access_token is None
    assert result.credential.api_key is not None


async def test_a_key_exchange_that_fails_leaves_what_was_imported(rig: Rig) -> None:
    rig.sandbox.faults.put(ExchangeRefused())
    refused = await import_codex(rig.vault, rig.issuers, rig.auth())
    assert isinstance(refused.problem, NoPlatformKey)
    assert refused.credential.exchange_failure is not None
    rig.sandbox.faults.put(TokenAnswer(grant="key_exchange", times=3))
    failed = await import_codex(rig.vault, rig.issuers, rig.auth())
    assert isinstance(failed.problem, IssuerUnavailable)
    assert failed.credential.exchange_failure is None
    assert await rig.vault.load("default") == failed.credential


async def test_an_issuer_that_is_not_allowed_changes_nothing(rig: Rig) -> None:
    auth = CodexAuth(api_key=Secret("sk-canary-0123456789"), issuer="https://evil.example")
    with pytest.raises(ConfigurationError):
        await import_codex(rig.vault, rig.issuers, auth)
    assert rig.vault.written == []


async def test_the_same_file_after_a_refresh_keeps_the_live_token(rig: Rig) -> None:
    auth = rig.auth()
    await import_codex(rig.vault, rig.issuers, auth)
    live = await refreshed(rig)
    rig.vault.written.clear()
    result = await import_codex(rig.vault, rig.issuers, auth)
    assert result.kept
    assert result.credential == live
    assert rig.vault.written == []
    assert live.refresh_token is not None
    assert rig.sandbox.knows(live.refresh_token)


async def test_the_same_file_after_a_refresh_brings_back_the_mode_and_nothing_else(rig: Rig) -> None:
    auth = rig.auth()
    await import_codex(rig.vault, rig.issuers, auth)
    live = await refreshed(rig, mode="api_key")
    result = await import_codex(rig.vault, rig.issuers, without_refresh_token(auth))
    assert result.kept
    assert result.credential == replace(live, mode="chatgpt", generation=result.credential.generation)
    assert result.credential.generation > live.generation
    assert await rig.vault.load("default") == result.credential


async def test_the_same_file_unused_is_imported_again(rig: Rig) -> None:
    auth = rig.auth()
    first = await import_codex(rig.vault, rig.issuers, auth)
    second = await import_codex(rig.vault, rig.issuers, auth)
    assert not second.kept
    assert second.credential.refresh_token == first.credential.refresh_token
    assert second.credential.generation > first.credential.generation


async def refreshed(rig: Rig, **changes: Any) -> Credential:
    """Refresh what is stored, as a server does."""
    stored = await rig.vault.load("default")
    assert stored.refresh_token is not None
    issuer = await rig.issuers.of(stored)
    tokens = await issuer.refresh(stored.refresh_token, stored.client_id or "")
    after = replace(with_tokens(stored, tokens, 1_790_000_000.0), **changes)
    await rig.vault.save(after)
    return after


@pytest.mark.parametrize(("same", "sign_in", "refreshes"), [(True, 7, 3), (False, None, 0)])
def test_an_import_begins_a_new_sign_in_unless_its_token_is_the_stored_one(
    same: bool, sign_in: int | None, refreshes: int
) -> None:
    before = Credential(generation=9, sign_in=7, refreshes=3, refresh_token=Secret("rt-canary-0123456789"))
    token = before.refresh_token if same else Secret("rt-canary-other-0123456789")
    after = imported(before, CodexAuth(refresh_token=token), 2.0)
    assert after.refreshes == refreshes
    assert after.sign_in == (after.generation if sign_in is None else sign_in)
    assert after.generation > before.generation
