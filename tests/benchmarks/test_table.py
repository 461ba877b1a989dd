from __future__ import annotations

from benchmarks.cpu import Cost
from benchmarks.memory import Held, Memory
from benchmarks.table import cpu_table, memory_table

MIB = 1024 * 1024


def test_every_cost_is_compared_with_the_reference() -> None:
    costs = {"nginx": Cost(1.0, 50_000, 2.0), "sidekey": Cost(2.0, 25_000, 2.0)}
    assert cpu_table("request", costs, "nginx") == (
        "|         | CPU per request | x nginx | requests/s | core used |\n"
        "|---------|----------------:|--------:|-----------:|----------:|\n"
        "| nginx   |         20.0 µs |    1.00 |     25,000 |       50% |\n"
        "| sidekey |         80.0 µs |    4.00 |     12,500 |      100% |"
    )


def test_without_the_reference_there_are_no_ratios() -> None:
    lines = cpu_table("event", {"sidekey": Cost(2.0, 25_000, 2.0)}, "nginx").splitlines()
    assert lines[-1] == "| sidekey |       80.0 µs |       - |   12,500 |      100% |"


def test_memory_is_shown_in_units_that_one_can_read_and_what_was_not_measured_as_a_dash() -> None:
    memory = Memory(3 * MIB, MIB // 2, 20_480.0, None, Held(512 * 1024.0, 8.0 * MIB))
    cells = [cell.strip() for cell in memory_table({"nginx": memory}).splitlines()[-1].split("|")[1:-1]]
    assert cells == ["nginx", "3.0 MiB", "0.5 MiB", "20.0 KiB", "-", "512 KiB"]
