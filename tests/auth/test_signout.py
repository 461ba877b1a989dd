from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import pytest

from sidekey_auth.credential import Credential
from sidekey_auth.errors import IssuerUnavailable, VaultUnwritable
from sidekey_auth.issuer import Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.made_keys import MadeKey
from sidekey_auth.secret import Secret
from sidekey_auth.signout import sign_out
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.sandbox import RevokeFails, Sandbox, SandboxSettings

STATIC = Secret("sk-static-canary-0123456789")


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(SandboxSettings()) as running:
        yield running


@pytest.fixture
async def issuers(sandbox: Sandbox) -> AsyncIterator[Issuers]:
    settings = IssuerSettings(issuer=sandbox.issuer, client_id=sandbox.client_id, revoke_timeout=0.3)
    async with Issuers(settings) as opened:
        yield opened


async def signed_in(sandbox: Sandbox, vault: MemoryVault, **changes: object) -> Credential:
    tokens = sandbox.sign_in()
    credential = Credential(
        mode="chatgpt",
        generation=7,
        api_key=sandbox.issue_key(),
        id_token=tokens.id_token,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        static_key=STATIC,
    )
    credential = replace(credential, **changes)  # type: ignore[arg-type]
    await MemoryVault.save(vault, credential)
    return credential


async def test_a_sign_out_revokes_and_leaves_the_static_key_and_a_tombstone(
    sandbox: Sandbox, issuers: Issuers
) -> None:
    vault = MemoryVault()
    before = await signed_in(sandbox, vault)
    result = await sign_out(vault, issuers)
    after = await vault.load("default")
    assert (result.was_signed_in, result.had_key, result.revoked, result.left) == (True, True, True, ())
    assert (
        after
        == result.credential
        == Credential(generation=after.generation, sign_in=after.generation, static_key=STATIC)
    )
    assert after.generation > before.generation
    assert before.refresh_token is not None
    assert not sandbox.knows(before.refresh_token)


@pytest.mark.parametrize("fault", [RevokeFails(), RevokeFails(delay=30)])
async def test_the_credential_goes_even_if_the_issuer_does_not_listen(
    sandbox: Sandbox, issuers: Issuers, fault: RevokeFails
) -> None:
    vault = MemoryVault()
    await signed_in(sandbox, vault)
    sandbox.faults.put(fault)
    result = await sign_out(vault, issuers)
    assert result.revoked is False
    assert isinstance(result.revoke_problem, IssuerUnavailable)
    assert not (await vault.load("default")).signed_in


async def test_the_credential_is_gone_before_the_issuer_is_asked(sandbox: Sandbox, issuers: Issuers) -> None:
    vault = MemoryVault()
    await signed_in(sandbox, vault, issuer="https://not-allowed.example")
    result = await sign_out(vault, issuers)
    assert result.revoked is False
    assert not (await vault.load("default")).signed_in
    assert sandbox.events.seen("revoke") == 0


async def test_without_a_refresh_token_there_is_nothing_to_revoke(sandbox: Sandbox, issuers: Issuers) -> None:
    vault = MemoryVault()
    await signed_in(sandbox, vault, refresh_token=None)
    result = await sign_out(vault, issuers)
    assert result.revoked is None
    assert sandbox.events.seen("revoke") == 0


async def test_signing_out_when_nobody_is_signed_in_says_so(issuers: Issuers) -> None:
    result = await sign_out(MemoryVault(), issuers)
    assert (result.was_signed_in, result.had_key, result.revoked) == (False, False, None)


@pytest.mark.parametrize(
    ("imported_from", "revoke", "revoked"),
    [
        (None, None, True),
        (None, True, True),
        (None, False, False),
        ("codex", None, False),
        ("codex", True, True),
        ("codex", False, False),
    ],
)
async def test_what_another_program_may_still_use_is_revoked_only_if_one_says_so(
    sandbox: Sandbox, issuers: Issuers, imported_from: str | None, revoke: bool | None, revoked: bool
) -> None:
    vault = MemoryVault()
    before = await signed_in(sandbox, vault, imported_from=imported_from)
    result = await sign_out(vault, issuers, revoke=revoke)
    assert (result.revoked, result.spared) == ((True, False) if revoked else (None, True))
    assert before.refresh_token is not None
    assert sandbox.knows(before.refresh_token) is not revoked
    assert not (await vault.load("default")).signed_in


async def test_which_keys_were_made_outlives_the_sign_out(sandbox: Sandbox, issuers: Issuers) -> None:
    vault = MemoryVault()
    made = (MadeKey("sidekey host default 2026-11-24", "abcd", 1.0),)
    await signed_in(sandbox, vault, keys_made=5, made_keys=made)
    result = await sign_out(vault, issuers)
    assert (result.credential.keys_made, result.credential.made_keys) == (5, made)


class ReadOnlyVault(MemoryVault):
    """A vault that cannot be written, and perhaps not even locked."""

    lockable = True

    async def save(self, credential: Credential) -> None:
        raise VaultUnwritable("the disk is full")

    def lock(self, profile: str, *, timeout: float = 60.0) -> AbstractAsyncContextManager[None]:
        if not self.lockable:
            raise VaultUnwritable("read-only")
        return super().lock(profile, timeout=timeout)


@pytest.mark.parametrize("lockable", [True, False])
async def test_what_could_not_be_deleted_is_named_and_revoked_all_the_same(
    sandbox: Sandbox, issuers: Issuers, lockable: bool
) -> None:
    vault = ReadOnlyVault()
    vault.lockable = lockable
    before = await signed_in(sandbox, vault)
    result = await sign_out(vault, issuers)
    assert result.left == (
        "the exchanged API key",
        "the id_token",
        "the access token",
        "the refresh token",
    )
    assert isinstance(result.vault_problem, VaultUnwritable)
    assert result.credential == before
    assert result.revoked is True
