"""A keyring that never answers, and a process that asks it: how long is the loop held up, and the exit?"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
from pathlib import Path

from keyring.backend import KeyringBackend

ASKED: list[str] = []


class Hanging(KeyringBackend):
    """As when a dialogue waits for somebody on a desktop where nobody is."""

    priority = 5  # type: ignore[assignment]

    def get_password(self, service: str, username: str) -> str | None:
        ASKED.append(service + username)
        threading.Event().wait()
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        threading.Event().wait()


async def main() -> None:
    import keyring_hangs  # the copy that the keyring library imported, too

    from sidekey_auth.errors import SidekeyError
    from sidekey_auth.seals.keyring import KeyringSeal
    from sidekey_auth.vaults.file import FileVault

    pauses = [0.0]

    async def tick() -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(0.005)
            pauses.append(time.monotonic() - last)
            last = time.monotonic()

    ticking = asyncio.create_task(tick())
    vault = FileVault(Path(sys.argv[1]), KeyringSeal(timeout=0.5))
    problems = []
    for _ in range(2):
        try:
            await vault.check()
        except SidekeyError as error:
            problems.append(error)
    ticking.cancel()
    print(  # noqa: T201
        json.dumps(
            {
                "asked": len(keyring_hangs.ASKED),
                "errors": [type(error).__name__ for error in problems],
                "messages": [str(error) for error in problems],
                "longest_pause": max(pauses),
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    asyncio.run(main())
