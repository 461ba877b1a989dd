"""A draw of kills at system calls, in every role and with every seal; ``make soak-kills`` draws on."""

from __future__ import annotations

import itertools
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from canary import Canary
from house import CLIENT_KEY
from sidekey_auth.secret import Secret
from soak.homes import SCENES
from soak.killer import LOST, WORKS, killer

# Read before each test's environment is emptied of such names.
SEED = os.environ.get("SIDEKEY_SEED") or datetime.now(UTC).strftime("%Y%m%d")
KILLS = 24
ATTEMPTS = 3 * KILLS


async def test_a_process_killed_at_any_system_call_loses_no_sign_in(canary: Canary, tmp_path: Path) -> None:
    print(f"seed {SEED}: SIDEKEY_SEED={SEED} draws the same kills")  # noqa: T201 - for who repeats it
    Secret(CLIENT_KEY)
    async with killer(canary, tmp_path, SEED) as deadly:
        scenes = deadly.draw.sample(SCENES, len(SCENES))
        for _, scene in zip(range(ATTEMPTS), itertools.cycle(scenes), strict=False):
            await deadly.kill(*scene)
            if len(deadly.seen) == KILLS:
                break
    assert len(deadly.seen) == KILLS
    assert {killed.role for killed in deadly.seen} == {role for role, _ in SCENES}
    assert {killed.seal for killed in deadly.seen} == {seal for _, seal in SCENES}


@pytest.mark.parametrize(
    ("rename", "outcome"),
    [(0, WORKS), (1, LOST), (2, WORKS), (3, WORKS)],
    ids=["note", "answer", "token", "key"],
)
@pytest.mark.parametrize("role", ["refresh", "serve", "library"])
async def test_only_a_kill_between_the_note_and_the_saved_answer_ends_a_sign_in(
    canary: Canary, tmp_path: Path, role: str, rename: int, outcome: str
) -> None:
    Secret(CLIENT_KEY)
    async with killer(canary, tmp_path, SEED) as deadly:
        killed = await deadly.kill_before_rename(role, "file", rename)
        assert killed is not None
        assert (killed.call.startswith("rename"), killed.outcome) == (True, outcome)
        sent = deadly.sandbox.events.seen("refresh")
        assert sent == (1 if rename == 0 else 2), "and by the refresh by hand that follows each kill"
