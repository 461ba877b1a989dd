"""Resident memory: while long bodies pass, while many streams are open, and while clients do not read."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import trustme
import uvloop

from . import bodies, streams
from .cpu import Bench
from .measure import resident
from .origin import stream_origin
from .programs import BenchmarkFailed, Origin, Proxy, Running, pinned

_LOOK_EVERY: Final = 0.01
_WARM_UP_BODY: Final = 1024 * 1024
_WARM_UP_STREAMS: Final = 20
_SETTLED_FOR: Final = 1.0
_PATIENCE: Final = 30.0
_EVENTS_A_SECOND: Final = 5000

Result = TypeVar("Result")


class Peak:
    """The most memory that a proxy had while it was watched, in bytes."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._before = resident(pid)
        self._most = self._before
        self._enough = threading.Event()

    @property
    def growth(self) -> int:
        """Bytes above what there was in the beginning."""
        return self._most - self._before

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Look every 10 ms until the block ends."""
        thread = threading.Thread(target=self._watch)
        thread.start()
        try:
            yield
        finally:
            self._enough.set()
            thread.join()

    def _watch(self) -> None:
        while not self._enough.wait(_LOOK_EVERY):
            self._most = max(self._most, resident(self._pid))


@dataclass(frozen=True, slots=True)
class Held:
    """What clients that do not read cost.

    Attributes:
        memory: bytes of the proxy's memory for each.
        taken: bytes that the origin could send for each; what is not in the proxy is in the system's buffers.
    """

    memory: float
    taken: float


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much of everything there is.

    Attributes:
        body: bytes of a long body.
        streams: that are open at a time.
        unread: clients that do not read.
    """

    body: int
    streams: int
    unread: int


@dataclass(frozen=True, slots=True)
class Memory:
    """All figures of one proxy, in bytes.

    Attributes:
        up: the most that it grew while a long body went to the origin.
        down: the same, while one came from there.
        stream: for each open event stream.
        tls_stream: the same, with TLS to the origin; None where the proxy does not do that.
        unread: for each client that does not read.
    """

    up: int
    down: int
    stream: float
    tls_stream: float | None
    unread: Held


def of_all(proxy: Proxy, bench: Bench, sizes: Sizes) -> Memory:
    """Measure a proxy's memory, each figure with a fresh process."""
    return Memory(
        up=of_body(proxy, bench, sizes.body, up=True),
        down=of_body(proxy, bench, sizes.body, up=False),
        stream=of_streams(proxy, bench, sizes.streams, tls=False),
        tls_stream=of_streams(proxy, bench, sizes.streams, tls=True) if proxy.speaks_tls else None,
        unread=of_unread(proxy, bench, sizes.unread),
    )


def of_body(proxy: Proxy, bench: Bench, size: int, *, up: bool) -> int:
    """Return by how many bytes a proxy grows at most while one long body passes.

    Args:
        proxy: under test.
        bench: where.
        size: of the body, in bytes.
        up: it goes to the origin, and does not come from there.
    """

    async def measured(running: Running, _: Origin) -> int:
        travel = bodies.send_body if up else bodies.fetch_body
        await travel(running, _WARM_UP_BODY)
        peak = Peak(running.pid)
        with peak.watched():
            await travel(running, size)
        return peak.growth

    return _with(proxy, bench, measured)


def of_streams(proxy: Proxy, bench: Bench, count: int, *, tls: bool) -> float:
    """Return how many bytes an open event stream costs, when every event of all of them was delivered.

    Args:
        proxy: under test.
        bench: where.
        count: of streams that are open at a time.
        tls: to the origin.
    """

    async def measured(running: Running, origin: Origin) -> float:
        await streams.close(await streams.open_streams(running, _WARM_UP_STREAMS, _SETTLED_FOR))
        await asyncio.sleep(_SETTLED_FOR)
        gone = await bodies.end_streams(origin)
        before = resident(running.pid)
        every = count / _EVENTS_A_SECOND
        opened = await streams.open_streams(running, count, every)
        await asyncio.sleep(every + _SETTLED_FOR)
        growth = resident(running.pid) - before
        sent = await bodies.end_streams(origin) - gone
        async with asyncio.timeout(streams.PATIENCE):
            await asyncio.gather(*(stream.whole for stream in opened))
        arrived = sum(stream.events for stream in opened)
        if arrived != sent:
            raise BenchmarkFailed(f"{arrived} of {sent} events arrived")
        await streams.close(opened)
        return growth / count

    return _with(proxy, bench, measured, tls=tls)


def of_unread(proxy: Proxy, bench: Bench, count: int) -> Held:
    """Measure clients that ask for endless bodies and read nothing.

    Args:
        proxy: under test.
        bench: where.
        count: of clients.
    """

    async def measured(running: Running, origin: Origin) -> Held:
        await bodies.fetch_body(running, _WARM_UP_BODY)
        before, sent = resident(running.pid), await bodies.flooded(origin)
        connections = await bodies.not_reading(running, count)
        taken = await _all_that_is_taken(origin)
        held = Held((resident(running.pid) - before) / count, (taken - sent) / count)
        for connection in connections:
            connection.abort()
        return held

    return _with(proxy, bench, measured)


async def _all_that_is_taken(origin: Origin) -> int:
    """Return how much the origin has sent when nobody takes any more.

    Raises:
        BenchmarkFailed: there is no end of it.
    """
    taken, deadline = -1, time.monotonic() + _PATIENCE
    # Another process's number, which announces nothing.
    while taken != (taken := await bodies.flooded(origin)):
        if time.monotonic() > deadline:
            raise BenchmarkFailed(f"{taken} bytes were taken from the origin, and nobody reads them")
        await asyncio.sleep(_SETTLED_FOR)
    return taken


def _with(
    proxy: Proxy,
    bench: Bench,
    measured: Callable[[Running, Origin], Coroutine[Any, Any, Result]],
    *,
    tls: bool = False,
) -> Result:
    with tempfile.TemporaryDirectory(prefix="sidekey-bench-") as name:
        folder = Path(name)
        certificate, ca = _certified(folder) if tls else (None, None)
        with (
            stream_origin(folder, bench.load_core, certificate=certificate, ca=ca) as origin,
            proxy.running(origin, _made(folder / "proxy"), bench.proxy_core) as running,
            pinned(bench.load_core),
        ):
            return uvloop.run(measured(running, origin))


def _certified(folder: Path) -> tuple[Path, Path]:
    authority = trustme.CA()
    certificate, ca = folder / "certificate.pem", folder / "ca.pem"
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(certificate)
    authority.cert_pem.write_to_path(ca)
    return certificate, ca


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
