"""A critical section in a process of its own: says when it begins, ends at a line of input.

``inside`` only that; ``outside`` the same work without a section; ``foreign`` with handlers of its own.
"""

# ruff: noqa: T201 - what it prints is its answer
from __future__ import annotations

import asyncio
import signal
import sys
from types import FrameType

from sidekey_auth.critical_section import in_critical_section


async def work() -> None:
    """Be in the section until a line comes."""
    print("in", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print("done", flush=True)


async def main() -> None:
    """Enter the section, or wait before it."""
    if sys.argv[1] == "outside":
        await work()
    await in_critical_section(work)
    print("after", flush=True)


def heard(number: int, frame: FrameType | None) -> None:
    """Tell of a signal."""
    print(f"heard {number}", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "foreign":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, heard)
    asyncio.run(main())
