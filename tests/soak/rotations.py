"""Kills ``sidekey seal rotate`` while another process waits for the answer to a refresh.

That process started before the new seal was there, and knows the old one only. Whatever call the rotation is
killed before, the answer must be saved, and the next rotation must finish the work.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sidekey_auth.seal import new_seal_key
from sidekey_proxy.sandbox import TokenHang
from soak.homes import Home, Job
from soak.killer import WORKS, Killed, Killer, Stage

REFRESH = Job(("refresh",))
ROTATE = Job(("seal", "rotate"))


ROLE = "rotate"


@dataclass
class Rotations:
    """Draws kills of a rotation, and judges what they leave.

    Args:
        killer: gives homes, and the stage that the refresh runs on.
        beside: the stage that the rotation runs on.
    """

    killer: Killer
    beside: Stage
    _points: dict[str, tuple[int, Iterator[int]]] = field(default_factory=dict)

    async def kill(self, seal: str) -> Killed | None:
        """Kill a rotation at its next point; None where it ended before that: calls differ a little."""
        if seal not in self._points:
            count = len(await self._calls(seal))
            self._points[seal] = count, _order(count, self.killer.draw)
        window, points = self._points[seal]
        number = next(points)
        call = await self._kill(seal, number)
        if call is None:
            return None
        killed = Killed(ROLE, seal, call, number, window, WORKS)
        self.killer.seen.append(killed)
        return killed

    async def _calls(self, seal: str) -> list[str]:
        """Return the system calls of a rotation beside which nobody is at work."""
        home = self.killer.new_home(seal)
        await home.signed_in()
        told = await self.beside.run(with_new_key_first(home), ROTATE, {"deadly": None})
        assert told["code"] == 0, told["err"]
        return list(told["calls"])

    async def _kill(self, seal: str, number: int) -> str | None:
        home = self.killer.new_home(seal)
        before = await home.signed_in()
        assert before.refresh_token is not None
        refreshing = await self._refresh_in_flight(home)
        later = with_new_key_first(home)
        rotating = asyncio.ensure_future(self.beside.run(later, ROTATE, {"deadly": number}))
        # How far the rotation has come when the answer arrives is drawn, too.
        await asyncio.wait((rotating,), timeout=self.killer.draw.uniform(0.0, 0.4))
        home.sandbox.release()
        home.sandbox.faults.clear()
        refreshed, rotated = await asyncio.gather(refreshing, rotating)
        call = rotated["calls"][-1] if rotated["code"] == -signal.SIGKILL else None
        try:
            # After its answer is saved it may find the new seal in its way; what it has then is put aside.
            assert refreshed["code"] == 0 or "it is kept, sealed, in" in refreshed["err"], refreshed["err"]
            await self._judge(later, before.refresh_token.fingerprint())
        except Exception as error:
            error.add_note(f"{seal} seal, rotation killed before {call} ({number})")
            raise
        for leftover in home.home.glob(".seal.*.tmp"):  # of a seal that sidekey keeps itself
            self.killer.stage.canary.allow_file(leftover)
        return call

    async def _refresh_in_flight(self, home: Home) -> asyncio.Task[dict[str, Any]]:
        """Start a refresh, and return when the issuer has its token."""
        sandbox = home.sandbox
        sandbox.faults.put(TokenHang(grant="refresh", consumed=True, answers=True))
        seen = len(sandbox.events.of("refresh"))
        refreshing = asyncio.ensure_future(self.killer.stage.run(home, REFRESH))
        while not any(event.outcome == "hung" for event in sandbox.events.of("refresh")[seen:]):
            await sandbox.wait_for("refresh", len(sandbox.events.of("refresh")) + 1)
        return refreshing

    async def _judge(self, home: Home, before: str) -> None:
        left = await home.stored()
        assert left.refresh_token is not None
        assert left.refresh_token.fingerprint() != before, "the answer is saved"
        assert home.sandbox.knows(left.refresh_token)
        for job in (ROTATE, REFRESH):
            answer = await self.beside.run(home, job)
            assert answer["code"] == 0, answer["err"]
        await self.killer.works(home)


def with_new_key_first(home: Home) -> Home:
    """Return the home as a person leaves it before a rotation: the seal is theirs to keep, or sidekey's."""
    new = new_seal_key().reveal()
    if home.seal == "environment":
        old = home.environment["SIDEKEY_SEAL_KEY"]
        return replace(home, environment={**home.environment, "SIDEKEY_SEAL_KEY": f"{new} {old}"})
    if home.seal == "file":
        # The process that is at work has read the old one.
        file = Path(home.environment["SIDEKEY_SEAL_KEY_FILE"])
        file.write_text(f"{new}\n{file.read_text()}")
    return home


def _order(count: int, draw: random.Random) -> Iterator[int]:
    """Yield the numbers of all calls, in an order that is drawn, over and over."""
    while True:
        yield from draw.sample(range(count), count)
