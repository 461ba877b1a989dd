from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.cpu import Bench, Cost, rounds
from benchmarks.programs import BenchmarkFailed, Disturbed, Proxy
from benchmarks.sidekey import Sidekey

BENCH = Bench(proxy_core=0, load_core=0, seconds=1.0)


def measured(results: dict[str, list[Cost | Disturbed]]) -> dict[str, Cost]:
    coming: dict[str, Iterator[Cost | Disturbed]] = {name: iter(found) for name, found in results.items()}

    def measure(proxy: Proxy, bench: Bench, folder: Path) -> Cost:
        result = next(coming[proxy.name])
        if isinstance(result, Disturbed):
            raise result
        return result

    count = max(len(found) for found in results.values())
    return rounds(measure, [Sidekey(name) for name in results], BENCH, count, lambda _: None)


def test_the_best_round_of_each_proxy_counts() -> None:
    slow, fast = Cost(2.0, 1000, 1.0), Cost(1.0, 1000, 1.0)
    assert measured({"a": [slow, fast, slow], "b": [fast, slow, slow]}) == {"a": fast, "b": fast}


def test_a_disturbed_round_does_not_count() -> None:
    cost = Cost(2.0, 1000, 1.0)
    found = measured({"a": [Disturbed("busy"), cost], "b": [cost, Disturbed("busy")]})
    assert list(found.items()) == [("a", cost), ("b", cost)]


def test_a_proxy_without_any_round_that_counts_has_no_figure() -> None:
    with pytest.raises(BenchmarkFailed, match="a: no round counts"):
        measured({"a": [Disturbed("busy"), Disturbed("busy")]})
