"""What every vault promises, whatever stands behind it: a test class that each vault's tests inherit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sidekey_auth.credential import Credential, Failure, RefreshNote
from sidekey_auth.errors import ConfigurationError, VaultBusy
from sidekey_auth.made_keys import MadeKey
from sidekey_auth.secret import Secret
from sidekey_auth.vault import Vault

Opened = Callable[[], Vault]
SOON = 2.0
"""Seconds within which a change has to be seen."""

FULL = Credential(
    mode="chatgpt",
    generation=1_790_000_000_123,
    api_key=Secret("sk-canary-api-key-0000000000000001"),
    static_key=Secret("sk-canary-static-key-00000000002"),
    id_token=Secret("canary.id.token.0000000000000003"),
    unverified_id_token=Secret("canary.unverified.id.0000000004"),
    access_token=Secret("canary.access.token.000000000005"),
    refresh_token=Secret("canary-refresh-token-000000000006"),
    last_refresh=datetime(2026, 11, 24, 1, 2, 3, 456789, tzinfo=UTC),
    issuer="https://auth.example",
    client_id="app_canary",
    received_at=1_790_000_000.25,
    key_source="0123456789abcdef",
    key_refused=True,
    traded_again="fedcba9876543210",
    note=RefreshNote("0123456789abcdef", 2, 1_790_000_001.5, in_doubt=True),
    refresh_failure=Failure("0123456789abcdef", "refresh_token_reused", "reused", 1_790_000_002.5),
    exchange_failure=Failure("fedcba9876543210", "no_platform_key", "no organisation", 1_790_000_003.5),
    sign_in=1_790_000_000_250,
    refreshes=3,
    imported_token="0011223344556677",
    imported_from="codex",
    keys_made=2,
    made_keys=(MadeKey("sidekey host default 2026-11-24", "abcd", 1_790_000_004.5), MadeKey(None, "", 5.0)),
)


async def store(vault: Vault, credential: Credential) -> None:
    """Save a credential as everybody has to: under its lock."""
    await vault.create()
    async with vault.lock(credential.profile):
        await vault.save(credential)


async def add_one(vault: Vault, profile: str = "default") -> None:
    """Lock, read again, change, write."""
    await vault.create()
    async with vault.lock(profile):
        credential = await vault.load(profile)
        await vault.save(replace(credential, generation=credential.generation + 1))


class VaultConformance:
    """Inherit it and give a fixture ``opened``: a function that opens the same store once more."""

    async def test_an_empty_vault_holds_empty_credentials(self, opened: Opened) -> None:
        vault = opened()
        assert await vault.load("default") == Credential()
        assert await vault.load("work") == Credential(profile="work")
        assert await vault.profiles() == ()
        assert await vault.load_client_key() is None

    async def test_what_is_saved_comes_back_field_by_field(self, opened: Opened) -> None:
        await store(opened(), FULL)
        assert await opened().load("default") == FULL

    async def test_a_save_replaces_the_one_before(self, opened: Opened) -> None:
        vault = opened()
        await store(vault, FULL)
        await store(vault, Credential(generation=7))
        assert await opened().load("default") == Credential(generation=7)

    async def test_profiles_stand_beside_each_other(self, opened: Opened) -> None:
        vault = opened()
        for generation, name in enumerate(["work", "a.b-c_d", "default", "0"], 1):
            await store(vault, Credential(profile=name, generation=generation))
        assert await opened().profiles() == ("0", "a.b-c_d", "default", "work")
        assert (await opened().load("a.b-c_d")).generation == 2

    @pytest.mark.parametrize("name", ["", "../x", "a/b", "A", "_vault", "x.", "a" * 65, "a\0b"])
    async def test_a_name_that_cannot_be_a_profile_is_refused(self, opened: Opened, name: str) -> None:
        vault = opened()
        await vault.create()
        with pytest.raises(ConfigurationError):
            await vault.load(name)
        with pytest.raises(ConfigurationError):
            await vault.save(Credential(profile=name))
        with pytest.raises(ConfigurationError):
            await vault.changed(name)
        with pytest.raises(ConfigurationError):
            async with vault.lock(name):
                pass

    async def test_one_at_a_time_changes_a_profile(self, opened: Opened) -> None:
        vault = opened()
        await asyncio.gather(*(add_one(vault) for _ in range(12)))
        assert (await vault.load("default")).generation == 12

    async def test_a_held_lock_is_waited_for_only_so_long(self, opened: Opened) -> None:
        vault = opened()
        await vault.create()
        async with vault.lock("default"):
            with pytest.raises(VaultBusy):
                async with vault.lock("default", timeout=0.05):
                    pass

    async def test_locks_of_two_profiles_do_not_meet(self, opened: Opened) -> None:
        vault = opened()
        await vault.create()
        async with vault.lock("a", timeout=1), vault.lock("b", timeout=1):
            pass

    async def test_a_lock_ends_with_an_error_inside_it(self, opened: Opened) -> None:
        vault = opened()
        await vault.create()
        with pytest.raises(LookupError):
            async with vault.lock("default"):
                raise LookupError
        async with vault.lock("default", timeout=0.5):
            pass

    async def test_whoever_gives_up_waiting_leaves_the_lock_as_it_is(self, opened: Opened) -> None:
        vault = opened()
        await vault.create()
        async with vault.lock("default"):
            waiting = asyncio.create_task(add_one(vault))
            await asyncio.wait([waiting], timeout=0.05)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            with pytest.raises(VaultBusy):
                async with vault.lock("default", timeout=0):
                    pass
        async with vault.lock("default", timeout=0.5):
            pass
        assert (await vault.load("default")).generation == 0

    async def test_a_change_is_seen_soon(self, opened: Opened) -> None:
        vault, other = opened(), opened()
        await vault.load("default")
        for generation in (1, 2):
            waiting = asyncio.create_task(vault.changed("default"))
            await store(other, Credential(generation=generation))
            await asyncio.wait_for(waiting, SOON)
            assert (await vault.load("default")).generation == generation

    async def test_without_a_change_nothing_is_seen(self, opened: Opened) -> None:
        vault, other = opened(), opened()
        await store(vault, FULL)
        await vault.load("default")
        waiting = asyncio.create_task(vault.changed("default"))
        await store(other, replace(FULL, profile="another"))
        await other.load("default")
        done, _ = await asyncio.wait([waiting], timeout=0.6)
        assert not done
        waiting.cancel()

    async def test_a_change_between_loading_and_waiting_is_not_missed(self, opened: Opened) -> None:
        vault, other = opened(), opened()
        await vault.load("default")
        await store(other, Credential(generation=1))
        await asyncio.wait_for(vault.changed("default"), SOON)

    async def test_a_save_through_the_same_vault_is_a_change_too(self, opened: Opened) -> None:
        vault = opened()
        await vault.load("default")
        await store(vault, Credential(generation=1))
        await asyncio.wait_for(vault.changed("default"), SOON)

    async def test_with_nothing_loaded_there_is_nothing_to_wait_for(self, opened: Opened) -> None:
        await asyncio.wait_for(opened().changed("default"), SOON)

    async def test_the_first_client_key_stays(self, opened: Opened) -> None:
        keys = [Secret(f"sk-side-canary-client-key-{number:08}") for number in range(5)]
        kept = await asyncio.gather(*(opened().save_client_key(key) for key in keys))
        assert len(set(kept)) == 1
        assert await opened().load_client_key() == kept[0]

    async def test_it_says_where_it_is(self, opened: Opened) -> None:
        description = await opened().describe()
        assert description.where
        assert description.sealed_by
