"""A vault whose folder is away for a while: absence tells nothing, and nothing takes its place."""

# ruff: noqa: ASYNC240 - a test may touch the disk itself
from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential
from sidekey_auth.errors import VaultError
from sidekey_auth.journal import Journal
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault

OLD, NEW = new_seal_key(), new_seal_key()
BASE = Credential(mode="chatgpt", generation=5, sign_in=5, refresh_token=Secret("rt-base-canary-0123456789"))
REFRESHED = replace(BASE, refreshes=1, refresh_token=Secret("rt-next-canary-0123456789"))


def vault_at(folder: Path, *keys: Secret) -> FileVault:
    seal = EnvironmentSeal("SIDEKEY_SEAL_KEY", Seal(keys or (OLD,)).written().reveal())
    return FileVault(folder, seal, aside=folder.with_name("aside"))


async def stored(vault: FileVault, credential: Credential = BASE) -> FileVault:
    await vault.create()
    async with vault.lock("default"):
        await vault.save(credential)
    return vault


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }


@pytest.mark.parametrize("how", ["renamed away", "emptied", "another vault's"])
async def test_what_is_in_memory_stays_and_is_written_nowhere_else(tmp_path: Path, how: str) -> None:
    folder, away = tmp_path / "sidekey", tmp_path / "away"
    vault = await stored(vault_at(folder))
    journal = Journal(vault)
    await journal.read()
    folder.rename(away)
    if how == "emptied":
        folder.mkdir(mode=0o700)
    if how == "another vault's":
        await stored(vault_at(folder), replace(BASE, generation=1))
    there = contents(folder)
    with pytest.raises(VaultError):
        await journal.read()
    assert journal.credential == BASE
    with pytest.raises(VaultError):
        await vault.save(REFRESHED)
    await journal.change(lambda _: REFRESHED)
    assert contents(folder) == there
    if folder.exists():
        folder.rename(tmp_path / "wrong")
    away.rename(folder)
    await journal.save_unsaved()
    assert await vault.load("default") == REFRESHED


async def test_a_rotation_waits_for_a_refresh_in_flight_that_knows_only_the_old_key(tmp_path: Path) -> None:
    folder = tmp_path / "sidekey"
    vault = await stored(vault_at(folder))
    async with vault.lock("default"):
        await vault.load("default")
        rotating = asyncio.create_task(vault_at(folder, NEW, OLD).rotate())
        await asyncio.wait([rotating], timeout=0.3)
        await vault.save(REFRESHED)
        assert not rotating.done()
    await rotating
    assert await vault_at(folder, NEW).load("default") == REFRESHED


async def test_a_rotation_takes_up_what_was_put_aside_under_the_old_key(tmp_path: Path) -> None:
    folder = tmp_path / "sidekey"
    journal = Journal(await stored(vault_at(folder)))
    await journal.read()
    folder.rename(tmp_path / "away")
    await journal.change(lambda _: REFRESHED)
    (tmp_path / "away").rename(folder)
    assert journal.aside is not None
    await vault_at(folder, NEW, OLD).rotate()
    assert await vault_at(folder, NEW).load("default") == REFRESHED
    assert not Path(journal.aside).exists()
