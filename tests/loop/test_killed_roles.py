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
from soak.homes import SCENES, SEALS, new_home, prepare
from soak.killer import LOST, WORKS, killer, staged
from soak.rotations import Rotations

# Read before each test's environment is emptied of such names.
SEED = os.environ.get("SIDEKEY_SEED") or datetime.now(UTC).strftime("%Y%m%d")
KILLS = 24
ROTATIONS = 3
"""Kills of a rotation with each seal."""
ATTEMPTS = 3 * KILLS
AFTER_THE_NOTE = 8
"""The call that follows the rename of the note; until then one thread writes it, call by call."""


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


@pytest.mark.parametrize("role", ["refresh", "serve", "library"])
async def test_only_a_kill_between_the_note_and_the_saved_answer_ends_a_sign_in(
    canary: Canary, tmp_path: Path, role: str
) -> None:
    Secret(CLIENT_KEY)
    # Before the file of: the note, the answer, the checked id_token, the key.
    expected = [(WORKS, 1), (LOST, 2), (WORKS, 2), (WORKS, 2)]
    async with killer(canary, tmp_path, SEED) as deadly:
        for rename, (outcome, sendings) in enumerate(expected):
            before = deadly.sandbox.events.seen("refresh")
            killed = await deadly.kill_before_rename(role, "file", rename)
            assert killed is not None
            assert killed.call.startswith("rename")
            assert killed.outcome == outcome
            assert deadly.sandbox.events.seen("refresh") - before == sendings, "the one by hand included"


async def test_a_note_that_is_left_twice_is_believed_though_nothing_was_sent(
    canary: Canary, tmp_path: Path
) -> None:
    """Whether a byte went out cannot be known afterwards, and a third sending must not be."""
    Secret(CLIENT_KEY)
    async with killer(canary, tmp_path, SEED) as deadly:
        home = new_home(tmp_path / "home", "file", deadly.sandbox, canary)
        refresh, before = await prepare(home, "refresh")
        assert before.refresh_token is not None
        for sends in (1, 2):
            killed = await deadly.stage.run(home, refresh, {"deadly": AFTER_THE_NOTE})
            assert killed["calls"][AFTER_THE_NOTE - 1].startswith("rename")
            note = (await home.stored()).note
            assert note is not None
            assert note.sends == sends
        assert (await deadly.stage.run(home, refresh))["code"] != 0
        assert home.sendings(before.refresh_token) == 0
        failure = (await home.stored()).refresh_failure
        assert failure is not None
        assert failure.code == "refresh_answer_lost"


async def test_a_rotation_killed_while_a_refresh_is_in_flight_loses_no_answer(
    canary: Canary, tmp_path: Path
) -> None:
    Secret(CLIENT_KEY)
    async with killer(canary, tmp_path, SEED) as deadly, staged(canary) as beside:
        rotations = Rotations(deadly, beside)
        for seal in SEALS * ROTATIONS:
            await rotations.kill(seal)
    assert {killed.seal for killed in deadly.seen} == set(SEALS)
