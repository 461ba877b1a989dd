"""Real sidekey processes for tests: started, waited for, killed, and looked through for secrets."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from canary import Canary

PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


async def sidekey(
    *arguments: str,
    canary: Canary,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    folder: Path | None = None,
) -> Finished:
    """Run a sidekey command to its end; its arguments and all its output are looked through for secrets.

    Args:
        *arguments: of the command.
        canary: of the test.
        environment: added to the test's own.
        stdin: what it reads; it is no terminal.
        folder: where it runs.
    """
    canary.check(" ".join(arguments))
    process = await asyncio.create_subprocess_exec(
        *command(*arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
        cwd=folder,
    )
    async with asyncio.timeout(PATIENCE):
        out, err = await process.communicate(stdin)
    assert process.returncode is not None
    finished = Finished(process.returncode, out.decode(), err.decode())
    canary.check(finished.out)
    canary.check(finished.err)
    return finished


def command(*arguments: str) -> list[str]:
    """Return the command line of a sidekey command under the tests' Python."""
    return [sys.executable, "-m", "sidekey_proxy", *arguments]


@dataclass(slots=True)
class Server:
    """A running `sidekey serve`."""

    process: asyncio.subprocess.Process
    canary: Canary
    lines: list[dict[str, Any]] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    _new: asyncio.Condition = field(default_factory=asyncio.Condition)
    _reader: asyncio.Task[None] | None = None

    async def read_log(self) -> None:
        """Collect the log as it is written."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            text = line.decode()
            async with self._new:
                self.text.append(text)
                if text.startswith("{"):
                    self.lines.append(json.loads(text))
                self._new.notify_all()
        async with self._new:
            self._new.notify_all()

    async def logged(self, event: str, count: int = 1) -> dict[str, Any]:
        """Return the nth log line of an event as soon as it is there."""
        async with asyncio.timeout(PATIENCE), self._new:
            while True:
                found = [line for line in self.lines if line.get("event") == event]
                if len(found) >= count:
                    return found[count - 1]
                if self.process.returncode is not None or self._reader is None or self._reader.done():
                    raise AssertionError(f"sidekey ended without logging {event!r}: {''.join(self.text)}")
                await self._new.wait()

    async def url(self) -> str:
        """Return the base URL for clients."""
        return str((await self.logged("listening"))["base_url"])

    async def admin(self) -> str:
        """Return the URL of the admin listener."""
        return str((await self.logged("listening"))["admin_url"])

    async def stop(self, sign: int = signal.SIGTERM) -> int:
        """End it, and return its exit code."""
        if self.process.returncode is None:
            self.process.send_signal(sign)
        async with asyncio.timeout(PATIENCE):
            code = await self.process.wait()
            if self._reader is not None:
                await self._reader
        return code


@asynccontextmanager
async def serving(
    *arguments: str, canary: Canary, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Server]:
    """Run `sidekey serve` until the block ends; its log is looked through for secrets.

    It listens on free ports, unless the arguments or a file that they name say where.
    """
    ports: Sequence[str] = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    ports = [] if {"--listen", "--config"} & set(arguments) else ports
    canary.check(" ".join(arguments))
    process = await asyncio.create_subprocess_exec(
        *command("serve", *ports, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )
    server = Server(process, canary)
    server._reader = asyncio.create_task(server.read_log())
    try:
        yield server
    finally:
        await server.stop()
        canary.check("".join(server.text))
