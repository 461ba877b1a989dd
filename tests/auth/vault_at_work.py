"""One verb on the vault that the environment names, in a process of its own: prints what came of it, as JSON.

``check``, ``load``, ``save``; ``save-cut-off`` under a real limit of the file size. A verb may be followed by
the kind of place whose errors it is to hear from its system calls, for systems that allow no mounts.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import resource
import signal
import sys
from collections.abc import Callable
from typing import Any

from sidekey_auth.credential import Credential
from sidekey_auth.errors import SidekeyError
from sidekey_auth.vaults.file import open_vault


async def do(verb: str) -> dict[str, Any]:
    """Do it, and return the stored generation, or the error."""
    vault = open_vault(os.environ)
    try:
        if verb == "check":
            await vault.check()
        if verb == "save":
            async with vault.lock("default"):
                await vault.save(Credential(generation=99))
        return {"generation": (await vault.load("default")).generation}
    except SidekeyError as error:
        return {"error": type(error).__name__, "message": str(error), "remedy": error.remedy}


def fail(owner: Any, name: str, code: int, when: Callable[[str], bool] = lambda _: True) -> None:
    """Let a system call fail for some paths."""
    original = getattr(owner, name)

    def failing(*arguments: Any, **named: Any) -> Any:
        if any(isinstance(argument, str | os.PathLike) and when(str(argument)) for argument in arguments):
            raise OSError(code, os.strerror(code))
        return original(*arguments, **named)

    setattr(owner, name, failing)


def suffer(place: str) -> None:
    """Make the place bad."""
    if place == "cut-off":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))
    elif place.startswith("mounted"):
        name = "default.sealed" if place == "mounted-file" else "vault.json"
        fail(os, "link", errno.EXDEV, lambda path: path.endswith(name))
        fail(os, "replace", errno.EBUSY, lambda path: path.endswith(name))
    elif place == "full":
        fail(os, "fsync", errno.ENOSPC)
        fail(os, "open", errno.ENOSPC, lambda path: path.endswith(".tmp"))
    elif place == "read-only":
        fail(os, "open", errno.EROFS, lambda path: path.endswith((".tmp", ".lock")))


if __name__ == "__main__":
    VERB, _, PLACE = sys.argv[1].partition("-")
    suffer(PLACE)
    print(json.dumps(asyncio.run(do(VERB))))  # noqa: T201
