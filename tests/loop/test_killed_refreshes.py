"""A process killed at any step of a refresh loses nothing that had been written."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest

from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.vaults.file import FileVault

if TYPE_CHECKING:
    from .conftest import House

KILLS = 100


class Forge:
    """The process that runs refreshes in forks of itself."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path, seal: Path, issuer: str) -> None:
        self._process = process
        self._job = {"folder": str(folder), "seal": str(seal), "issuer": issuer}

    async def refresh(self, profile: str, deadly: int | None = None) -> dict[str, Any]:
        """Refresh a profile, killed before the point with this number."""
        job = {**self._job, "profile": profile, **({} if deadly is None else {"deadly": deadly})}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(job).encode() + b"\n")
        async with asyncio.timeout(30):
            return dict(json.loads(await self._process.stdout.readline()))


@pytest.fixture
async def forge(house: House, tmp_path: Path) -> AsyncIterator[Forge]:
    seal = tmp_path / "seal.key"
    seal.write_text(new_seal_key().reveal())
    house.environment.pop("SIDEKEY_SEAL_KEY")
    house.environment["SIDEKEY_SEAL_KEY_FILE"] = str(seal)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).parent / "forge.py"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    yield Forge(process, house.home, seal, house.sandbox.issuer)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


async def test_a_hundred_kills_at_every_step_in_turn(house: House, forge: Forge, tmp_path: Path) -> None:
    vault = FileVault(house.home, FileSeal(tmp_path / "seal.key"))
    await house.signed_in(profile="rehearsal")
    points = (await forge.refresh("rehearsal"))["points"]
    assert {"after save", "after refresh", "after verify", "after exchange_key", "before replace"} <= set(
        points
    )
    seen: Counter[str] = Counter()
    async with aiohttp.ClientSession() as session:
        for number, deadly in zip(range(KILLS), itertools.cycle(range(len(points))), strict=False):
            profile = f"killed-{number}"
            before = await house.signed_in(profile=profile)
            assert before.refresh_token is not None
            sent = house.count("refresh")
            outcome = await forge.refresh(profile, deadly)
            assert outcome == {"killed": signal.SIGKILL}, (points[deadly], outcome)

            left = await vault.load(profile)
            written = left.refresh_token != before.refresh_token
            spent = not house.sandbox.knows(before.refresh_token)
            after = await forge.refresh(profile)
            final = await vault.load(profile)
            if written or not spent:
                seen["works"] += 1
                assert after["state"] == "ready", (points[deadly], after)
                assert final.api_key is not None
                assert final.api_key != before.api_key
            else:
                seen["answer lost"] += 1
                assert after["code"] == "refresh_answer_lost", (points[deadly], after)
                assert after["ready"], "the present key serves on"
                assert final.api_key == before.api_key
                assert house.count("refresh") - sent == 2, "once more, then no further"
                await forge.refresh(profile)
                assert house.count("refresh") - sent == 2
            headers = {"Authorization": f"Bearer {final.api_key.reveal()}"} if final.api_key else {}
            async with session.get(f"{house.sandbox.upstream}/models", headers=headers) as response:
                assert response.status == 200, points[deadly]
    assert seen["works"] + seen["answer lost"] == KILLS
    assert seen["answer lost"] > 0
