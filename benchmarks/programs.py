"""Programs under test and around it: started on a core of their own, waited for, and ended."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

PATIENCE = 20.0
"""Seconds after which a program that does not start has failed."""

BEARER = "sk-benchmark-0123456789abcdef0123456789abcdef"
"""What every proxy puts on what it sends on."""


class BenchmarkFailed(Exception):
    """A figure cannot be had; the text says why."""


class Disturbed(BenchmarkFailed):
    """A measurement says nothing, since the machine had other things to do; another one may."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A running origin.

    Attributes:
        port: on 127.0.0.1.
        ca: the PEM file of its certificate's authority, where it speaks TLS.
    """

    port: int
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Running:
    """A running proxy.

    Attributes:
        port: on 127.0.0.1.
        pid: its first process.
        key: what its clients show.
    """

    port: int
    pid: int
    key: str = "none-is-asked-for"


class Proxy(Protocol):
    """A proxy under test."""

    @property
    def name(self) -> str:
        """What it is called in tables."""

    @property
    def speaks_tls(self) -> bool:
        """Whether it can be put in front of an origin that speaks TLS."""

    def missing(self) -> str | None:
        """Return what has to be installed first, if anything."""

    def running(self, origin: Origin, folder: Path, core: int) -> contextlib.AbstractContextManager[Running]:
        """Run it in front of an origin until the block ends.

        Args:
            origin: where it sends what it gets.
            folder: an empty one, for its files.
            core: where it runs.
        """


@contextlib.contextmanager
def pinned(core: int) -> Iterator[None]:
    """Keep this process, and those that it starts, on one core until the block ends."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def program(
    command: Sequence[str | Path],
    *,
    core: int,
    said: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program on one core until the block ends.

    Args:
        command: its command line.
        core: where it runs.
        said: the file that takes what it prints.
        environment: added to this process's own.
    """
    with said.open("wb") as output, pinned(core):
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def await_port(process: subprocess.Popen[bytes], port: int, said: Path) -> None:
    """Return when a program accepts connections.

    Raises:
        BenchmarkFailed: it ended, or takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        still_starting(process, deadline, said)


def still_starting(process: subprocess.Popen[bytes], deadline: float, said: Path) -> None:
    """Wait a moment for a program that starts.

    Args:
        process: the program.
        deadline: when it should be there, on the monotonic clock.
        said: what it has printed.

    Raises:
        BenchmarkFailed: it ended, or the deadline has passed.
    """
    if process.poll() is not None or time.monotonic() > deadline:
        raise BenchmarkFailed(f"{process.args!r} does not start:\n{said.read_text()}")
    time.sleep(0.02)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def found(name: str) -> str | None:
    """Return where a program is, also where only an administrator's shell looks for it."""
    return shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
