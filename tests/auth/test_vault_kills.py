"""Processes killed (SIGKILL) at each step of a change: what is left is the old state or the new one."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

SCRIPT = Path(__file__).with_name("killed_vault.py")


async def killed_at_every_step(verb: str, folder: Path) -> list[dict[str, Any]]:
    """Return what was found after each kill; the last one is of a process that came to its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SCRIPT), verb, str(folder), stdout=asyncio.subprocess.PIPE, env=os.environ
    )
    out, _ = await asyncio.wait_for(process.communicate(), 100)
    assert process.returncode == 0
    found = [json.loads(line) for line in out.splitlines()]
    assert not [report for report in found if "error" in report]
    assert [report.pop("step") for report in found] == list(range(len(found)))
    return found


async def test_a_vault_whose_making_was_cut_short_is_made_by_the_next_one(tmp_path: Path) -> None:
    found = await killed_at_every_step("begin", tmp_path)
    assert len(found) > 15
    assert all(report == {"generations": [1, 1], "client_key": True} for report in found)


async def test_a_killed_save_leaves_the_old_document_or_the_new_one(tmp_path: Path) -> None:
    found = await killed_at_every_step("save", tmp_path)
    assert {tuple(report["found"]) for report in found[:-1]} == {(1, 1), (1, 2)}
    assert all(report["then"] == [1, 2] for report in found)
    assert all(report["files"] == ["a.sealed", "default.sealed"] for report in found)


async def test_a_killed_rotation_leaves_everything_readable_and_is_finished_by_the_next(
    tmp_path: Path,
) -> None:
    found = await killed_at_every_step("rotate", tmp_path)
    assert len(found) > 25
    done = {"before": [1, 1], "client_key": True, "then": [1, 2], "documents": 3, "keys": 1}
    assert all(report == done for report in found)


async def test_a_killed_reset_loses_nothing_and_is_finished_by_the_next(tmp_path: Path) -> None:
    found = await killed_at_every_step("reset", tmp_path)
    everything = ["a.sealed", "client-key.sealed", "default.sealed", "seal-check.sealed", "vault.json"]
    assert all(report == {"aside": everything, "generations": [0, 0]} for report in found)
