"""Static key and mode: changed by hand, under the profile's lock, and nothing else with them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidekey_auth.credential import Credential, bearer_of
from sidekey_auth.errors import ConfigurationError, NotAnApiKey, VaultUnreadable
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.secret import Secret
from sidekey_auth.stored_credential import clear_static_key, set_static_key, switch_mode
from sidekey_auth.vault import Vault
from sidekey_auth.vaults.file import FileVault
from vault_conformance import FULL, store

KEY = Secret("sk-canary-by-hand-0123456789")


class HandClock:
    """A clock that is set by hand."""

    def __init__(self, now: float) -> None:
        self.now = now

    def wall(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sidekey"


@pytest.fixture
def vault(folder: Path) -> FileVault:
    return FileVault(folder, EnvironmentSeal("SEAL", new_seal_key().reveal()))


def written(folder: Path) -> list[Path]:
    return [*folder.rglob("*")]


async def test_the_first_thing_in_a_vault_may_be_a_static_key(vault: FileVault) -> None:
    stored = await set_static_key(vault, KEY, profile="work", clock=HandClock(1_800_000_000.5))

    assert stored == await vault.load("work")
    assert stored == Credential(profile="work", generation=1_800_000_000_500, static_key=KEY)
    assert await vault.load("default") == Credential()


async def test_setting_and_clearing_a_static_key_leave_all_else_as_it_is(vault: FileVault) -> None:
    await store(vault, FULL)
    early = HandClock(1.0)

    await set_static_key(vault, KEY, clock=early)
    assert await vault.load("default") == replace(FULL, static_key=KEY, generation=FULL.generation + 1)
    removed = await clear_static_key(vault, clock=early)
    assert removed == KEY
    assert await vault.load("default") == replace(FULL, static_key=None, generation=FULL.generation + 2)


async def test_clearing_where_there_is_none_changes_nothing(vault: FileVault) -> None:
    before = replace(FULL, static_key=None)
    await store(vault, before)

    assert await clear_static_key(vault) is None
    assert await vault.load("default") == before


@pytest.mark.parametrize(
    "text", ["sk-1234", "sk-with a space", "sk-with-é-in-it", "sk-with-\n-in-it", " sk-12345678"]
)
async def test_what_no_header_could_carry_is_refused_before_the_vault_is_touched(
    vault: FileVault, folder: Path, text: str
) -> None:
    with pytest.raises(NotAnApiKey) as caught:
        await set_static_key(vault, Secret(text))

    assert text not in f"{caught.value} {caught.value.remedy}"
    assert written(folder) == []


async def test_switching_the_mode_deletes_nothing_and_numbers_the_bearer_anew(vault: FileVault) -> None:
    await store(vault, replace(FULL, key_refused=False))
    clock = HandClock(1_900_000_000.0)

    static = await switch_mode(vault, "api_key", clock=clock)
    back = await switch_mode(vault, "chatgpt", clock=clock)

    assert static == replace(FULL, key_refused=False, mode="api_key", generation=1_900_000_000_000)
    assert back == replace(static, mode="chatgpt", generation=1_900_000_000_001)
    assert back == await vault.load("default")
    served = bearer_of(static), bearer_of(back)
    assert [bearer.value for bearer in served if bearer] == [FULL.static_key, FULL.api_key]


@pytest.mark.parametrize("mode", ["", "workload", "CHATGPT", "sandbox"])
async def test_there_is_no_switching_to_a_mode_that_nobody_chooses(
    vault: FileVault, folder: Path, mode: str
) -> None:
    with pytest.raises(ConfigurationError, match="there is no mode"):
        await switch_mode(vault, mode)

    assert written(folder) == []


class Asking(FileVault):
    """Tells when somebody has asked for its lock."""

    asked: asyncio.Event

    def lock(self, profile: str, *, timeout: float = 60.0) -> AbstractAsyncContextManager[None]:
        self.asked.set()
        return super().lock(profile, timeout=timeout)


@pytest.mark.parametrize(
    "change",
    [
        lambda vault: set_static_key(vault, KEY),
        clear_static_key,
        lambda vault: switch_mode(vault, "api_key"),
    ],
)
async def test_a_change_by_hand_waits_for_a_refresh_under_way_and_keeps_what_it_brought(
    folder: Path, change: Callable[[Vault], Coroutine[Any, Any, object]]
) -> None:
    seal = EnvironmentSeal("SEAL", new_seal_key().reveal())
    refreshing, vault = FileVault(folder, seal), Asking(folder, seal)
    vault.asked = asyncio.Event()
    await store(refreshing, FULL)
    token = Secret("canary-refresh-token-rotated-01")

    async with refreshing.lock("default"):
        changing = asyncio.create_task(change(vault))
        await vault.asked.wait()
        await refreshing.save(replace(FULL, refresh_token=token, generation=FULL.generation + 7))
    await changing

    after = await refreshing.load("default")
    assert after.refresh_token == token
    assert after.generation >= FULL.generation + 8


async def test_where_the_vault_cannot_be_read_nothing_is_written_over_it(
    vault: FileVault, folder: Path
) -> None:
    await store(vault, FULL)
    document = folder / "profiles" / "default.sealed"
    document.write_bytes(b"damaged")

    for change in (set_static_key(vault, KEY), clear_static_key(vault), switch_mode(vault, "api_key")):
        with pytest.raises(VaultUnreadable):
            await change

    assert document.read_bytes() == b"damaged"
