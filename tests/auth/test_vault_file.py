"""The vault in a folder: its seal, its beginnings, and what it must never overwrite."""

# ruff: noqa: ASYNC240 - a test may touch the disk itself
from __future__ import annotations

import asyncio
import json
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from canary import Canary
from sidekey_auth.credential import Credential
from sidekey_auth.errors import SealError, VaultAway, VaultBusy, VaultExposed, VaultUnreadable, WrongSeal
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault, open_vault
from sidekey_auth.vaults.home import home
from vault_conformance import FULL, Opened, VaultConformance, add_one, store

OLD, NEW = new_seal_key(), new_seal_key()


def sealed_by(*keys: Secret) -> EnvironmentSeal:
    return EnvironmentSeal("SIDEKEY_SEAL_KEY", Seal(keys).written().reveal())


class Kept:
    """A seal that sidekey keeps itself, in memory: what a keyring is, without the keyring."""

    name = "the drawer"
    keeps = True

    def __init__(self) -> None:
        self.seals: dict[str, Seal] = {}
        self.readings = 0

    async def read(self, vault: str) -> Seal | None:
        self.readings += 1
        return self.seals.get(vault)

    async def store(self, vault: str, seal: Seal) -> None:
        self.seals[vault] = seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sidekey"


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


class TestFileVault(VaultConformance):
    """It keeps every vault's promises, with a vault object per process."""

    @pytest.fixture
    def opened(self, folder: Path) -> Opened:
        return lambda: FileVault(folder, sealed_by(OLD))


# --- beginning ---------------------------------------------------------------------------------------------


async def test_reading_makes_nothing(folder: Path) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await vault.load("default")
    await vault.load_client_key()
    await vault.profiles()
    await vault.describe()
    assert not folder.exists()


async def test_everything_is_private_and_nothing_is_in_the_clear(folder: Path) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await vault.check()
    await store(vault, FULL)
    await vault.save_client_key(Secret("sk-side-canary-client-key-000000001"))
    for path in [folder, *folder.rglob("*")]:
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600)
    assert contents(folder).keys() == {
        "vault.json",
        "seal-check.sealed",
        "client-key.sealed",
        "profiles/default.sealed",
    }
    for value in (*FULL.secrets(), OLD, Secret("sk-side-canary-client-key-000000001")):
        assert not any(value.reveal().encode() in data for data in contents(folder).values())


async def test_a_vault_gets_its_id_and_seal_once_however_many_begin_it(folder: Path) -> None:
    kept = Kept()
    vaults = [FileVault(folder, kept) for _ in range(6)]
    await asyncio.gather(*(vault.check() for vault in vaults))
    vault = json.loads((folder / "vault.json").read_text())
    assert vault["format"] == 1
    assert list(kept.seals) == [vault["id"]]
    await store(vaults[0], FULL)
    assert await vaults[5].load("default") == FULL


async def test_two_vaults_have_two_ids(tmp_path: Path) -> None:
    for name in ("a", "b"):
        await FileVault(tmp_path / name, sealed_by(OLD)).check()
    assert (tmp_path / "a" / "vault.json").read_bytes() != (tmp_path / "b" / "vault.json").read_bytes()


async def test_the_seal_is_read_once_and_not_for_every_save(folder: Path) -> None:
    kept = Kept()
    vault = FileVault(folder, kept)
    await vault.check()
    before = kept.readings
    for _ in range(3):
        await add_one(vault)
    assert kept.readings == before


async def test_the_environment_names_folder_and_seal(folder: Path) -> None:
    vault = open_vault({"SIDEKEY_HOME": str(folder), "SIDEKEY_SEAL_KEY": OLD.reveal()})
    await vault.check()
    description = await vault.describe()
    assert (description.where, description.sealed_by) == (str(folder), "SIDEKEY_SEAL_KEY")
    assert (folder / "vault.json").exists()


def test_without_a_setting_the_folder_is_where_the_system_keeps_data() -> None:
    assert home({}).name == "sidekey"
    assert home({"SIDEKEY_HOME": ""}) == home({})


# --- a seal that does not fit -----------------------------------------------------------------------------


async def test_a_wrong_seal_is_found_at_start_and_nothing_is_overwritten(folder: Path) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await store(vault, FULL)
    await vault.save_client_key(Secret("sk-side-canary-client-key-000000001"))
    before = contents(folder)
    wrong = FileVault(folder, sealed_by(NEW))
    with pytest.raises(WrongSeal) as caught:
        await wrong.check()
    assert str(folder) in str(caught.value)
    assert "sidekey vault reset" in caught.value.remedy
    with pytest.raises(WrongSeal):
        await wrong.load("default")
    with pytest.raises(WrongSeal):
        await store(wrong, Credential(generation=9))
    with pytest.raises(WrongSeal):
        await store(wrong, Credential(profile="another", generation=9))
    with pytest.raises(WrongSeal):
        await wrong.save_client_key(Secret("sk-side-canary-client-key-000000002"))
    with pytest.raises(WrongSeal):
        await wrong.rotate()
    assert contents(folder) == before


async def test_a_seal_that_is_gone_is_not_replaced(folder: Path) -> None:
    await store(FileVault(folder, Kept()), FULL)
    before = contents(folder)
    empty = Kept()
    vault = FileVault(folder, empty)
    for attempt in (vault.check(), vault.load("default"), store(vault, FULL), vault.rotate()):
        with pytest.raises(WrongSeal, match="its seal is not in the drawer"):
            await attempt
    (folder / "seal-check.sealed").unlink()
    del before["seal-check.sealed"]
    with pytest.raises(WrongSeal, match="its seal is not in the drawer"):
        await vault.check()
    assert empty.seals == {}
    assert contents(folder) == before


async def test_a_seal_that_cannot_be_had_leaves_everything_as_it_is(folder: Path) -> None:
    await store(FileVault(folder, sealed_by(OLD)), FULL)
    before = contents(folder)
    vault = FileVault(folder, EnvironmentSeal("SIDEKEY_SEAL_KEY", ""))
    with pytest.raises(SealError):
        await store(vault, replace(FULL, generation=9))
    with pytest.raises(SealError):
        await vault.load("default")
    assert contents(folder) == before


async def test_a_check_that_is_gone_is_made_again_only_by_a_seal_that_opens_everything(folder: Path) -> None:
    await store(FileVault(folder, sealed_by(OLD)), FULL)
    (folder / "seal-check.sealed").unlink()
    with pytest.raises(WrongSeal):
        await store(FileVault(folder, sealed_by(NEW)), Credential(profile="another"))
    assert contents(folder).keys() == {"vault.json", "profiles/default.sealed"}
    await FileVault(folder, sealed_by(OLD)).check()
    assert "seal-check.sealed" in contents(folder)


# --- documents that do not open ---------------------------------------------------------------------------


@pytest.mark.parametrize("damage", [b"", b"{}", b"\0" * 4096, b"A" * 2_000_000])
async def test_a_damaged_document_is_named_and_not_overwritten(folder: Path, damage: bytes) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await store(vault, FULL)
    place = folder / "profiles" / "default.sealed"
    place.write_bytes(damage)
    with pytest.raises(VaultUnreadable, match=str(place)):
        await vault.load("default")
    with pytest.raises(VaultUnreadable, match=str(place)):
        await vault.check()
    with pytest.raises(VaultUnreadable, match=str(place)):
        await store(vault, FULL)
    assert place.read_bytes() == damage
    await store(vault, Credential(profile="another", generation=1))


async def test_a_document_of_another_profile_or_vault_is_refused(folder: Path, tmp_path: Path) -> None:
    """Also with the same seal for all of them."""
    vault, foreign = FileVault(folder, sealed_by(OLD)), FileVault(tmp_path / "foreign", sealed_by(OLD))
    for one in (vault, foreign):
        await store(one, FULL)
        await store(one, replace(FULL, profile="work"))
    profiles = folder / "profiles"
    own = (profiles / "default.sealed").read_bytes()
    (profiles / "default.sealed").write_bytes((profiles / "work.sealed").read_bytes())
    with pytest.raises(VaultUnreadable, match="another profile"):
        await vault.load("default")
    (profiles / "default.sealed").write_bytes(
        (tmp_path / "foreign" / "profiles" / "default.sealed").read_bytes()
    )
    with pytest.raises(VaultUnreadable, match="another vault"):
        await vault.load("default")
    (profiles / "default.sealed").write_bytes(own)
    assert await vault.load("default") == FULL


@pytest.mark.parametrize("damage", [None, b"", b"[]", b'{"format": 1, "id": "fedcba9876543210"}'])
async def test_an_id_that_is_gone_or_damaged_is_not_made_anew(folder: Path, damage: bytes | None) -> None:
    await store(FileVault(folder, sealed_by(OLD)), FULL)
    place = folder / "vault.json"
    place.unlink() if damage is None else place.write_bytes(damage)
    before = contents(folder)
    vault = FileVault(folder, sealed_by(OLD))
    for attempt in (vault.check(), vault.load("default"), store(vault, FULL)):
        with pytest.raises(VaultUnreadable):
            await attempt
    assert contents(folder) == before


async def test_a_document_that_vanishes_is_no_sign_out_and_is_seen_when_it_comes_back(folder: Path) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await store(vault, FULL)
    await vault.load("default")
    place = folder / "profiles" / "default.sealed"
    waiting = asyncio.create_task(vault.changed("default"))
    data = place.read_bytes()
    place.unlink()
    await asyncio.wait_for(waiting, 2)
    with pytest.raises(VaultAway):
        await vault.load("default")
    waiting = asyncio.create_task(vault.changed("default"))
    place.write_bytes(data)
    place.chmod(0o600)
    await asyncio.wait_for(waiting, 2)
    assert await vault.load("default") == FULL


async def test_a_document_that_stays_unreadable_is_reported_once(folder: Path) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await store(vault, FULL)
    (folder / "profiles" / "default.sealed").chmod(0o644)
    with pytest.raises(VaultExposed):
        await vault.load("default")
    done, pending = await asyncio.wait([asyncio.create_task(vault.changed("default"))], timeout=0.6)
    assert not done
    for task in pending:
        task.cancel()


# --- a cancellation in the middle of a save ---------------------------------------------------------------


async def test_a_cancelled_save_is_whole_before_its_lock_is_released(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault, other = FileVault(folder, sealed_by(OLD)), FileVault(folder, sealed_by(OLD))
    await store(vault, Credential(generation=1))
    await other.load("default")
    writing, go_on = asyncio.Event(), threading.Event()
    loop, fsync = asyncio.get_running_loop(), os.fsync

    def slow_disk(descriptor: int) -> None:
        loop.call_soon_threadsafe(writing.set)
        assert go_on.wait(10)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow_disk)
    saving = asyncio.create_task(store(vault, Credential(generation=2)))
    await writing.wait()
    for _ in range(2):
        saving.cancel()
        await asyncio.wait([saving], timeout=0.05)
        assert not saving.done()
    with pytest.raises(VaultBusy):
        async with other.lock("default", timeout=0.05):
            pass
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await saving
    async with other.lock("default", timeout=1):
        assert (await other.load("default")).generation == 2


# --- moving an unreadable vault aside ---------------------------------------------------------------------


async def test_a_reset_moves_everything_aside_and_the_next_start_makes_a_new_vault(folder: Path) -> None:
    vault = FileVault(folder, sealed_by(OLD))
    await store(vault, FULL)
    await store(vault, replace(FULL, profile="work"))
    await vault.save_client_key(Secret("sk-side-canary-client-key-000000001"))
    before = contents(folder)
    unreadable = FileVault(folder, sealed_by(NEW))
    aside = await unreadable.reset()
    assert aside is not None
    assert aside.parent == folder
    assert aside.name.startswith("aside-2")
    assert contents(aside) == before
    assert contents(folder).keys() == {f"{aside.name}/{name}" for name in before}
    await unreadable.check()
    assert await unreadable.load("default") == Credential()
    await store(unreadable, Credential(generation=5))
    assert await unreadable.reset() != aside
    assert await unreadable.reset() is None


async def test_a_vault_that_was_moved_back_opens_again(folder: Path) -> None:
    kept = Kept()
    vault = FileVault(folder, kept)
    await store(vault, FULL)
    aside = await vault.reset()
    assert aside is not None
    await FileVault(folder, kept).check()
    await FileVault(folder, kept).reset()
    for part in aside.iterdir():
        part.rename(folder / part.name)
    assert await FileVault(folder, kept).load("default") == FULL


async def test_a_running_process_writes_into_no_other_vault_after_a_reset(folder: Path) -> None:
    kept = Kept()
    running = FileVault(folder, kept)
    await store(running, FULL)
    await FileVault(folder, kept).reset()
    with pytest.raises(VaultAway):
        await store(running, replace(FULL, generation=9))
    await store(FileVault(folder, kept), Credential(generation=3))
    with pytest.raises(VaultAway, match="another vault"):
        await running.load("default")
    with pytest.raises(VaultAway):
        await store(running, replace(FULL, generation=9))
    assert (await FileVault(folder, kept).load("default")).generation == 3


async def test_a_sandbox_keeps_its_seal_in_its_own_folder(folder: Path, canary: Canary) -> None:
    key = folder / "seal.key"
    canary.allow_file(key)
    vault = FileVault(folder, FileSeal(key, create=True))
    await vault.check()
    await store(vault, FULL)
    assert await FileVault(folder, FileSeal(key, create=True)).load("default") == FULL
    key.unlink()
    with pytest.raises(WrongSeal):
        await FileVault(folder, FileSeal(key, create=True)).check()
    assert not key.exists()
