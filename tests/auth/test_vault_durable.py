"""Writing whole on systems that are not all alike: what is said is what happened."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from captured import capture_logs
from sidekey_auth.errors import VaultUnwritable
from sidekey_auth.vaults.durable import sync_file, write_whole

FULL_SYNC = 51
"""Darwin's number of F_FULLFSYNC."""


def fails_for_folders(call: Callable[..., int | None], number: int) -> Callable[..., int | None]:
    """Return a system call that fails where it is about a folder, and works elsewhere."""

    def made(what: int | str, *rest: int) -> int | None:
        mode = os.fstat(what).st_mode if isinstance(what, int) else os.stat(what).st_mode  # noqa: PTH116
        if stat.S_ISDIR(mode):
            raise OSError(number, os.strerror(number))
        return call(what, *rest)

    return made


@pytest.fixture
def place(tmp_path: Path) -> Path:
    path = tmp_path / "vault" / "a.sealed"
    path.parent.mkdir()
    write_whole(path, b"old")
    return path


def names(place: Path) -> list[str]:
    return [path.name for path in place.parent.iterdir()]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF])
def test_a_file_system_that_flushes_no_folders_is_written_without_a_word(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", fails_for_folders(os.fsync, number))
    with capture_logs() as logged:
        write_whole(place, b"new")
    assert (place.read_bytes(), names(place), logged) == (b"new", ["a.sealed"], [])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EINVAL, errno.ENOTSUP])
def test_a_folder_that_cannot_be_opened_for_flushing_is_written_without_a_word(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    really = os.open

    def opened(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_dir():
            raise OSError(number, os.strerror(number))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", opened)
    with capture_logs() as logged:
        write_whole(place, b"new")
    assert (place.read_bytes(), names(place), logged) == (b"new", ["a.sealed"], [])


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_folder_that_the_disk_will_not_flush_is_written_and_the_log_says_what_may_be_lost(
    place: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(os, "fsync", fails_for_folders(os.fsync, number))
    with capture_logs() as logged:
        write_whole(place, b"new")
    assert (place.read_bytes(), names(place)) == (b"new", ["a.sealed"])
    (line,) = logged
    assert line["event"] == "written, but a power cut may undo it"
    assert line["path"] == str(place)
    assert line["reason"] == os.strerror(number)


def test_with_no_descriptor_left_nothing_is_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    really = os.open

    def opened(path: str | Path, flags: int, mode: int = 0o777) -> int:
        if Path(path).is_dir():
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return really(path, flags, mode)

    monkeypatch.setattr(os, "open", opened)
    with pytest.raises(VaultUnwritable):
        write_whole(place, b"new")
    assert (place.read_bytes(), names(place)) == (b"old", ["a.sealed"])


def test_a_file_that_the_disk_will_not_flush_is_not_written(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(VaultUnwritable, match="Input/output error"):
        write_whole(place, b"new")
    assert (place.read_bytes(), names(place)) == (b"old", ["a.sealed"])


def test_a_rename_that_happened_though_its_answer_was_lost_counts_as_written(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NFS sends a request again whose answer was lost, and hears that the file is not there."""
    really = os.replace

    def renamed_twice(source: Path, target: Path) -> None:
        really(source, target)
        really(source, target)

    monkeypatch.setattr(os, "replace", renamed_twice)
    write_whole(place, b"new")
    assert (place.read_bytes(), names(place)) == (b"new", ["a.sealed"])


# --- where fsync leaves the disk's own cache alone --------------------------------------------------------


class Disk:
    """What was asked of the system, and what it answers to F_FULLFSYNC."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, answer: int | None) -> None:
        self.asked: list[str] = []
        self._answer = answer
        monkeypatch.setattr(fcntl, "F_FULLFSYNC", FULL_SYNC, raising=False)
        monkeypatch.setattr(fcntl, "fcntl", self._full)
        monkeypatch.setattr(os, "fsync", self._plain)

    def _full(self, descriptor: int, command: int) -> None:
        assert command == FULL_SYNC
        self.asked.append("F_FULLFSYNC")
        if self._answer is not None:
            raise OSError(self._answer, os.strerror(self._answer))

    def _plain(self, descriptor: int) -> None:
        self.asked.append("fsync")


def test_darwins_full_flush_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, None)
    sync_file(7)
    assert disk.asked == ["F_FULLFSYNC"]


@pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EINVAL, errno.ENOTTY])
def test_where_a_disk_knows_no_full_flush_the_plain_one_is_made(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    disk = Disk(monkeypatch, number)
    sync_file(7)
    assert disk.asked == ["F_FULLFSYNC", "fsync"]


def test_a_full_flush_that_fails_is_not_hidden_behind_a_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = Disk(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        sync_file(7)
    assert disk.asked == ["F_FULLFSYNC"]


def test_files_and_their_folder_are_flushed_in_full_where_that_is_to_be_had(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, None)
    write_whole(place, b"new")
    assert disk.asked == ["F_FULLFSYNC", "F_FULLFSYNC"]
    assert place.read_bytes() == b"new"
