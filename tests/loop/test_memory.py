"""What a real `sidekey serve` needs of memory, under the load of the benchmark, in small."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from benchmarks import memory
from benchmarks.cpu import Bench
from benchmarks.machine import allow_descriptors
from benchmarks.origin import stream_origin
from benchmarks.sidekey import Sidekey

KIB = 1024
MIB = 1024 * KIB


@pytest.fixture
def bench() -> Bench:
    cores = sorted(os.sched_getaffinity(0))
    return Bench(proxy_core=cores[-1], load_core=cores[0], seconds=0)


@pytest.mark.parametrize("up", [True, False], ids=["up", "down"])
def test_a_long_body_streams_through_and_is_not_held(bench: Bench, up: bool) -> None:
    assert memory.of_body(Sidekey(), bench, 96 * MIB, up=up) < 48 * MIB


@pytest.mark.parametrize(("tls", "most"), [(False, 24 * KIB), (True, 64 * KIB)], ids=["plain", "tls"])
def test_an_open_event_stream_costs_little_and_all_events_are_delivered(
    bench: Bench, tls: bool, most: int
) -> None:
    allow_descriptors(2 * 500 + 200)
    assert memory.of_streams(Sidekey(), bench, 500, tls=tls) <= most


def test_a_client_that_does_not_read_stops_upstream_and_holds_less_than_1_mib(bench: Bench) -> None:
    held = memory.of_unread(Sidekey(), bench, 20)
    assert held.memory <= MIB
    assert held.taken > 0


def test_the_server_may_have_as_many_files_open_as_the_hard_limit_allows(
    bench: Bench, tmp_path: Path
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    (tmp_path / "proxy").mkdir()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, hard - 1, 512), hard))
    try:
        with (
            stream_origin(tmp_path, bench.load_core) as origin,
            Sidekey().running(origin, tmp_path / "proxy", bench.proxy_core) as running,
        ):
            limits = Path(f"/proc/{running.pid}/limits").read_text()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    (line,) = [line for line in limits.splitlines() if line.startswith("Max open files")]
    assert line.split()[3:5] == [str(min(hard, 1_048_576)), str(hard)]
