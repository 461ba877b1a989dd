"""Commands as their user meets them: in a house, at a terminal."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pexpect
import pytest

from canary import Canary
from house import House, furnished
from processes import PATIENCE, command


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    """Give the test a house of its own, whose sign-ins come back to any free port."""
    async with furnished(canary, device_interval=0.1) as house:
        house.environment["SIDEKEY_CALLBACK_PORTS"] = "0"
        yield house


class Person:
    """Somebody at a terminal, in front of one sidekey command.

    Args:
        house: where.
        *arguments: of the command.
        **environment: added to the house's.
    """

    def __init__(self, house: House, *arguments: str, **environment: str) -> None:
        self._canary = house.canary
        first, *rest = command(*arguments)
        self._child = pexpect.spawn(
            first,
            rest,
            env={**os.environ, **house.environment, "TERM": "xterm", **environment},
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(50, 120),
        )
        self.seen = ""

    async def sees(self, pattern: str) -> re.Match[str]:
        """Wait for a text that matches, and return the match."""
        await asyncio.to_thread(self._child.expect, pattern)
        match = self._child.match
        assert isinstance(match, re.Match)
        self.seen += str(self._child.before) + match[0]
        return match

    async def types(self, text: str) -> None:
        """Press these keys."""
        await asyncio.to_thread(self._child.send, text)

    async def ends(self) -> int:
        """Wait for the end and return the exit code; nothing on the terminal may have been a secret."""
        await asyncio.to_thread(self._child.expect, pexpect.EOF)
        self.seen += str(self._child.before)
        await asyncio.to_thread(self._child.wait)
        self._canary.check(self.seen)
        code = self._child.exitstatus
        assert code is not None, f"ended by signal {self._child.signalstatus}: {self.seen}"
        return int(code)


AUTHORIZE = r"http://\S+/oauth/authorize\S+"


async def click(url: str) -> str:
    """Open a URL as a browser does, all the way to the callback, and return the last page."""
    async with aiohttp.ClientSession() as browser, browser.get(url) as answer:
        return await answer.text()


async def landing(house: House, url: str) -> str:
    """Return the address that a browser ends up at when nobody listens there; it is typed visibly."""
    async with aiohttp.ClientSession() as browser, browser.get(url, allow_redirects=False) as answer:
        address = answer.headers["Location"]
    for secret in house.sandbox.issued_secrets():
        if secret.reveal() in address:
            house.canary.allow(secret.reveal())
    return address


def files(house: House, folder: Path | None = None) -> dict[str, bytes]:
    """Return everything that is kept in the house's folder, or in another, byte for byte."""
    folder = folder or house.home
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock"
    }
