"""sidekey as a proxy under test: the real ``sidekey serve``, with everything on.

A home of its own, a sealed vault with a static API key in it, a client key that is demanded, and the access
log written.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from .programs import BEARER, PATIENCE, BenchmarkFailed, Origin, Running, program, still_starting

CLIENT_KEY = "sk-side-benchmark-0123456789abcdef0123456789abcdef"


class Sidekey:
    """sidekey as it is installed somewhere.

    Args:
        name: what it is called in tables.
        binaries: the folder that holds ``sidekey``; this Python's own where it is left out.
    """

    speaks_tls = True

    def __init__(self, name: str = "sidekey", binaries: Path | None = None) -> None:
        self.name = name
        self._program = (binaries or Path(sys.executable).parent) / "sidekey"

    def missing(self) -> str | None:
        """Return what has to be installed first, if anything."""
        return None if self._program.is_file() else str(self._program)

    @contextlib.contextmanager
    def running(self, origin: Origin, folder: Path, core: int) -> Iterator[Running]:
        """Run it in front of an origin."""
        environment = self._furnished(origin, folder)
        said = folder / "log"
        command: list[str | Path] = [
            self._program,
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--admin-listen",
            "127.0.0.1:0",
        ]
        with program(command, core=core, said=said, environment=environment) as process:
            yield Running(_port(process, said), process.pid, CLIENT_KEY)

    def _furnished(self, origin: Origin, folder: Path) -> dict[str, str]:
        scheme = "http" if origin.ca is None else "https"
        environment = {
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "SIDEKEY_HOME": str(folder / "home"),
            "SIDEKEY_CLIENT_KEY": CLIENT_KEY,
            "SIDEKEY_UPSTREAM": f"{scheme}://127.0.0.1:{origin.port}/v1",
            "SIDEKEY_LOG_FORMAT": "json",
        }
        if origin.ca is not None:
            environment["SIDEKEY_CA_BUNDLE"] = str(origin.ca)
        environment["SIDEKEY_SEAL_KEY"] = self._command("seal", "new", environment=environment).strip()
        self._command("key", "set", environment=environment, stdin=BEARER)
        return environment

    def _command(self, *words: str, environment: Mapping[str, str], stdin: str = "") -> str:
        finished = subprocess.run(
            [self._program, *words],
            input=stdin,
            text=True,
            capture_output=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, **environment},
        )
        if finished.returncode:
            raise BenchmarkFailed(f"sidekey {' '.join(words)} failed: {finished.stderr}")
        return finished.stdout


def _port(process: subprocess.Popen[bytes], said: Path) -> int:
    deadline = time.monotonic() + PATIENCE
    while True:
        for line in said.read_text().splitlines():
            if '"listening"' in line:
                return int(json.loads(line)["base_url"].removesuffix("/v1").rpartition(":")[2])
        still_starting(process, deadline, said)
