"""What the figures were made on: cores and processor, nothing that tells one machine from its twin."""

from __future__ import annotations

import os
import platform
import resource
from pathlib import Path

from .programs import BenchmarkFailed


def described() -> str:
    """Return one line about this machine."""
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores, {_processor()}, Linux {_release()}, Python {platform.python_version()}"


def two_cores() -> tuple[int, int]:
    """Return a core for the proxy and another one for load and origin.

    Raises:
        BenchmarkFailed: there is only one.
    """
    load, *others = sorted(os.sched_getaffinity(0))
    if not others:
        raise BenchmarkFailed("two cores are needed: one for the proxy, one for load and origin")
    return others[-1], load


def allow_descriptors(wanted: int) -> None:
    """Let this process and those it starts open this many files.

    Raises:
        BenchmarkFailed: the system's limit is below it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        raise BenchmarkFailed(f"{wanted} open files are needed, and the hard limit is {hard} (ulimit -Hn)")
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _release() -> str:
    return ".".join(platform.release().split("-")[0].split(".")[:2])
