"""CPU per request and per streamed event: every proxy in turn, over several rounds; the best round counts."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

from . import streams, wrk
from .measure import cpu_seconds
from .nginx import request_origin
from .origin import stream_origin
from .programs import BenchmarkFailed, Disturbed, Proxy, Running, pinned

_WARM_UP = 1.0


@dataclass(frozen=True, slots=True)
class Cost:
    """What a proxy used for a number of things.

    Attributes:
        cpu: seconds.
        count: of requests or events.
        seconds: that passed.
    """

    cpu: float
    count: int
    seconds: float

    @property
    def each(self) -> float:
        """Microseconds of CPU for each of them."""
        return self.cpu / self.count * 1e6

    @property
    def rate(self) -> float:
        """How many there were in a second."""
        return self.count / self.seconds

    @property
    def busy(self) -> float:
        """The share of its core that the proxy used."""
        return self.cpu / self.seconds


@dataclass(frozen=True, slots=True)
class Bench:
    """The machine's part in it.

    Attributes:
        proxy_core: where the proxy under test runs.
        load_core: where load and origin run.
        seconds: of one measurement.
    """

    proxy_core: int
    load_core: int
    seconds: float


Measurement = Callable[[Proxy, Bench, Path], Cost]


def rounds(
    measurement: Measurement, proxies: Sequence[Proxy], bench: Bench, count: int, told: Callable[[str], None]
) -> dict[str, Cost]:
    """Measure every proxy in turn, several times over, and return the best of each.

    Args:
        measurement: one of this module.
        proxies: under test.
        bench: where and for how long.
        count: of rounds.
        told: is told of each figure as soon as there is one.

    Raises:
        BenchmarkFailed: a proxy has no round that counts.
    """
    best: dict[str, Cost] = {}
    for number in range(1, count + 1):
        for proxy in proxies:
            try:
                with tempfile.TemporaryDirectory(prefix="sidekey-bench-") as folder:
                    cost = measurement(proxy, bench, Path(folder))
            except Disturbed as why:
                told(f"round {number}: {proxy.name}: does not count: {why}")
                continue
            told(f"round {number}: {proxy.name}: {cost.each:.1f} µs each, {cost.rate:.0f} a second")
            if proxy.name not in best or cost.each < best[proxy.name].each:
                best[proxy.name] = cost
    for proxy in proxies:
        if proxy.name not in best:
            raise BenchmarkFailed(f"{proxy.name}: no round counts; is the machine busy?")
    return {proxy.name: best[proxy.name] for proxy in proxies}


def per_request(proxy: Proxy, bench: Bench, folder: Path) -> Cost:
    """Measure plain requests: POST of 600 bytes, an answer of as many, connections kept alive."""
    with (
        request_origin(_made(folder / "origin"), bench.load_core) as origin,
        proxy.running(origin, _made(folder / "proxy"), bench.proxy_core) as running,
    ):
        wrk.send_requests(running, _WARM_UP, folder, bench.load_core)
        began, before = time.monotonic(), cpu_seconds(running.pid)
        count = wrk.send_requests(running, bench.seconds, folder, bench.load_core)
        return Cost(cpu_seconds(running.pid) - before, count, time.monotonic() - began)


class PerEvent:
    """Measures events of open streams, each of which arrives by itself.

    Args:
        open_streams: how many there are.
        every: seconds between two events of a stream.
    """

    def __init__(self, open_streams: int, every: float) -> None:
        self._open_streams = open_streams
        self._every = every

    def __call__(self, proxy: Proxy, bench: Bench, folder: Path) -> Cost:
        """Measure one proxy."""
        with (
            stream_origin(_made(folder / "origin"), bench.load_core) as origin,
            proxy.running(origin, _made(folder / "proxy"), bench.proxy_core) as running,
            pinned(bench.load_core),
        ):
            return uvloop.run(self._measured(running, bench.seconds))

    async def _measured(self, running: Running, seconds: float) -> Cost:
        opened = await streams.open_streams(running, self._open_streams, self._every)
        await asyncio.sleep(_WARM_UP)
        began, before = time.monotonic(), cpu_seconds(running.pid)
        events, reads = _seen(opened)
        await asyncio.sleep(seconds)
        cpu, passed = cpu_seconds(running.pid) - before, time.monotonic() - began
        events, reads = (now - then for now, then in zip(_seen(opened), (events, reads), strict=True))
        await streams.close(opened)
        if events > 1.05 * reads:
            raise Disturbed(f"events were not alone: {events} of them came in {reads} pieces")
        return Cost(cpu, events, passed)


def _seen(opened: Sequence[streams.Stream]) -> tuple[int, int]:
    return sum(stream.events for stream in opened), sum(stream.reads for stream in opened)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
