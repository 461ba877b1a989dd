"""A new seal for everything that is stored."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential
from sidekey_auth.errors import KeyringLocked, NoVault, SealError, VaultBusy, VaultUnreadable, WrongSeal
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault
from vault_conformance import FULL, store

OLD, NEW = new_seal_key(), new_seal_key()
CLIENT_KEY = Secret("sk-side-canary-client-key-000000001")


class Drawer:
    """A seal that sidekey keeps itself; it can be made to refuse."""

    name = "the drawer"
    keeps = True

    def __init__(self) -> None:
        self.seal: Seal | None = None
        self.stored: list[Seal] = []
        self.refuse_at: int | None = None

    async def read(self, vault: str) -> Seal | None:
        return self.seal

    async def store(self, vault: str, seal: Seal) -> None:
        if len(self.stored) == self.refuse_at:
            raise KeyringLocked("locked")
        self.stored.append(seal)
        self.seal = seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sidekey"


def given(*keys: Secret) -> EnvironmentSeal:
    return EnvironmentSeal("SIDEKEY_SEAL_KEY", Seal(keys).written().reveal())


async def filled(vault: FileVault) -> FileVault:
    await store(vault, FULL)
    await store(vault, replace(FULL, profile="work"))
    await vault.save_client_key(CLIENT_KEY)
    return vault


async def assert_everything_opens(vault: FileVault) -> None:
    await vault.check()
    assert await vault.load("default") == FULL
    assert await vault.load("work") == replace(FULL, profile="work")
    assert await vault.load_client_key() == CLIENT_KEY


async def test_where_sidekey_keeps_the_seal_the_new_key_comes_first_and_the_old_one_falls(
    folder: Path,
) -> None:
    drawer = Drawer()
    vault = await filled(FileVault(folder, drawer))
    result = await vault.rotate()
    assert (result.documents, result.next_step) == (3, "")
    first, between, last = drawer.stored
    assert between.keys == (*last.keys, *first.keys)
    assert len(last.keys) == 1
    await assert_everything_opens(FileVault(folder, drawer))
    drawer.seal = first
    with pytest.raises(WrongSeal):
        await FileVault(folder, drawer).load("work")


async def test_where_a_person_keeps_it_everything_is_sealed_with_the_first_key(folder: Path) -> None:
    await filled(FileVault(folder, given(OLD)))
    result = await FileVault(folder, given(NEW, OLD)).rotate()
    assert result.documents == 3
    assert "first key in SIDEKEY_SEAL_KEY" in result.next_step
    assert "remove the others" in result.next_step
    await assert_everything_opens(FileVault(folder, given(NEW)))
    with pytest.raises(WrongSeal):
        await FileVault(folder, given(OLD)).check()


async def test_rotating_twice_with_the_same_keys_does_no_harm(folder: Path) -> None:
    await filled(FileVault(folder, given(OLD)))
    for _ in range(2):
        assert (await FileVault(folder, given(NEW, OLD)).rotate()).documents == 3
    await assert_everything_opens(FileVault(folder, given(NEW)))


async def test_without_a_new_key_there_is_nothing_to_rotate_to(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "seal"
    path.write_text(OLD.reveal())
    await filled(FileVault(folder, given(OLD)))
    for source in (given(OLD), FileSeal(path)):
        with pytest.raises(SealError, match="holds one key only") as caught:
            await FileVault(folder, source).rotate()
        assert "before the old one" in caught.value.remedy
    await assert_everything_opens(FileVault(folder, given(OLD)))


async def test_a_damaged_document_stops_it_before_anything_is_changed(folder: Path) -> None:
    drawer = Drawer()
    vault = await filled(FileVault(folder, drawer))
    (folder / "profiles" / "work.sealed").write_bytes(b"{}")
    with pytest.raises(VaultUnreadable):
        await vault.rotate()
    assert len(drawer.stored) == 1


async def test_a_keyring_that_refuses_leaves_everything_readable_and_the_next_time_finishes(
    folder: Path,
) -> None:
    drawer = Drawer()
    vault = await filled(FileVault(folder, drawer))
    for refuse_at in (1, 2):  # the storing of both keys, and of the new one alone
        drawer.refuse_at = refuse_at
        with pytest.raises(KeyringLocked):
            await vault.rotate()
        await assert_everything_opens(FileVault(folder, drawer))
        await assert_everything_opens(vault)
    unfinished = drawer.seal
    drawer.refuse_at = None
    await vault.rotate()
    assert unfinished is not None
    assert drawer.seal == Seal(unfinished.keys[:1])
    await assert_everything_opens(FileVault(folder, drawer))


async def test_a_process_with_the_old_seal_reads_the_new_one_when_it_needs_it(folder: Path) -> None:
    drawer = Drawer()
    readers = [await filled(FileVault(folder, drawer)) for _ in range(3)]
    await FileVault(folder, drawer).rotate()
    assert await readers[0].load("work") == replace(FULL, profile="work")
    await store(readers[1], replace(FULL, generation=1))
    await store(readers[2], Credential(profile="fresh", generation=2))
    fresh = FileVault(folder, drawer)
    await fresh.check()
    assert (await fresh.load("fresh")).generation == 2


async def test_a_process_that_cannot_get_the_new_seal_writes_nothing(folder: Path) -> None:
    """Not even a profile that is not there yet, which no document would keep it from."""
    running = await filled(FileVault(folder, given(OLD)))
    await FileVault(folder, given(NEW, OLD)).rotate()
    with pytest.raises(WrongSeal):
        await store(running, replace(FULL, generation=1))
    with pytest.raises(WrongSeal):
        await store(running, Credential(profile="fresh", generation=2))
    await assert_everything_opens(FileVault(folder, given(NEW)))


async def test_a_running_process_follows_a_file_that_a_person_keeps(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "seal"
    path.write_text(OLD.reveal())
    running = await filled(FileVault(folder, FileSeal(path)))
    path.write_text(f"{NEW.reveal()}\n{OLD.reveal()}\n")
    await FileVault(folder, FileSeal(path)).rotate()
    path.write_text(NEW.reveal())
    await assert_everything_opens(running)


async def test_a_profile_at_work_is_waited_for(folder: Path) -> None:
    vault = await filled(FileVault(folder, given(OLD)))
    async with vault.lock("work"):
        with pytest.raises(VaultBusy, match="the profile work"):
            await FileVault(folder, given(NEW, OLD), patience=0.05).rotate()
    await assert_everything_opens(FileVault(folder, given(NEW, OLD)))
    await FileVault(folder, given(NEW, OLD)).rotate()
    await assert_everything_opens(FileVault(folder, given(NEW)))


async def test_an_empty_vault_can_be_rotated(folder: Path) -> None:
    drawer = Drawer()
    with pytest.raises(NoVault):
        await FileVault(folder, drawer).rotate()
    assert not os.path.lexists(folder), "a rotation makes no vault"  # noqa: ASYNC240
    await FileVault(folder, drawer).create()
    assert (await FileVault(folder, drawer).rotate()).documents == 0
    await FileVault(folder, drawer).check()
