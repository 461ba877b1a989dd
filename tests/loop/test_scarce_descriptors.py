"""A refresh in a program that has no descriptors left, at each number of them up to where it works."""

from __future__ import annotations

from pathlib import Path

from canary import Canary
from house import CLIENT_KEY
from sidekey_auth.secret import Secret
from soak.homes import Job, new_home
from soak.killer import killer

MOST = 64
PROGRAM = """
import asyncio, os, resource
from sidekey_auth import open_credential

async def main():
    async with open_credential() as credential:
        broker = await credential._parts[asyncio.get_running_loop()].ready()
        open_now = 1 + max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (open_now + FREE, 4096))
        await broker.refresh()

asyncio.run(main())
"""


async def test_a_refresh_without_descriptors_sends_nothing_or_keeps_the_answer(
    canary: Canary, tmp_path: Path
) -> None:
    Secret(CLIENT_KEY)
    failed = 0
    async with killer(canary, tmp_path, "descriptors") as deadly:
        home = new_home(tmp_path / "home", "environment", deadly.sandbox, canary)
        before = await home.signed_in()
        assert before.refresh_token is not None
        for free in range(MOST):
            done = await deadly.stage.run(home, Job(program=PROGRAM.replace("FREE", str(free))))
            stored = await home.stored()
            if done["code"] == 0:
                break
            failed += 1
            if home.sendings(before.refresh_token) == 0:
                assert stored.note is None, f"with {free} free descriptors a try was counted"
                assert stored.refresh_token == before.refresh_token
                continue
            # The answer is kept at least, though the key exchange after it may have failed.
            assert stored.refresh_token is not None
            await deadly.stage.run(home, Job(("refresh",)))
            break
        assert failed > 2, "the first ones have none to work with"
        assert home.sendings(before.refresh_token) == 1
        await deadly.works(home)
