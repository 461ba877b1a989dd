"""``python -m benchmarks``: measures, prints tables, and writes figures as JSON where one wants them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from . import wrk
from .cpu import Bench, Cost, PerEvent, per_request, rounds
from .machine import allow_descriptors, described, two_cores
from .memory import Memory, Sizes, of_all
from .nginx import Nginx
from .plain_aiohttp import PlainAiohttp
from .programs import BenchmarkFailed, Proxy
from .sidekey import Sidekey
from .table import cpu_table, memory_table

_REFERENCE: Final = "nginx"
_MEASUREMENTS: Final = ("requests", "events", "memory")
_PROXIES: Final = ("nginx", "aiohttp", "sidekey")
_SPARE_DESCRIPTORS: Final = 500

_EPILOG: Final = """\
examples:
  python -m benchmarks
  python -m benchmarks --only requests --only events --rounds 5 --seconds 8
  python -m benchmarks --only memory --proxy sidekey
  python -m benchmarks --sidekey before=../other/.venv/bin --json figures.json

nginx, wrk and a second core are needed (on Debian: apt install nginx-light wrk). What is not installed is
left out, and said so.
"""


@dataclass
class Figures:
    """What was measured, by the proxies' names."""

    machine: str
    requests: dict[str, Cost] = field(default_factory=dict)
    events: dict[str, Cost] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; return the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        figures = _measured(chosen)
    except BenchmarkFailed as error:
        print(f"the benchmark failed: {error}", file=sys.stderr)
        return 1
    print(_tables(figures, chosen))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure what sidekey costs beside nginx and a plain aiohttp proxy.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--only", action="append", choices=_MEASUREMENTS, help="measure this (may be repeated; all)")
    add("--proxy", action="append", choices=_PROXIES, help="measure this proxy (may be repeated; all)")
    add(
        "--sidekey",
        action="append",
        default=[],
        metavar="NAME=BIN",
        type=_another,
        help="another sidekey, too",
    )
    add("--rounds", type=int, default=3, metavar="N", help="the best of this many counts (3)")
    add("--seconds", type=float, default=5.0, metavar="S", help="of one measurement of CPU (5)")
    add("--event-streams", type=int, default=64, metavar="N", help="open while events are measured (64)")
    add("--event-pause", type=float, default=0.01, metavar="S", help="between a stream's events (0.01)")
    add("--body", type=int, default=1024, metavar="MIB", help="length of the long bodies (1024)")
    add("--open-streams", type=int, default=5000, metavar="N", help="whose memory is measured (5000)")
    add("--unread", type=int, default=50, metavar="N", help="clients that do not read (50)")
    add("--json", type=Path, metavar="FILE", help="write the figures there, too")
    return parser


def _another(text: str) -> Sidekey:
    name, equals, binaries = text.partition("=")
    if not (name and equals and binaries):
        raise argparse.ArgumentTypeError("it is written NAME=FOLDER, such as before=../other/.venv/bin")
    return Sidekey(name, Path(binaries).resolve())


def _measured(chosen: argparse.Namespace) -> Figures:
    proxy_core, load_core = two_cores()
    bench = Bench(proxy_core, load_core, chosen.seconds)
    wanted = chosen.only or _MEASUREMENTS
    proxies = _installed(chosen)
    figures = Figures(described())
    if "requests" in wanted:
        if (needed := wrk.missing() or Nginx().missing()) is not None:
            _tell(f"requests are left out: {needed} is missing")
        else:
            figures.requests = _in_turn(per_request, "requests", proxies, bench, chosen.rounds)
    if "events" in wanted:
        per_event = PerEvent(chosen.event_streams, chosen.event_pause)
        figures.events = _in_turn(per_event, "events", proxies, bench, chosen.rounds)
    if "memory" in wanted:
        sizes = Sizes(chosen.body * 1024 * 1024, chosen.open_streams, chosen.unread)
        allow_descriptors(2 * sizes.streams + _SPARE_DESCRIPTORS)
        for proxy in proxies:
            figures.memory[proxy.name] = of_all(proxy, bench, sizes)
            _tell(f"memory: {proxy.name}: done")
    return figures


def _installed(chosen: argparse.Namespace) -> list[Proxy]:
    known: dict[str, Callable[[], Proxy]] = {"nginx": Nginx, "aiohttp": PlainAiohttp, "sidekey": Sidekey}
    proxies = [make() for name, make in known.items() if name in (chosen.proxy or _PROXIES)]
    proxies += chosen.sidekey
    for proxy in list(proxies):
        if (needed := proxy.missing()) is not None:
            _tell(f"{proxy.name} is left out: {needed} is missing")
            proxies.remove(proxy)
    return proxies


def _in_turn(
    measurement: Callable[..., Cost], what: str, proxies: Sequence[Proxy], bench: Bench, count: int
) -> dict[str, Cost]:
    return rounds(measurement, proxies, bench, count, lambda line: _tell(f"{what}: {line}"))


def _tables(figures: Figures, chosen: argparse.Namespace) -> str:
    parts: list[Any] = [f"{figures.machine}; the best of {chosen.rounds} rounds of {chosen.seconds:g} s"]
    if figures.requests:
        parts.append(cpu_table("request", figures.requests, _REFERENCE))
    if figures.events:
        parts.append(cpu_table("event", figures.events, _REFERENCE))
    if figures.memory:
        parts.append(memory_table(figures.memory))
    return "\n\n".join(parts)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
