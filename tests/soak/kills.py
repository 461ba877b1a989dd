"""Kills sidekey at the system calls from the note to the kept key: ``make soak-kills ARGS="--kills 1000"``.

Each kill has a vault of its own. Afterwards fresh processes must find the sign-in as it was left: it works,
or, where the kill fell between the first byte sent and the saved answer, its answer is lost after one more
sending. A rotation of the seal is killed while a refresh is in flight. The keyring is a gnome-keyring in a
D-Bus session of its own: ``--seal keyring``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import itertools
import math
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from canary import Canary
from house import CLIENT_KEY
from sidekey_auth.secret import Secret
from soak.homes import KEYRING, ROLES, SCENES, SEALS
from soak.killer import Killed, killer, staged
from soak.rotations import ROLE, Rotations


async def run(kills: float, seconds: float, seed: object, scenes: tuple[tuple[str, str], ...]) -> None:
    """Kill so many times, or for so long, in all scenes in turn, and print what came of it."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        canary = Canary([folder])
        began = told = time.monotonic()
        with canary.recording():
            Secret(CLIENT_KEY)
            async with killer(canary, folder, seed) as deadly, staged(canary) as beside:
                rotations = Rotations(deadly, beside)
                for role, seal in itertools.cycle(scenes):
                    await (rotations.kill(seal) if role == ROLE else deadly.kill(role, seal))
                    if len(deadly.seen) >= kills or time.monotonic() - began >= seconds:
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


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make soak-kills", description=__doc__)
    parser.add_argument("--kills", type=float, default=math.inf, help="at most so many (default: no bound)")
    parser.add_argument("--seconds", type=float, default=math.inf, help="so long (default: 60, or --kills)")
    parser.add_argument("--seed", default=str(int(time.time())), help="of the draw (default: the time)")
    parser.add_argument("--role", choices=(*ROLES, ROLE), help="only this one")
    parser.add_argument("--seal", choices=(*SEALS, KEYRING), help="only this one")
    chosen = parser.parse_args()
    if chosen.kills == chosen.seconds == math.inf:
        chosen.seconds = 60.0
    return chosen


def main() -> int:
    chosen = _options()
    if chosen.seal == KEYRING and "DBUS_SESSION_BUS_ADDRESS" not in os.environ:
        command = ["dbus-run-session", "--", sys.executable, "-m", "soak.kills"]
        os.execvp(command[0], [*command, "--seed", chosen.seed, *sys.argv[1:]])  # noqa: S606 - the same again
    seals = (KEYRING,) if chosen.seal == KEYRING else SEALS
    known = tuple((role, KEYRING) for role in ROLES) if chosen.seal == KEYRING else SCENES
    known += tuple((ROLE, seal) for seal in seals)
    scenes = tuple(
        (role, seal) for role, seal in known if chosen.role in {None, role} and chosen.seal in {None, seal}
    )
    print(f"seed {chosen.seed}", flush=True)
    try:
        with keyring() if chosen.seal == KEYRING else contextlib.nullcontext():
            asyncio.run(run(chosen.kills, chosen.seconds, chosen.seed, scenes))
    except Exception as error:  # noqa: BLE001 - it is told
        print(f"seed {chosen.seed}: {error!r}", *getattr(error, "__notes__", ()), sep="\n", flush=True)
        return 1
    return 0


@contextlib.contextmanager
def keyring() -> Iterator[None]:
    """Run an unlocked gnome-keyring in this D-Bus session, with a home of its own."""
    from auth.keyring_session import start_keyring

    with tempfile.TemporaryDirectory() as home:
        os.environ["HOME"] = home
        for name in [name for name in os.environ if name.startswith("XDG_")]:
            del os.environ[name]
        daemon = start_keyring()
        try:
            yield
        finally:
            daemon.terminate()
            daemon.wait()


if __name__ == "__main__":
    sys.exit(main())
