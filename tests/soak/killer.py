"""Kills sidekey in a role, and judges what fresh processes find afterwards."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from canary import Canary
from sidekey_auth.credential import Credential
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import Sandbox, SandboxSettings
from soak.homes import Home, Job, new_home, prepare

PATIENCE = 60.0

WORKS = "works"
LOST = "answer lost"
UNTOUCHED = "as before"


@dataclass(frozen=True, slots=True)
class Killed:
    """One kill, and what came of it."""

    role: str
    seal: str
    call: str
    number: int
    window: int
    outcome: str


@dataclass
class Stage:
    """The process that runs commands in forks of itself, and kills them."""

    process: asyncio.subprocess.Process
    canary: Canary

    async def run(self, home: Home, job: Job, follow: dict[str, int | None] | None = None) -> dict[str, Any]:
        """Run a job to its end; it is followed, and killed, where ``tracer.follow`` is told something."""
        line = {
            "arguments": [*job.arguments, *home.flags] if job.arguments else [],
            "program": job.program,
            "environment": {**os.environ, **home.environment},
            "follow": {**follow, "skip": job.skip} if follow is not None else None,
        }
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        async with asyncio.timeout(PATIENCE):
            told: dict[str, Any] = json.loads(await self.process.stdout.readline())
        self.canary.check(told["out"])
        self.canary.check(told["err"])
        return told


@asynccontextmanager
async def staged(canary: Canary) -> AsyncIterator[Stage]:
    """Start a stage; it ends with the block."""
    here = Path(__file__).parent.parent
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "soak.stage",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(here), *sys.path])},
        limit=2**24,
    )
    try:
        yield Stage(process, canary)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@dataclass
class Killer:
    """Draws kills, and judges what they leave."""

    stage: Stage
    sandbox: Sandbox
    folder: Path
    draw: random.Random
    session: aiohttp.ClientSession
    seen: list[Killed] = field(default_factory=list)
    _points: dict[tuple[str, str], tuple[int, int, Iterator[int]]] = field(default_factory=dict)
    _homes: Iterator[int] = field(default_factory=itertools.count)

    async def kill(self, role: str, seal: str) -> Killed | None:
        """Kill a role at its next point; None where it ended before that: calls differ a little."""
        if (role, seal) not in self._points:
            self._points[role, seal] = await self._rehearse(role, seal)
        window, renames, points = self._points[role, seal]
        return await self._kill(role, seal, {"deadly": next(points), "enough": renames}, window)

    async def kill_before_rename(self, role: str, seal: str, number: int) -> Killed | None:
        """Kill a role before this one of its renames, from 0: note, answer, checked id_token, key."""
        return await self._kill(role, seal, {"deadly": None, "deadly_rename": number})

    async def _kill(
        self, role: str, seal: str, point: dict[str, int | None], window: int = 0
    ) -> Killed | None:
        home = self.new_home(seal)
        job, before = await prepare(home, role)
        told = await self.stage.run(home, job, point)
        if told["code"] != -signal.SIGKILL:
            return None
        number = point["deadly"]
        if number is None or number >= len(told["calls"]):
            number = len(told["calls"]) - 1
        call = told["calls"][number]
        try:
            outcome = await self._judge(home, role, job, before)
        except Exception as error:
            error.add_note(f"{role}, {seal} seal, killed before {call} ({number} of {window})")
            raise
        for leftover in home.home.glob(".seal.*.tmp"):  # of a seal that sidekey keeps itself
            self.stage.canary.allow_file(leftover)
        killed = Killed(role, seal, call, number, window, outcome)
        self.seen.append(killed)
        return killed

    def new_home(self, seal: str) -> Home:
        folder = self.folder / f"home-{next(self._homes)}"
        return new_home(folder, seal, self.sandbox, self.stage.canary)

    async def _rehearse(self, role: str, seal: str) -> tuple[int, int, Iterator[int]]:
        """Return how many calls a role makes in the window, how many files it renames, and an order."""
        enough = None
        if role == "serve":  # which does not end by itself, and takes the same steps as a refresh by hand
            _, enough, _ = await self._rehearse("refresh", seal)
        home = self.new_home(seal)
        job, _ = await prepare(home, role)
        told = await self.stage.run(home, job, {"deadly": None, "enough": enough})
        assert told["code"] == (-signal.SIGKILL if enough else 0), told["err"]
        window = told["window"]
        assert {"openat", "fsync", "rename", "sendto"} <= set(told["calls"][:window]), told["calls"]
        return window, told["renames"], self._order(told["calls"], window, sends="login" not in role)

    def _order(self, calls: list[str], window: int, *, sends: bool) -> Iterator[int]:
        """Yield calls: every other one from the stretch that counts most, the rest from all of the window."""
        renames = [number for number, call in enumerate(calls) if call.startswith("rename")]
        # A refresh's last four files are the note, the answer, the checked id_token and the key; a login's
        # last two are the tokens and the key.
        first, last = (renames[-4] - 8, renames[-3]) if sends else (0, renames[-2])
        stretch = range(max(0, first), last + 2)
        while True:
            wide = self.draw.sample(range(window), window)
            near = itertools.cycle(self.draw.sample(stretch, len(stretch)))
            for number in wide:
                yield from (next(near), number)

    # --- the judgement --------------------------------------------------------------------------------

    async def _judge(self, home: Home, role: str, job: Job, before: Credential) -> str:
        left = await home.stored()  # the vault opens
        if role in {"login", "first login"}:
            return await self._judge_login(home, job, before, left)
        if left.refresh_token is None:
            assert role == "import"
            assert home.sendings(before.refresh_token) == 0  # type: ignore[arg-type]
            await self._succeeds(home, job)
            await self.works(home)
            return UNTOUCHED
        refresh = Job(("refresh",))
        # Whoever sees an import end runs it again, or lets the next refresh find out.
        first = job if role == "import" and self.draw.random() < 0.5 else refresh
        outcome = await self._judge_refresh(home, before, left, first)
        if role == "import":  # the file is spent, and importing it again takes nothing away
            final = await home.stored()
            sent = home.sandbox.events.seen("refresh")
            await self.stage.run(home, job)
            if outcome == WORKS:
                assert (await home.stored()).refresh_token == final.refresh_token
                await self.works(home)
            assert home.sandbox.events.seen("refresh") == sent
        return outcome

    async def _judge_refresh(self, home: Home, before: Credential, left: Credential, first: Job) -> str:
        token = before.refresh_token
        assert token is not None
        sent = home.sendings(token)
        assert sent <= 1
        kept = left.refresh_token != token
        refresh = Job(("refresh",))
        if kept or not sent:
            for again in dict.fromkeys((first, refresh)):
                await self._succeeds(home, again)
            assert home.sendings(token) == 1, "sent once, by whoever it was"
            await self.works(home)
            return WORKS
        for again in (first, refresh):
            answer = await self.stage.run(home, again)
            assert answer["code"] != 0, answer["out"]
            assert home.sendings(token) == 2, "once more, then no further"
        status = await self._status(home)
        assert status["code"] == "refresh_answer_lost", status
        final = await home.stored()
        assert final.api_key == before.api_key, "the present key serves on"
        if final.api_key is not None:
            assert await self._accepted(final.api_key)
        return LOST

    async def _judge_login(self, home: Home, job: Job, before: Credential, left: Credential) -> str:
        if left.refresh_token is not None:
            assert home.sandbox.knows(left.refresh_token)
            await self._succeeds(home, Job(("refresh",)))
            await self.works(home)
            if left.refresh_token == before.refresh_token:
                return UNTOUCHED
            return WORKS
        assert before.refresh_token is None
        await self._succeeds(home, job)
        await self.works(home)
        return UNTOUCHED

    async def _succeeds(self, home: Home, job: Job) -> None:
        answer = await self.stage.run(home, job)
        assert answer["code"] == 0, answer["err"]

    async def works(self, home: Home) -> None:
        final = await home.stored()
        status = await self._status(home)
        assert status["state"] == "ready", status
        assert final.refresh_token is not None
        assert home.sandbox.knows(final.refresh_token)
        assert final.api_key is not None
        assert await self._accepted(final.api_key)

    async def _status(self, home: Home) -> dict[str, Any]:
        answer = await self.stage.run(home, Job(("status", "--json")))
        return dict(json.loads(answer["out"]))

    async def _accepted(self, key: Secret) -> bool:
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        async with self.session.get(f"{self.sandbox.upstream}/models", headers=headers) as response:
            return response.status == 200


@asynccontextmanager
async def killer(canary: Canary, folder: Path, seed: object) -> AsyncIterator[Killer]:
    """Make ready to kill.

    Args:
        canary: watches the secrets.
        folder: where the homes go.
        seed: of the draw.
    """
    chosen = SandboxSettings(auto_approve=True, any_redirect_port=True, device_interval=0.05)
    async with Sandbox(chosen) as sandbox, staged(canary) as stage, aiohttp.ClientSession() as session:
        yield Killer(stage, sandbox, folder, random.Random(str(seed)), session)  # noqa: S311 - a draw
