"""Kills a process at every step of a change to a vault, one step after another, and looks at what is left.

Run as ``killed_vault.py VERB FOLDER``. Prints one JSON line per killed process. Each runs in a fork of this
one, so that many cost little. A step is the moment before a system call that changes the disk, and the one
after a rename.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import shutil
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidekey_auth.credential import Credential
from sidekey_auth.errors import SidekeyError
from sidekey_auth.seal import Seal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault
from sidekey_auth.vaults.folder import VaultFolder

PROFILES = ("a", "default")
KEY = Secret("sk-side-canary-client-key-000000001")
FATAL = ("open", "fsync", "replace", "rename", "mkdir", "unlink", "link")


@dataclass(frozen=True)
class Place:
    """A vault, and the seal that sidekey keeps for it."""

    folder: Path

    def vault(self) -> FileVault:
        return FileVault(self.folder / "vault", FileSeal(self.folder / "seal" / "key", create=True))

    async def seal(self) -> Seal | None:
        return await FileSeal(self.folder / "seal" / "key", create=True).read("")


# --- what is killed ---------------------------------------------------------------------------------------


async def nothing(_: Place) -> None:
    pass


async def begin(place: Place) -> None:
    await place.vault().save_client_key(KEY)


async def fill(place: Place) -> None:
    vault = place.vault()
    await vault.create()
    for profile in PROFILES:
        async with vault.lock(profile):
            await vault.save(Credential(profile=profile, generation=1))
    await vault.save_client_key(KEY)


async def save(place: Place) -> None:
    vault = place.vault()
    async with vault.lock("default"):
        await vault.save(Credential(generation=2))


async def rotate(place: Place) -> None:
    await place.vault().rotate()


async def reset(place: Place) -> None:
    await place.vault().reset()


# --- what has to be true afterwards -----------------------------------------------------------------------


async def generations(place: Place) -> list[int]:
    vault = place.vault()
    return [(await vault.load(profile)).generation for profile in PROFILES]


async def after_begin(place: Place) -> dict[str, Any]:
    await place.vault().check()
    await fill(place)
    return {
        "generations": await generations(place),
        "client_key": await place.vault().load_client_key() == KEY,
    }


async def after_save(place: Place) -> dict[str, Any]:
    await place.vault().check()
    found = await generations(place)
    await save(place)
    leftovers = [path.name for path in (place.folder / "vault" / "profiles").iterdir()]
    return {"found": found, "then": await generations(place), "files": sorted(leftovers)}


async def after_rotate(place: Place) -> dict[str, Any]:
    before = await generations(place)
    key = await place.vault().load_client_key()
    await save(place)
    result = await place.vault().rotate()
    seal = await place.seal()
    assert seal is not None
    return {
        "before": before,
        "client_key": key == KEY,
        "then": await generations(place),
        "documents": result.documents,
        "keys": len(seal.keys),
    }


async def after_reset(place: Place) -> dict[str, Any]:
    vault = place.folder / "vault"
    await place.vault().check()
    await place.vault().reset()
    aside = [path.name for path in vault.glob("aside-*/**/*") if path.is_file()]
    await place.vault().check()
    return {"aside": sorted(set(aside)), "generations": await generations(place)}


VERBS = {
    "begin": (nothing, begin, after_begin),
    "save": (fill, save, after_save),
    "rotate": (fill, rotate, after_rotate),
    "reset": (fill, reset, after_reset),
}


# --- the killing ------------------------------------------------------------------------------------------


def in_a_fork(work: Callable[[], None]) -> int:
    """Run work in a child process, and return how it ended."""
    gc.collect()
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the parent only sees the status
            print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)  # noqa: T201
            os._exit(1)
        os._exit(0)
    return os.waitpid(pid, 0)[1]


def deadly(step: int) -> None:
    """Let this process die at the step of this number, counted from 0."""
    left = [step]

    def count() -> None:
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1

    def watch(name: str) -> None:
        original = getattr(os, name)

        def watched(*given: Any, **named: Any) -> Any:
            if changes_the_disk(name, *given):
                count()
            result = original(*given, **named)
            if name in {"replace", "rename"}:
                count()
            return result

        setattr(os, name, watched)

    for name in FATAL:
        watch(name)


def changes_the_disk(name: str, *given: Any) -> bool:
    """Tell whether a call does more than look, or lock."""
    if name == "open":
        return bool(given[1] & os.O_CREAT) and not str(given[0]).endswith(".lock")
    return name != "mkdir" or not Path(given[0]).is_dir()


def run(work: Callable[[Place], Awaitable[Any]], place: Place) -> Any:
    async def worked() -> Any:
        return await work(place)

    return asyncio.run(worked())


def report(step: int, after: Callable[[Place], Awaitable[Any]], place: Place) -> None:
    try:
        print(json.dumps({"step": step, **run(after, place)}), flush=True)  # noqa: T201
    except SidekeyError as error:
        print(json.dumps({"step": step, "error": f"{error.code}: {error}"}), flush=True)  # noqa: T201


def main(verb: str, folder: Path) -> None:
    prepare, work, after = VERBS[verb]
    VaultFolder.check_writable = lambda _: None  # type: ignore[method-assign]  # it writes trials only
    ready = Place(folder / "ready")
    ready.folder.mkdir()
    run(prepare, ready)
    for step in range(1_000):
        place = Place(folder / str(step))
        shutil.copytree(ready.folder, place.folder)

        def doomed(step: int = step, place: Place = place) -> None:
            deadly(step)
            run(work, place)

        ended = in_a_fork(doomed)
        report(step, after, place)
        shutil.rmtree(place.folder)
        if not os.WIFSIGNALED(ended):
            return


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
