"""Several processes at one vault."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from canary import Canary
from sidekey_auth.errors import VaultBusy
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.vaults.file import FileVault
from vault_conformance import add_one

SCRIPT = Path(__file__).with_name("vault_in_parallel.py")


@pytest.fixture
def vault(tmp_path: Path, canary: Canary) -> FileVault:
    key = tmp_path / "sidekey" / "seal.key"
    canary.allow_file(key)
    return FileVault(tmp_path / "sidekey", FileSeal(key, create=True))


@asynccontextmanager
async def at_work(*verb: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process on the vault, and see that it ends."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), *verb, stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def said(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return the next thing that a process says, or fail with its error."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stdout.readline(), 30)
    assert line, (await process.stderr.read()).decode()
    what: dict[str, Any] = json.loads(line)
    return what


async def test_a_lock_ends_with_the_process_that_held_it_however_that_ended(vault: FileVault) -> None:
    async with at_work("hold") as holder:
        assert await said(holder) == {"holding": True}
        with pytest.raises(VaultBusy, match="the profile default has been locked"):
            async with vault.lock("default", timeout=0.1):
                pass
        waiting = asyncio.create_task(add_one(vault))
        done, _ = await asyncio.wait([waiting], timeout=0.1)
        assert not done
        holder.kill()
        await asyncio.wait_for(waiting, 2)
    assert (await vault.load("default")).generation == 1


async def test_a_rotation_disturbs_nobody_and_loses_nothing(vault: FileVault) -> None:
    """Two processes change one profile and make new ones while a third rotates the seal five times."""
    await vault.check()
    async with at_work("add") as one, at_work("add") as other, at_work("rotate", "5") as rotation:
        workers = (one, other)
        for worker in workers:
            assert await said(worker) == {"started": True}
        assert await said(rotation) == {"rotated": 5}
        added = []
        for worker in workers:
            assert worker.stdin is not None
            worker.stdin.close()
            added.append((await said(worker))["added"])
    fresh = FileVault(vault._folder.path, vault._source)
    await fresh.check()
    assert (await fresh.load("default")).generation == sum(added)
    assert len(await fresh.profiles()) == 1 + sum(min(count, 7) for count in added)


async def test_another_processs_change_is_seen_within_two_seconds(vault: FileVault) -> None:
    await vault.load("default")
    waiting = asyncio.create_task(vault.changed("default"))
    async with at_work("add") as worker:
        assert await said(worker) == {"started": True}
        await asyncio.wait_for(waiting, 2)
    assert (await vault.load("default")).generation > 0
