"""The vault's files as the system sees them: owner, mode, links, and places that cannot be written."""

# ruff: noqa: ASYNC240 - a test may touch the disk itself
from __future__ import annotations

import asyncio
import functools
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from sidekey_auth.errors import ConfigurationError, VaultError, VaultExposed, VaultUnreadable, VaultUnwritable
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.vaults.durable import sweep, write_whole
from sidekey_auth.vaults.file import FileVault
from sidekey_auth.vaults.home import home
from vault_conformance import FULL, store

KEY = new_seal_key()
AT_WORK = Path(__file__).with_name("vault_at_work.py")
ROOT = 0
NOBODY = 65534


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sidekey"


def vault_in(folder: Path) -> FileVault:
    return FileVault(folder, EnvironmentSeal("SIDEKEY_SEAL_KEY", KEY.reveal()))


def powerless() -> list[str]:
    """Return what to put before a command so that it meets permission errors, also as root."""
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == ROOT else []


async def at_work(*before: str, folder: Path, verb: str) -> dict[str, Any]:
    """Run a verb on the vault in a process of its own, and return what it said."""
    process = await asyncio.create_subprocess_exec(
        *before,
        *powerless(),
        sys.executable,
        str(AT_WORK),
        verb,
        env={**os.environ, "SIDEKEY_HOME": str(folder), "SIDEKEY_SEAL_KEY": KEY.reveal()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 0, err.decode()
    said: dict[str, Any] = json.loads(out)
    return said


# --- who can get at it ------------------------------------------------------------------------------------


async def test_a_folder_that_others_can_get_at_is_refused_with_the_remedy(folder: Path) -> None:
    vault = vault_in(folder)
    await store(vault, FULL)
    for mode in (0o750, 0o701, 0o777):
        folder.chmod(mode)
        for attempt in (vault.check(), vault.load("default"), store(vault, FULL), vault.reset()):
            with pytest.raises(VaultExposed) as caught:
                await attempt
            assert f"chmod 700 {folder}" in caught.value.remedy
    folder.chmod(0o700)
    assert await vault.load("default") == FULL


@pytest.mark.parametrize("name", ["vault.json", "seal-check.sealed", "profiles/default.sealed"])
async def test_a_file_that_others_can_get_at_is_refused_with_the_remedy(folder: Path, name: str) -> None:
    vault = vault_in(folder)
    await store(vault, FULL)
    (folder / name).chmod(0o640)
    with pytest.raises(VaultExposed) as caught:
        await vault.check()
    assert f"chmod 600 {folder / name}" in caught.value.remedy


@pytest.mark.parametrize("name", ["vault.json", "seal-check.sealed", "profiles/default.sealed", "profiles"])
async def test_a_link_in_a_files_place_is_not_followed(folder: Path, tmp_path: Path, name: str) -> None:
    vault = vault_in(folder)
    await store(vault, FULL)
    elsewhere = tmp_path / "elsewhere"
    (folder / name).rename(elsewhere)
    (folder / name).symlink_to(elsewhere)
    for attempt in (vault.check(), store(vault, FULL)):
        with pytest.raises(VaultError, match=str(folder / name)):
            await attempt
    assert (folder / name).is_symlink()


async def test_a_link_in_a_locks_place_is_not_followed(folder: Path, tmp_path: Path) -> None:
    vault = vault_in(folder)
    await store(vault, FULL)
    lock, elsewhere = folder / "locks" / "default.lock", tmp_path / "elsewhere"
    elsewhere.write_text("somebody else's")
    lock.unlink(missing_ok=True)
    lock.symlink_to(elsewhere)
    with pytest.raises(VaultUnwritable, match=str(lock)):
        await store(vault, FULL)
    assert elsewhere.read_text() == "somebody else's"


async def test_a_person_may_put_the_whole_folder_elsewhere_by_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "disk")
    await store(vault_in(folder), FULL)
    assert await vault_in(folder).load("default") == FULL


async def test_what_belongs_to_somebody_else_is_refused(tmp_path: Path) -> None:
    """Root gives a folder of its own away; anybody else finds one of root's."""
    foreign = Path("/")
    if os.geteuid() == ROOT:
        foreign = tmp_path / "foreign"
        foreign.mkdir(mode=0o700)
        os.chown(foreign, NOBODY, NOBODY)
    vault = vault_in(foreign)
    for attempt in (vault.check(), vault.load("default"), store(vault, FULL)):
        with pytest.raises(VaultExposed, match="belongs to the user with the id"):
            await attempt


@pytest.mark.parametrize("name", ["", "profiles", "locks"])
async def test_a_file_in_a_folders_place_is_an_error(folder: Path, name: str) -> None:
    await store(vault_in(folder), FULL)
    place = folder / name
    place.rename(folder.parent / "moved")
    place.touch(mode=0o600)
    with pytest.raises(VaultError, match=f"{place} is not a folder"):
        await vault_in(folder).check()


async def test_a_pipe_in_a_documents_place_does_not_hang(folder: Path) -> None:
    vault = vault_in(folder)
    await store(vault, FULL)
    (folder / "profiles" / "default.sealed").unlink()
    os.mkfifo(folder / "profiles" / "default.sealed", 0o600)
    with pytest.raises(VaultUnreadable, match="not a plain file"):
        await asyncio.wait_for(vault.load("default"), 5)


def test_a_folder_that_depends_on_where_one_stands_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="SIDEKEY_HOME"):
        home({"SIDEKEY_HOME": "here"})


# --- places that cannot be written ------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "profiles", "locks"])
async def test_an_unwritable_folder_is_found_at_start(folder: Path, place: str) -> None:
    await store(vault_in(folder), FULL)
    (folder / place).chmod(0o500)
    try:
        said = await at_work(folder=folder, verb="check")
        assert said["error"] == "VaultUnwritable"
        assert str(folder / place) in said["message"]
        assert "Permission denied" in said["message"]
        assert said["remedy"]
        assert (await at_work(folder=folder, verb="load"))["generation"] == FULL.generation
    finally:
        (folder / place).chmod(0o700)


async def test_a_folder_that_cannot_be_made_is_found_at_start(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    said = await at_work(folder=tmp_path / "closed" / "sidekey", verb="check")
    assert said["error"] == "VaultUnwritable"
    assert "Permission denied" in said["message"]


async def test_an_unreadable_document_is_not_taken_for_a_missing_one(folder: Path) -> None:
    await store(vault_in(folder), FULL)
    for path in (folder / "profiles" / "default.sealed", folder / "profiles", folder):
        mode = path.stat().st_mode
        path.chmod(0)
        try:
            said = await at_work(folder=folder, verb="load")
        finally:
            path.chmod(mode)
        assert said["error"] == "VaultUnreadable"
        assert "Permission denied" in said["message"]


async def test_a_write_that_the_system_cuts_off_leaves_the_old_content(folder: Path) -> None:
    """A real limit on the size of files: the write ends in the middle, as on a full disk."""
    await store(vault_in(folder), FULL)
    said = await at_work(folder=folder, verb="save-cut-off")
    assert said["error"] == "VaultUnwritable"
    assert "File too large" in said["message"]
    assert "ulimit" in said["remedy"]
    assert await vault_in(folder).load("default") == FULL
    assert [path.name for path in (folder / "profiles").iterdir()] == ["default.sealed"]


MOUNTS = {
    "mounted-file": "mount --bind {folder}/profiles/default.sealed {folder}/profiles/default.sealed",
    "mounted-id": "mount --bind {folder}/vault.json {folder}/vault.json",
    "read-only": "mount --bind {folder} {folder} && mount -o remount,bind,ro {folder}",
    "full": (
        "cp -a {folder} {folder}-copy && mount -t tmpfs -o size=64k,mode=700 tmpfs {folder} && "
        "cp -a {folder}-copy/. {folder} && ! dd if=/dev/zero of={folder}/rest 2>/dev/null"
    ),
}
WORDS = {
    "mounted-file": "profiles/default.sealed cannot be replaced: it is a mount of its own",
    "mounted-id": "vault.json cannot be replaced: it is a mount of its own",
    "read-only": "Read-only file system",
    "full": "No space left on device",
}


@functools.cache
def may_mount() -> bool:
    """Tell whether a process here may have mounts of its own; some systems allow it to nobody but root."""
    return os.system("unshare --user --map-root-user --mount true 2>/dev/null") == 0  # noqa: S605


@pytest.mark.parametrize("verb", ["check", "save"])
@pytest.mark.parametrize("mount", MOUNTS)
async def test_a_place_whose_files_cannot_be_replaced_says_so(folder: Path, mount: str, verb: str) -> None:
    """With real mounts where the system lets us; else the process hears the same from its system calls."""
    if (mount, verb) == ("mounted-id", "save"):
        verb = "check"  # a save does not touch it
    await store(vault_in(folder), FULL)
    if may_mount():
        command = f'{MOUNTS[mount].format(folder=folder)} && exec "$@"'
        before = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c", command, "sh")
        said = await at_work(*before, folder=folder, verb=verb)
    else:
        said = await at_work(folder=folder, verb=f"{verb}-{mount}")
    assert said["error"] == "VaultUnwritable"
    assert WORDS[mount] in said["message"]
    assert str(folder) in said["message"]
    assert said["remedy"]
    assert await vault_in(folder).load("default") == FULL


# --- writing whole ----------------------------------------------------------------------------------------


def test_what_killed_processes_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "a.sealed"
    write_whole(place, b"x")
    keep = {"a.sealed", "b.sealed", ".b.sealed.0123.tmp", "a.sealed.tmp"}
    for name in (*keep, ".a.sealed.0123.tmp", ".a.sealed.4567.tmp"):
        (tmp_path / name).touch()
    sweep(place)
    assert {path.name for path in tmp_path.glob("*sealed*")} | {
        path.name for path in tmp_path.glob(".*sealed*")
    } == keep


def test_a_failed_write_leaves_the_old_content_and_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "a.sealed"
    write_whole(place, b"old")

    def broken(_: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(VaultUnwritable, match="Input/output error"):
        write_whole(place, b"new")
    assert place.read_bytes() == b"old"
    assert not list(tmp_path.glob(".a.sealed*"))
