"""One process that works on a vault while others do: started several times by ``test_vault_processes``.

``hold`` takes the lock, says so, and keeps it until it is killed. ``add`` adds 1 to the generation of a
profile and makes new profiles until standard input ends, then says how often. ``rotate N`` rotates the
seal N times.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from sidekey_auth.credential import Credential
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.vaults.file import FileVault


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201


async def hold(vault: FileVault) -> None:
    async with vault.lock("default"):
        say(holding=True)
        await asyncio.Event().wait()


async def add(vault: FileVault) -> None:
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    added = 0
    while not ended.done():
        async with vault.lock("default"):
            credential = await vault.load("default")
            await vault.save(replace(credential, generation=credential.generation + 1))
        added += 1
        fresh = f"p{os.getpid()}-{added % 7}"
        async with vault.lock(fresh):
            await vault.save(Credential(profile=fresh, generation=added))
        assert (await vault.load(fresh)).generation == added
        if added == 1:
            say(started=True)
    say(added=added)


async def rotate(vault: FileVault, times: int) -> None:
    for _ in range(times):
        await vault.rotate()
    say(rotated=times)


async def main() -> None:
    folder = Path(os.environ["SIDEKEY_HOME"])
    vault = FileVault(folder, FileSeal(folder / "seal.key", create=True))
    await vault.create()
    match sys.argv[1:]:
        case ["hold"]:
            await hold(vault)
        case ["add"]:
            await add(vault)
        case ["rotate", times]:
            await rotate(vault, int(times))


if __name__ == "__main__":
    asyncio.run(main())
