from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.measure import Stat, cpu_seconds, family, parse_stat, parse_status, resident

TICKS = os.sysconf("SC_CLK_TCK")


def test_the_times_stand_where_proc_5_says_whatever_the_program_is_called() -> None:
    rest = "S 41 7 7 0 -1 4194304 10 20 30 40 500 250 9 9 20 0 1 0 1234 0 0"
    for name in ("nginx", "a b", "evil) R 1 2 (x"):
        assert parse_stat(f"42 ({name}) {rest}") == Stat(parent=41, cpu=750 / TICKS)


def test_sizes_are_given_in_bytes_and_are_nothing_where_they_are_missing() -> None:
    text = "Name:\tx\nVmHWM:\t   2048 kB\nVmRSS:\t   1024 kB\n"
    assert parse_status(text, "VmRSS") == 1024 * 1024
    assert parse_status(text, "VmSwap") == 0


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[bytes]]:
    """A process with a child, both of which wait for the end of their input."""
    child = "import sys; print(flush=True); sys.stdin.read()"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    yield process
    process.communicate()


def test_a_process_is_measured_with_its_children(parent: subprocess.Popen[bytes]) -> None:
    members = family(parent.pid)
    assert parent.pid in members
    assert len(members) == 2
    assert {stat.parent for pid, stat in members.items() if pid != parent.pid} == {parent.pid}
    assert resident(parent.pid) > 4 * 1024 * 1024
    assert cpu_seconds(parent.pid) == pytest.approx(sum(stat.cpu for stat in members.values()), abs=0.05)
