"""Kills sidekey at every system call from the note to the kept key: ``make soak-kills ARGS="--kills 1000"``.

Each kill has a vault of its own. Afterwards fresh processes must find the sign-in as it was left: it works, or,
where the kill fell between the first byte sent and the saved answer, its answer is lost after one more sending.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from canary import Canary
from house import CLIENT_KEY, House
from sidekey_auth.credential import Credential
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault
from sidekey_proxy.place import READY_FILE
from sidekey_proxy.sandbox import Sandbox, SandboxSettings
from sidekey_proxy.sandbox.ready import Whereabouts, write_ready_file

PATIENCE = 60.0

LIBRARY = """
import asyncio
from sidekey_auth import open_credential

async def main():
    async with open_credential() as credential:
        await credential.fresh()

asyncio.run(main())
"""

LIBRARY_WITH_OWN_SEAL = """
import asyncio
from sidekey_proxy.place import find_place

async def main():
    place = find_place(sandbox=True)
    async with place.issuers() as issuers:
        broker = place.broker(issuers)
        await broker.take_up()
        await broker.renew_due()
        await broker.stop()

asyncio.run(main())
"""

SEALS = ("environment", "file", "own")
ROLES = ("refresh", "serve", "library", "login", "first login", "import")
# `serve --sandbox` has a sandbox of its own, which nobody else can look into.
SCENES = tuple((role, seal) for role in ROLES for seal in SEALS if (role, seal) != ("serve", "own"))

# Its socket, and two trials in each of three folders.
SERVE_RENAMES = 7

WORKS = "works"
LOST = "answer lost"
UNTOUCHED = "nothing stored yet"


@dataclass
class Home(House):
    """One person's machine with one of the seals."""

    seal: str = "environment"

    @property
    def home(self) -> Path:
        folder = super().home
        return folder / "sandbox" if self.seal == "own" else folder

    def vault(self) -> FileVault:
        if self.seal == "own":
            return FileVault(self.home, FileSeal(self.home / "seal", create=True), aside=self.home / "state")
        return super().vault()

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--sandbox",) if self.seal == "own" else ()

    def sendings(self, token: Secret) -> int:
        """Return how often the issuer has seen a refresh token."""
        mark = token.fingerprint()
        return sum(event.field("refresh_token") == mark for event in self.sandbox.events.of("refresh"))


@dataclass(frozen=True, slots=True)
class Job:
    """What is run: a command, or a program."""

    arguments: tuple[str, ...] = ()
    program: str = ""
    skip: int = 0
    """Files that it renames before its note."""


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
        """Kill a role at its next point; None where it had ended before: calls differ a little between runs."""
        if (role, seal) not in self._points:
            self._points[role, seal] = await self._rehearse(role, seal)
        window, renames, points = self._points[role, seal]
        return await self._kill(role, seal, {"deadly": next(points), "enough": renames}, window)

    async def kill_before_rename(self, role: str, seal: str, number: int) -> Killed | None:
        """Kill a role before it renames a file for this time, from 0: before the note, the answer, the key."""
        return await self._kill(role, seal, {"deadly": None, "deadly_rename": number})

    async def _kill(self, role: str, seal: str, point: dict[str, int | None], window: int = 0) -> Killed | None:
        home = self._home(seal)
        job, before = await self._prepare(home, role)
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

    def _home(self, seal: str) -> Home:
        folder = self.folder / f"home-{next(self._homes)}"
        folder.mkdir(mode=0o700)
        environment = {
            "SIDEKEY_HOME": str(folder / "sidekey"),
            "SIDEKEY_STATE_HOME": str(folder / "state"),
            "SIDEKEY_CLIENT_KEY": CLIENT_KEY,
            "SIDEKEY_CALLBACK_PORTS": "0",
            "SIDEKEY_ISSUER": self.sandbox.issuer,
            "SIDEKEY_UPSTREAM": self.sandbox.upstream,
            "SIDEKEY_ALLOW_UPSTREAM": self.sandbox.base_url,
        }
        home = Home(self.sandbox, self.stage.canary, environment, seal=seal)
        if seal == "environment":
            environment["SIDEKEY_SEAL_KEY"] = new_seal_key().reveal()
        elif seal == "file":
            file = folder / "seal.key"
            file.write_text(new_seal_key().reveal())
            file.chmod(0o600)
            self.stage.canary.allow_file(file)
            environment["SIDEKEY_SEAL_KEY_FILE"] = str(file)
        else:
            home.home.mkdir(mode=0o700, parents=True)
            home.home.parent.chmod(0o700)
            whereabouts = Whereabouts(self.sandbox.base_url, Secret("no control in this test"))
            write_ready_file(home.home / READY_FILE, whereabouts)
            for name in (READY_FILE, "seal"):
                self.stage.canary.allow_file(home.home / name)
        return home

    async def _rehearse(self, role: str, seal: str) -> tuple[int, int, Iterator[int]]:
        """Return how many calls a role makes in the window, how many files it renames, and an order."""
        enough = None
        if role == "serve":  # which does not end by itself, and takes the same steps as a refresh by hand
            _, enough, _ = await self._rehearse("refresh", seal)
        home = self._home(seal)
        job, _ = await self._prepare(home, role)
        told = await self.stage.run(home, job, {"deadly": None, "enough": enough})
        assert told["code"] == (-signal.SIGKILL if enough else 0), told["err"]
        window = told["window"]
        assert {"openat", "fsync", "rename", "sendto"} <= set(told["calls"][:window]), told["calls"]
        return window, told["renames"], self._order(told["calls"], window, sends="login" not in role)

    def _order(self, calls: list[str], window: int, *, sends: bool) -> Iterator[int]:
        """Yield calls: every other one from the stretch that counts most, the rest from all of the window."""
        renames = [number for number, call in enumerate(calls) if call.startswith("rename")]
        if sends:  # the last four files are the note, the answer, the checked id_token and the key
            stretch = range(max(0, renames[-4] - 8), renames[-3] + 2)
        else:  # a login's last two are the tokens and the key
            stretch = range(renames[-2] + 2)
        while True:
            wide = self.draw.sample(range(window), window)
            near = itertools.cycle(self.draw.sample(stretch, len(stretch)))
            for number in wide:
                yield from (next(near), number)

    # --- the roles ------------------------------------------------------------------------------------

    async def _prepare(self, home: Home, role: str) -> tuple[Job, Credential]:
        """Return what is to be killed, and the sign-in whose refresh token it sends or replaces."""
        match role:
            case "refresh":
                return Job(("refresh",)), await home.signed_in()
            case "serve":
                listen = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
                return Job(("serve", *listen), skip=SERVE_RENAMES), await home.signed_in(age=3500)
            case "library":
                program = LIBRARY_WITH_OWN_SEAL if home.seal == "own" else LIBRARY
                return Job(program=program), await home.signed_in(age=4000)
            case "login":
                return Job(("login", "--device")), await home.signed_in()
            case "first login":
                return Job(("login", "--device")), Credential()
        return self._codex(home)

    def _codex(self, home: Home) -> tuple[Job, Credential]:
        """Return the import of a file whose id_token has expired, so that a refresh follows at once."""
        signed_in = self.sandbox.sign_in()
        assert signed_in.refresh_token is not None
        assert signed_in.access_token is not None
        file = home.home.parent / "auth.json"
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = {
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": None,
            "tokens": {
                "id_token": self.sandbox.id_token(lifetime=-60.0).reveal(),
                "access_token": signed_in.access_token.reveal(),
                "refresh_token": signed_in.refresh_token.reveal(),
                "account_id": self.sandbox.account.account_id,
            },
            "last_refresh": "2026-01-01T00:00:00Z",
        }
        file.write_text(json.dumps(document))
        self.stage.canary.allow_file(file)
        job = Job(("import", "codex", "--file", str(file), "--yes"))
        return job, Credential(refresh_token=signed_in.refresh_token)

    # --- the judgement --------------------------------------------------------------------------------

    async def _judge(self, home: Home, role: str, job: Job, before: Credential) -> str:
        left = await home.stored()  # the vault opens
        if role in {"login", "first login"}:
            return await self._judge_login(home, job, before, left)
        if left.refresh_token is None:
            assert role == "import"
            assert home.sendings(before.refresh_token) == 0  # type: ignore[arg-type]
            await self._succeeds(home, job)
            await self._works(home)
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
                await self._works(home)
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
            await self._works(home)
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
            await self._works(home)
            if left.refresh_token == before.refresh_token:
                return UNTOUCHED
            return WORKS
        assert before.refresh_token is None
        await self._succeeds(home, job)
        await self._works(home)
        return UNTOUCHED

    async def _succeeds(self, home: Home, job: Job) -> None:
        answer = await self.stage.run(home, job)
        assert answer["code"] == 0, answer["err"]

    async def _works(self, home: Home) -> None:
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


async def run(kills: int, seed: object, scenes: tuple[tuple[str, str], ...]) -> None:
    """Kill so many times, in all scenes in turn, and print what came of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        canary = Canary([folder])
        began = told = time.monotonic()
        with canary.recording():
            Secret(CLIENT_KEY)
            async with killer(canary, folder, seed) as deadly:
                for scene in itertools.cycle(scenes):
                    await deadly.kill(*scene)
                    if len(deadly.seen) >= kills:
                        break
                    if time.monotonic() - told > 60:
                        told = time.monotonic()
                        print(f"{len(deadly.seen)} kills", flush=True)
        _report(deadly.seen, time.monotonic() - began)
        leaks = canary.leaks_in_files()
        assert not leaks, f"secrets in files: {leaks}"


def _report(seen: list[Killed], seconds: float) -> None:
    for role, seal in dict.fromkeys((killed.role, killed.seal) for killed in seen):
        here = [killed for killed in seen if (killed.role, killed.seal) == (role, seal)]
        outcomes = Counter(killed.outcome for killed in here)
        distinct = len({killed.number for killed in here})
        told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        print(f"{role}, {seal} seal: {len(here)} kills at {distinct} of {here[0].window} calls: {told}")
    calls = Counter(killed.call for killed in seen)
    print("killed before:", ", ".join(f"{name} {count}" for name, count in calls.most_common()))
    print(f"passed: {len(seen)} kills in {seconds:.0f} s", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak-kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=1000, help="how many (default: 1000)")
    parser.add_argument("--seed", default=str(int(time.time())), help="of the draw (default: the time)")
    parser.add_argument("--role", choices=ROLES, help="only this one")
    parser.add_argument("--seal", choices=SEALS, help="only this one")
    chosen = parser.parse_args()
    scenes = tuple(
        (role, seal) for role, seal in SCENES if chosen.role in {None, role} and chosen.seal in {None, seal}
    )
    print(f"seed {chosen.seed}", flush=True)
    try:
        asyncio.run(run(chosen.kills, chosen.seed, scenes))
    except Exception as error:  # noqa: BLE001 - it is told
        print(f"seed {chosen.seed}: {error!r}", *getattr(error, "__notes__", ()), sep="\n", flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
