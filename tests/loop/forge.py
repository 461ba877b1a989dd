"""Runs refreshes in processes of their own, and kills them at a given point; started by ``killed_refreshes``.

One job a line on standard input, one result a line on standard output. Each job runs in a fork of this
process, so that a hundred of them cost little.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sidekey_auth.broker import Broker
from sidekey_auth.clock import SystemClock
from sidekey_auth.credential import Credential
from sidekey_auth.errors import SidekeyError
from sidekey_auth.issuer import Issuer, Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.sources.chatgpt import ChatGptSource
from sidekey_auth.timing import Timing
from sidekey_auth.vaults import file as file_vault
from sidekey_proxy import logs

NEVER = 10**9


class Points:
    """Counts the points that a refresh passes, and ends the process at one of them."""

    def __init__(self, deadly: int) -> None:
        self.deadly = deadly
        self.passed: list[str] = []

    def __call__(self, name: str) -> None:
        self.passed.append(name)
        if len(self.passed) > self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str) -> None:
        """Make points of the moments before and after a function."""
        original = getattr(owner, name)

        def watched(*arguments: Any, **named: Any) -> Any:
            self(f"before {name}")
            result = original(*arguments, **named)
            self(f"after {name}")
            return result

        setattr(owner, name, watched)

    def around_await(self, owner: Any, name: str) -> None:
        """Make points of the moments before and after a coroutine function."""
        original: Callable[..., Awaitable[Any]] = getattr(owner, name)

        async def watched(*arguments: Any, **named: Any) -> Any:
            self(f"before {name}")
            result = await original(*arguments, **named)
            self(f"after {name}")
            return result

        setattr(owner, name, watched)


class Watched(Issuers):
    """Issuers each of whose requests is a point."""

    def __init__(self, settings: IssuerSettings, points: Points) -> None:
        super().__init__(settings)
        self._points = points

    async def of(self, credential: Credential) -> Issuer:
        return self._watched(await super().of(credential))

    def apart(self, credential: Credential) -> Issuer:
        return self._watched(super().apart(credential))

    def _watched(self, issuer: Issuer) -> Issuer:
        if "verify" not in vars(issuer):
            for name in ("refresh", "verify", "exchange_key"):
                self._points.around_await(issuer, name)
        return issuer


async def refresh(job: dict[str, Any], points: Points) -> dict[str, Any]:
    """Refresh by hand, and tell how the credential stands then."""
    settings = IssuerSettings(issuer=job["issuer"], attempts=1)
    vault = file_vault.FileVault(Path(job["folder"]), FileSeal(Path(job["seal"])))
    issuers = Watched(settings, points)
    points.around_await(vault, "save")
    for name in ("replace", "fsync"):
        points.around(os, name)

    clock = SystemClock()
    timing = Timing(clock, 300)
    source = ChatGptSource(issuers, settings.client_id, "always", timing, clock)
    broker = Broker(vault, {"chatgpt": source}, profile=job["profile"], timing=timing, clock=clock)
    failure = None
    async with issuers:
        try:
            await broker.refresh()
        except SidekeyError as error:
            failure = error.code
        standing = broker.standing()
    return {
        "state": standing.state,
        "code": standing.code,
        "ready": standing.ready,
        "failure": failure,
        "points": points.passed,
    }


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in a fork, and return its result, or that it was killed."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        points = Points(job.get("deadly", NEVER))
        result = asyncio.run(refresh(job, points))
        os.write(writing, json.dumps(result).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"killed": os.WTERMSIG(status)}
    return dict(json.loads(told))


if __name__ == "__main__":
    logs.configure(level="error")
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201 - the protocol
