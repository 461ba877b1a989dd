"""The end of a connection is seen while nobody reads it: on both event loops, with real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import struct
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

import pytest
import trustme

from raw_http import PATIENCE, until
from sidekey_proxy.transport import hangup
from sidekey_proxy.transport.hangup import HangUp, Watch, watch

RESET_AT_CLOSE = struct.pack("ii", 1, 0)


class Unread(asyncio.Protocol):
    """A connection, read when it is told to."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.made = asyncio.Event()
        self.lost = asyncio.Event()
        self.received = 0
        self.eof = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.made.set()

    async def paused(self) -> None:
        """Wait until it stands, and read no more; in ``connection_made`` no transport can be paused yet."""
        async with asyncio.timeout(PATIENCE):
            await self.made.wait()
        await asyncio.sleep(0)
        self.transport.pause_reading()

    def data_received(self, data: bytes) -> None:
        self.received += len(data)

    def eof_received(self) -> None:
        self.eof = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


@contextlib.asynccontextmanager
async def connection(path: Path | None = None) -> AsyncIterator[tuple[Unread, socket.socket]]:
    """Yield a paused connection, and the plain socket at its other end."""
    loop = asyncio.get_running_loop()
    ours = Unread()
    if path is None:
        server = await loop.create_server(lambda: ours, "127.0.0.1", 0)
        peer = socket.create_connection(server.sockets[0].getsockname())
    else:
        server = await loop.create_unix_server(lambda: ours, str(path))
        peer = socket.socket(socket.AF_UNIX)
        peer.connect(str(path))
    try:
        await ours.paused()
        yield ours, peer
    finally:
        peer.close()
        ours.transport.abort()
        async with asyncio.timeout(PATIENCE):
            await ours.lost.wait()
        server.close()


def reset(peer: socket.socket) -> None:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    peer.close()


def fill(peer: socket.socket) -> int:
    """Send until the kernel takes no more."""
    peer.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += peer.send(b"x" * 65536)
    return sent


class Seen:
    """What a watch has told."""

    def __init__(self) -> None:
        self.all: list[HangUp] = []
        self.told = asyncio.Event()

    def __call__(self, seen: HangUp) -> None:
        self.all.append(seen)
        self.told.set()

    async def soon(self) -> list[HangUp]:
        """Return what was told, which is to be within a second."""
        async with asyncio.timeout(1):
            await self.told.wait()
        return self.all


@pytest.mark.parametrize("sent", [0, 1, 64 * 1024])
async def test_a_fin_is_seen_and_what_was_sent_before_it_can_be_read(sent: int) -> None:
    async with connection() as (ours, peer):
        seen = Seen()
        watch(ours.transport, seen)
        peer.sendall(b"x" * sent)
        peer.close()
        assert await seen.soon() == [HangUp.ENDED]
        assert ours.received == 0
        ours.transport.resume_reading()
        await until(lambda: ours.eof)
        assert ours.received == sent


async def test_a_fin_behind_more_than_the_kernel_takes_is_seen_when_it_comes() -> None:
    async with connection() as (ours, peer):
        seen = Seen()
        watch(ours.transport, seen)
        sent = fill(peer)
        peer.close()
        ours.transport.resume_reading()
        assert await seen.soon() == [HangUp.ENDED]
        await until(lambda: ours.eof)
        assert ours.received == sent


async def test_half_a_close_is_seen() -> None:
    async with connection() as (ours, peer):
        seen = Seen()
        watch(ours.transport, seen)
        peer.shutdown(socket.SHUT_WR)
        assert await seen.soon() == [HangUp.ENDED]
        ours.transport.write(b"still there?")
        assert await asyncio.to_thread(peer.recv, 100) == b"still there?"


@pytest.mark.parametrize("unread", ["nothing", "a full buffer"])
async def test_a_rst_is_seen(unread: str) -> None:
    async with connection() as (ours, peer):
        seen = Seen()
        watch(ours.transport, seen)
        if unread != "nothing":
            fill(peer)
        reset(peer)
        assert await seen.soon() == [HangUp.BROKEN]


async def test_an_end_before_the_watch_began_is_seen() -> None:
    async with connection() as (ours, peer):
        reset(peer)
        seen = Seen()
        watch(ours.transport, seen)
        assert await seen.soon() == [HangUp.BROKEN]


async def test_it_is_told_once_only() -> None:
    async with connection() as (ours, peer), connection() as (others, other_peer):
        seen, later = Seen(), Seen()
        watch(ours.transport, seen)
        watch(others.transport, later)
        peer.close()
        await seen.soon()
        other_peer.close()
        await later.soon()
        assert seen.all == [HangUp.ENDED]


async def test_an_end_that_was_told_or_cancelled_costs_nothing_more() -> None:
    """Each would wake the event loop again and again for as long as the connection stays open."""
    async with connection() as (ours, peer), connection() as (others, other_peer):
        seen = Seen()
        watch(ours.transport, seen)
        watch(others.transport, Seen()).cancel()
        other_peer.close()
        peer.close()
        await seen.soon()
        assert hangup._watcher()._epoll.poll(0) == []


async def test_data_alone_is_no_end() -> None:
    async with connection() as (ours, peer), connection() as (others, other_peer):
        seen, sign = Seen(), Seen()
        watch(ours.transport, seen)
        watch(others.transport, sign)
        fill(peer)
        other_peer.close()
        await sign.soon()
        assert not seen.all


async def test_unix_sockets_are_watched_too(tmp_path: Path) -> None:
    async with connection(tmp_path / "socket") as (ours, peer):
        seen = Seen()
        watch(ours.transport, seen)
        peer.sendall(b"last words")
        peer.close()
        assert await seen.soon() == [HangUp.ENDED]
        ours.transport.resume_reading()
        await until(lambda: ours.eof)
        assert ours.received == 10


async def test_many_at_once_are_each_told() -> None:
    async with contextlib.AsyncExitStack() as stack:
        pairs = [await stack.enter_async_context(connection()) for _ in range(50)]
        all_seen = [Seen() for _ in pairs]
        for (ours, _), seen in zip(pairs, all_seen, strict=True):
            watch(ours.transport, seen)
        for number, (_, peer) in enumerate(pairs):
            (reset if number % 2 else socket.socket.close)(peer)
        for number, seen in enumerate(all_seen):
            assert await seen.soon() == [HangUp.BROKEN if number % 2 else HangUp.ENDED]


# --- over TLS


@pytest.mark.parametrize("way", ["FIN", "RST"])
async def test_over_tls_the_connections_end_is_seen(way: str) -> None:
    authority = trustme.CA()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    ours = Unread()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: ours, "127.0.0.1", 0, ssl=serving)
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", server.sockets[0].getsockname()[1], ssl=trusting, server_hostname="localhost"
    )
    await ours.paused()
    seen = Seen()
    watch(ours.transport, seen)
    sock = writer.get_extra_info("socket")
    if way == "RST":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
    writer.transport.abort()
    if way == "FIN":
        assert await seen.soon() == [HangUp.ENDED]
    else:
        await until(
            lambda: bool(seen.all) or ours.lost.is_set()
        )  # TLS reads on for a while, and may see it first
    ours.transport.abort()
    server.close()
    async with asyncio.timeout(PATIENCE):
        await ours.lost.wait()
    del reader


# --- no more


async def test_a_cancelled_watch_does_not_tell() -> None:
    async with connection() as (ours, peer), connection() as (others, other_peer):
        seen, sign = Seen(), Seen()
        watching = watch(ours.transport, seen)
        watch(others.transport, sign)
        watching.cancel()
        watching.cancel()
        peer.close()
        other_peer.close()
        await sign.soon()
        assert not seen.all


async def test_a_watch_that_is_cancelled_between_the_end_and_the_call_does_not_tell() -> None:
    async with connection() as (ours, peer), connection() as (others, other_peer):
        watches: dict[str, Watch] = {}
        told: list[str] = []

        def one_of_two(name: str, other: str) -> None:
            told.append(name)
            watches[other].cancel()

        watches["a"] = watch(ours.transport, lambda _: one_of_two("a", "b"))
        watches["b"] = watch(others.transport, lambda _: one_of_two("b", "a"))
        peer.close()
        other_peer.close()
        await until(lambda: bool(told))
        async with connection() as (third, third_peer):
            sign = Seen()
            watch(third.transport, sign)
            third_peer.close()
            await sign.soon()
        assert len(told) == 1


async def test_a_second_watch_takes_the_place_of_the_first() -> None:
    async with connection() as (ours, peer):
        first, second = Seen(), Seen()
        before = watch(ours.transport, first)
        watch(ours.transport, second)
        before.cancel()
        peer.close()
        assert await second.soon() == [HangUp.ENDED]
        assert not first.all


async def test_a_watch_outlives_no_connection_whose_number_is_used_again() -> None:
    """It is cancelled late, when the number is already another connection's."""
    async with connection() as (ours, _):
        number = ours.transport.get_extra_info("socket").fileno()
        stale = Seen()
        forgotten = watch(ours.transport, stale)
        ours.transport.abort()
        await until(lambda: not _is_open(number))
        next_one, next_peer = socket.socketpair()
        if next_one.fileno() != number:
            os.dup2(next_one.fileno(), number)
            next_one.close()
            next_one = socket.socket(fileno=number)
        transport, protocol = await asyncio.get_running_loop().create_connection(Unread, sock=next_one)
        await protocol.paused()
        seen = Seen()
        watch(transport, seen)
        forgotten.cancel()
        next_peer.close()
        assert await seen.soon() == [HangUp.ENDED]
        assert not stale.all
        transport.abort()
        await until(protocol.lost.is_set)


async def test_a_connection_that_has_closed_is_not_watched() -> None:
    async with connection() as (ours, _):
        ours.transport.abort()
        watch(ours.transport, Seen()).cancel()
        async with asyncio.timeout(PATIENCE):
            await ours.lost.wait()
        watch(ours.transport, Seen()).cancel()


async def test_without_epoll_a_watch_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connection() as (ours, peer):
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(sys, "platform", "darwin")
            seen = Seen()
            watching = watch(ours.transport, seen)
        peer.close()
        sign = Seen()
        watch(ours.transport, sign)
        await sign.soon()
        watching.cancel()
        assert not seen.all


async def test_an_event_loop_has_one_epoll_for_all_its_watches() -> None:
    async with connection() as (ours, _), connection() as (others, _):
        watches = [watch(ours.transport, Seen()), watch(others.transport, Seen())]
        assert watches[0]._watcher is watches[1]._watcher is hangup._watcher()
        for watching in watches:
            watching.cancel()
        assert not hangup._watcher()._watches


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True
