"""What a process and its children have used so far, as Linux's /proc tells it (proc(5)).

Only files that every user may read: sidekey forbids others to look deeper into it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_TICKS = os.sysconf("SC_CLK_TCK")
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Stat:
    """What matters here of ``/proc/PID/stat``.

    Attributes:
        parent: process id.
        cpu: seconds in user and system mode, of all threads.
    """

    parent: int
    cpu: float


def parse_stat(text: str) -> Stat:
    """Read ``/proc/PID/stat``. The second field, a name in parentheses, may hold anything. Pure."""
    fields = text.rpartition(")")[2].split()
    return Stat(parent=int(fields[1]), cpu=(int(fields[11]) + int(fields[12])) / _TICKS)


def parse_status(text: str, field: str) -> int:
    """Return a size out of ``/proc/PID/status``, in bytes; 0 where it is missing. Pure."""
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * _KIB
    return 0


def family(pid: int) -> dict[int, Stat]:
    """Return a process and all its descendants that are alive."""
    found: dict[int, Stat] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdecimal():
            try:
                found[int(entry.name)] = parse_stat((entry / "stat").read_text())
            except (FileNotFoundError, ProcessLookupError):
                continue
    members = {pid}
    while more := {child for child, stat in found.items() if stat.parent in members} - members:
        members |= more
    return {member: found[member] for member in members if member in found}


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and its descendants."""
    return sum(stat.cpu for stat in family(pid).values())


def resident(pid: int) -> int:
    """Return the resident memory of a process and its descendants, in bytes."""
    return sum(parse_status((_PROC / str(member) / "status").read_text(), "VmRSS") for member in family(pid))
