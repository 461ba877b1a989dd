"""Where copies of bodies are kept: memory, files, and the budget of both."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidekey_proxy.replay.copies import KIB, MIB, Copies, Copy

PROMPT = b"a prompt that nobody else should read. "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "copies"
    made.mkdir()
    return made


@contextlib.contextmanager
def keeping(**how: object) -> Iterator[Copies]:
    copies = Copies(**how)  # type: ignore[arg-type]
    try:
        yield copies
    finally:
        copies.close()


async def filled(copy: Copy, size: int, piece: bytes = PROMPT * 1000) -> bytes:
    """Append pieces as a body does, until so many bytes are there."""
    data = b""
    while copy.size < size:
        assert await copy.settle()
        assert copy.append(piece)
        data += piece
    return data


async def everything(copy: Copy) -> bytes:
    data = b""
    while len(data) < copy.size:
        data += await copy.at(len(data))
    return data


def open_files(folder: Path) -> list[Path]:
    """Return this process's descriptors of files in a folder, named or not."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            if str(descriptor.readlink()).startswith(f"{folder}/"):
                found.append(descriptor)
    return found


async def no_open_files(folder: Path) -> None:
    async with asyncio.timeout(10):
        while open_files(folder):  # noqa: ASYNC110 - they are closed on a thread that tells nobody
            await asyncio.sleep(0.001)


async def test_up_to_a_mebibyte_there_is_no_file(folder: Path) -> None:
    with keeping(folder=folder) as copies:
        copy = copies.new()
        data = await filled(copy, MIB - len(PROMPT) * 1000)
        assert open_files(folder) == []
        assert await everything(copy) == data
        copy.close()


async def test_the_file_has_no_name_and_what_is_on_the_disk_is_not_the_prompt(folder: Path) -> None:
    with keeping(folder=folder) as copies:
        copy = copies.new()
        data = await filled(copy, 3 * MIB)
        (file,) = open_files(folder)
        assert os.listdir(folder) == []  # noqa: PTH208 - an iterator would be no evidence
        stored = file.read_bytes()
        assert len(stored) > MIB
        assert PROMPT[:12] not in stored
        assert file.stat().st_mode & 0o777 == 0o600
        assert await everything(copy) == data
        copy.close()
        await no_open_files(folder)
        assert copies.held == 0


async def test_two_files_of_the_same_bytes_have_nothing_in_common(folder: Path) -> None:
    with keeping(folder=folder, memory=0, block=16) as copies:
        both = copies.new(), copies.new()
        for copy in both:
            await filled(copy, 64, b"sixteen bytes of")
        first, second = (file.read_bytes() for file in open_files(folder))
        assert first
        assert first[:32] != first[32:64]
        assert first != second
        for copy in both:
            copy.close()
        await no_open_files(folder)


async def test_a_copy_grows_to_its_limit_and_no_further(folder: Path) -> None:
    with keeping(folder=folder, limit=2 * MIB) as copies:
        copy = copies.new()
        await filled(copy, 2 * MIB, bytes(64 * KIB))
        assert not copy.append(b"x")
        assert copies.held == 2 * MIB
        copy.close()
        assert copies.held == 0


async def test_a_length_over_the_limit_that_is_known_beforehand_costs_no_file(folder: Path) -> None:
    with keeping(folder=folder, limit=4 * MIB) as copies:
        copy = copies.new(announced=4 * MIB + 1)
        await filled(copy, MIB, bytes(64 * KIB))
        assert not copy.append(b"x")
        assert open_files(folder) == []


async def test_beyond_the_budget_of_all_nothing_more_is_kept_until_some_is_given_back() -> None:
    with keeping(budget=100) as copies:
        one, other = copies.new(), copies.new()
        assert one.append(b"x" * 60)
        assert not other.append(b"x" * 41)
        assert other.append(b"x" * 40)
        one.close()
        assert other.append(b"x" * 60)
        assert copies.held == 100


async def test_tiny_pieces_are_put_together() -> None:
    with keeping() as copies:
        copy = copies.new()
        for _ in range(200_000):
            copy.append(b"xy")
        assert len(copy._blocks) <= 1 + 400_000 // (64 * KIB)
        assert await everything(copy) == b"xy" * 200_000
        copy.close()


async def test_a_folder_that_is_not_there_is_told_once_and_all_stays_readable(tmp_path: Path) -> None:
    with keeping(folder=tmp_path / "away", memory=0, block=1) as copies, capture_logs() as logs:
        for _ in range(3):
            copy = copies.new()
            assert copy.append(PROMPT)
            assert not await copy.settle()
            assert await everything(copy) == PROMPT
        (line,) = logs
        assert (line["log_level"], line["reason"]) == ("warning", "No such file or directory")
        assert line["folder"] == str(tmp_path / "away")
        assert "replay_folder" in line["remedy"]


async def test_a_folder_that_can_be_written_again_is_used_again_and_a_new_trouble_told_again(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "comes-and-goes"
    with keeping(folder=folder, memory=0, block=1) as copies, capture_logs() as logs:
        for there in (False, True, False):
            if there:
                folder.mkdir()
            elif folder.exists():
                folder.rmdir()
            copy = copies.new()
            assert copy.append(PROMPT)
            assert await copy.settle() is there
            copy.close()
            await no_open_files(folder)
        assert len(logs) == 2


async def test_a_full_disk_ends_the_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    with keeping(memory=0, block=1) as copies, capture_logs() as logs:
        full = Path("/dev/full").open("r+b", buffering=0)  # noqa: ASYNC230, SIM115
        monkeypatch.setattr("sidekey_proxy.replay.spill.tempfile.TemporaryFile", lambda **_: full)
        copy = copies.new()
        assert copy.append(PROMPT)
        assert not await copy.settle()
        copy.close()
        async with asyncio.timeout(10):
            while not full.closed:  # noqa: ASYNC110 - it is closed on a thread
                await asyncio.sleep(0.001)
        assert [line["reason"] for line in logs] == ["No space left on device"]


async def test_a_disk_that_hangs_holds_the_request_for_a_moment_only(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with keeping(folder=tmp_path, memory=0, block=1, disk_patience=0.05) as copies, capture_logs() as logs:
        answers = threading.Event()
        opened = []

        def hangs(**how: object) -> object:
            answers.wait(10)
            file = (tmp_path / "file").open("w+b", buffering=0)
            opened.append(file)
            return file

        monkeypatch.setattr("sidekey_proxy.replay.spill.tempfile.TemporaryFile", hangs)
        copy = copies.new()
        assert copy.append(PROMPT)
        assert not await copy.settle()
        assert [line["reason"] for line in logs] == ["TimeoutError"]
        copy.close()
        answers.set()
        await asyncio.get_running_loop().run_in_executor(None, copies._threads.shutdown)
        assert [file.closed for file in opened] == [True]


async def test_what_the_disk_gives_back_altered_is_an_error_and_no_altered_body(folder: Path) -> None:
    with keeping(folder=folder, memory=0, block=1) as copies:
        copy = copies.new()
        assert copy.append(PROMPT)
        assert await copy.settle()
        (file,) = open_files(folder)
        descriptor = os.open(file, os.O_WRONLY)
        os.pwrite(descriptor, b"\0\0\0", 3)
        os.close(descriptor)
        with pytest.raises(OSError, match="does not hold what was written"):
            await copy.at(0)
        copy.close()


async def test_copies_that_outlive_the_server_are_closed_all_the_same(folder: Path) -> None:
    copies = Copies(folder=folder, memory=0, block=1)
    copy = copies.new()
    assert copy.append(PROMPT)
    assert await copy.settle()
    copies.close()
    copy.close()
    assert open_files(folder) == []
