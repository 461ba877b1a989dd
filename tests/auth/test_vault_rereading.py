"""A document that does not open makes nobody ask the keyring without end."""

# ruff: noqa: ASYNC240 - a test may touch the disk itself
from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential
from sidekey_auth.errors import KeyringLocked, WrongSeal
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.vaults.file import FileVault
from sidekey_auth.vaults.rereading import FIRST_PAUSE, LONGEST_PAUSE, Rereading
from vault_conformance import FULL, store


class Drawer:
    """A keyring that counts how often it is asked, and may be locked."""

    name = "the drawer"
    keeps = True

    def __init__(self) -> None:
        self.seals: dict[str, Seal] = {}
        self.readings = 0
        self.locked = False
        self.asked = asyncio.Event()
        self.slow: asyncio.Event | None = None

    async def read(self, vault: str) -> Seal | None:
        self.readings += 1
        self.asked.set()
        if self.slow is not None:
            await self.slow.wait()
        if self.locked:
            raise KeyringLocked("the drawer is locked")
        return self.seals.get(vault)

    async def store(self, vault: str, seal: Seal) -> None:
        self.seals[vault] = seal


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sidekey"


@pytest.fixture
def document(folder: Path) -> Path:
    return folder / "profiles" / "default.sealed"


def damaged(data: bytes) -> bytes:
    """Return a document whose seal does not open it: one character of it is another."""
    return data[:-40] + (b"A" if data[-40:-39] != b"A" else b"B") + data[-39:]


async def test_a_damaged_document_is_asked_for_once_and_a_changed_one_once_more(
    folder: Path, document: Path
) -> None:
    drawer = Drawer()
    vault = FileVault(folder, drawer)
    await vault.check()
    await store(vault, FULL)
    good, before = document.read_bytes(), drawer.readings
    document.write_bytes(damaged(good))
    for _ in range(20):
        with pytest.raises(WrongSeal):
            await vault.load("default")
    assert drawer.readings == before + 1
    document.write_bytes(damaged(good) + b"\n")
    for _ in range(20):
        with pytest.raises(WrongSeal):
            await vault.load("default")
    assert drawer.readings == before + 2
    document.write_bytes(good)
    assert await vault.load("default") == FULL
    assert drawer.readings == before + 2


async def test_other_documents_that_open_make_it_no_new_case(folder: Path, document: Path) -> None:
    drawer = Drawer()
    vault = FileVault(folder, drawer)
    await vault.check()
    for profile in ("default", "work"):
        await store(vault, Credential(profile=profile, generation=7))
    document.write_bytes(damaged(document.read_bytes()))
    before = drawer.readings
    for _ in range(20):
        with pytest.raises(WrongSeal):
            await vault.load("default")
        assert (await vault.load("work")).generation == 7
    assert drawer.readings == before + 1


async def test_a_locked_keyring_is_asked_once_and_stays_the_reason(folder: Path, document: Path) -> None:
    drawer = Drawer()
    vault = FileVault(folder, drawer)
    await vault.check()
    await store(vault, FULL)
    await FileVault(folder, drawer).rotate()
    before, drawer.locked = drawer.readings, True
    for _ in range(20):
        with pytest.raises(KeyringLocked, match="the drawer is locked"):
            await vault.load("default")
    assert drawer.readings == before + 1


async def test_a_rotation_is_still_followed_at_once(folder: Path, document: Path) -> None:
    drawer = Drawer()
    vault = FileVault(folder, drawer)
    await vault.check()
    good = Credential()
    for generation in range(1, 4):
        good = Credential(generation=generation)
        await store(vault, good)
        await FileVault(folder, drawer).rotate()
        assert await vault.load("default") == good
    document.write_bytes(damaged(document.read_bytes()))
    with pytest.raises(WrongSeal):
        await vault.load("default")
    await FileVault(folder, drawer).reset()
    await FileVault(folder, drawer).check()


async def test_whoever_meets_a_rotation_at_the_same_moment_waits_for_the_one_reading(folder: Path) -> None:
    drawer = Drawer()
    vault = FileVault(folder, drawer)
    await vault.check()
    for profile in ("a", "b", "c"):
        await store(vault, Credential(profile=profile, generation=7))
    await FileVault(folder, drawer).rotate()
    before, drawer.slow = drawer.readings, asyncio.Event()
    drawer.asked.clear()
    loading = [asyncio.create_task(vault.load(profile)) for profile in ("a", "b", "c")]
    await drawer.asked.wait()
    drawer.slow.set()
    assert [(await task).generation for task in loading] == [7, 7, 7]
    assert drawer.readings == before + 1


async def test_a_save_over_what_does_not_open_asks_no_more_often(folder: Path, document: Path) -> None:
    drawer = Drawer()
    vault = FileVault(folder, drawer)
    await vault.check()
    await store(vault, FULL)
    document.write_bytes(damaged(document.read_bytes()))
    before = drawer.readings
    for _ in range(20):
        with pytest.raises(WrongSeal):
            await store(vault, FULL)
    assert drawer.readings == before + 1


async def test_a_seal_that_a_person_has_put_right_is_found(folder: Path) -> None:
    drawer, other = Drawer(), Drawer()
    await FileVault(folder, drawer).check()
    await store(FileVault(folder, drawer), FULL)
    (vault_id, right) = next(iter(drawer.seals.items()))
    other.seals[vault_id] = Seal((new_seal_key(),))
    vault = FileVault(folder, other)
    with pytest.raises(WrongSeal):
        await vault.load("default")
    other.seals[vault_id] = right
    vault._sealed.rereading._not_before = 0.0  # a pause has passed
    assert await vault.load("default") == FULL


# --- the pauses -------------------------------------------------------------------------------------------


def asked(rereading: Rereading, content: bytes, now: float) -> bool:
    """Ask, and be done with it at once."""
    worth_it = rereading.begin(content, now)
    if worth_it:
        rereading.end()
    return worth_it


def test_the_pauses_between_two_readings_grow_to_a_bound() -> None:
    rereading = Rereading()
    moments = [now for now in range(301) if asked(rereading, b"x", float(now))]
    assert moments == [0, 5, 15, 35, 75, 135, 195, 255]
    assert (FIRST_PAUSE, LONGEST_PAUSE) == (5.0, 60.0)


def test_each_state_of_the_vault_is_worth_one_reading_at_once() -> None:
    rereading = Rereading()
    answers = [asked(rereading, content, 0.0) for content in (b"x", b"x", b"y", b"y", b"x")]
    assert answers == [True, False, True, False, True]


def test_nobody_reads_while_somebody_does() -> None:
    rereading = Rereading()
    assert rereading.begin(b"x", 0.0)
    assert not rereading.begin(b"y", 100.0)
    rereading.end()
    assert rereading.begin(b"y", 100.0)
