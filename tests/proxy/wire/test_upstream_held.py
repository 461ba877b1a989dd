"""A client that does not read holds upstream, and upstream's end is seen nevertheless."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest

from raw_http import PATIENCE, Stack, Wire, data_path, until
from sidekey_proxy.upstream.connection import Connection
from sidekey_proxy.upstream.pool import PooledUpstream

MEBIBYTE = 1024 * 1024
KERNEL_BUFFER = 64 * 1024
"""Asked for on each of the four sockets on the way; the kernel takes twice as much."""
UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
HEADS = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n",
    "close": b"HTTP/1.1 200 OK\r\n\r\n",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n",
    "tunnel": SWITCH,
    "upload": b"",
}


def small(sock: socket.socket) -> None:
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF):
        sock.setsockopt(socket.SOL_SOCKET, option, KERNEL_BUFFER)


def kernel_room(stack: Stack, origin: Wire, client: socket.socket) -> int:
    """Return how much the kernel may hold between the origin and the client."""
    ours = cast("asyncio.Transport", _connection(stack)._transport).get_extra_info("socket")
    theirs = origin.writer.get_extra_info("socket")
    [listening] = stack._server.sockets
    return sum(
        sock.getsockopt(socket.SOL_SOCKET, option)
        for sock, option in (
            (theirs, socket.SO_SNDBUF),
            (ours, socket.SO_RCVBUF),
            (listening, socket.SO_SNDBUF),
            (client, socket.SO_RCVBUF),
        )
    )


def _connection(stack: Stack) -> Connection:
    [connection] = stack.pool._open
    return connection


def _held(stack: Stack) -> bool:
    return any(connection._held is not None for connection in stack.pool._open)


@contextlib.asynccontextmanager
async def unread(
    kind: str, total: int, **upstream: float
) -> AsyncIterator[tuple[Stack, socket.socket, Wire]]:
    """Yield both ends of an answer, or of a tunnel, that the client does not read; its head is sent."""
    async with data_path(upstream=upstream) as stack:
        for listening in stack._server.sockets:
            small(cast("socket.socket", listening))
        _use_small_sockets(stack.pool)
        client = socket.socket()
        small(client)
        client.connect(("127.0.0.1", stack.port))
        fields = UPGRADE if kind == "tunnel" else ("Connection: close",)
        if kind == "upload":
            client.sendall(stack.head("POST", "/v1/things", f"Content-Length: {total}"))
        else:
            client.sendall(stack.head("GET", "/v1/things", *fields))
        origin = await stack.origin.accept()
        small(origin.writer.get_extra_info("socket"))
        await origin.head()
        head = HEADS[kind]
        origin.writer.write(head % total if b"%" in head else head)
        try:
            yield stack, client, origin
        finally:
            client.close()
            stack.origin.wires.remove(origin)
            origin.writer.transport.close()


def _use_small_sockets(pool: PooledUpstream) -> None:
    dial = pool._dial

    async def small_dial(protocol: object) -> Connection:
        connection = await dial(protocol)  # type: ignore[arg-type, type-var]
        transport = cast("Connection", connection)._transport
        assert transport is not None
        small(transport.get_extra_info("socket"))
        return cast("Connection", connection)

    pool._dial = small_dial  # type: ignore[assignment]


async def send_until_stuck(stack: Stack, origin: Wire) -> int:
    """Send until nothing moves any more, and return how much the origin's kernel has taken."""
    transport = origin.writer.transport
    transport.write(b"x" * (32 * MEBIBYTE))
    await until(lambda: _held(stack))
    await comes_to_rest(transport.get_write_buffer_size)
    assert _held(stack)
    return 32 * MEBIBYTE - transport.get_write_buffer_size()


async def comes_to_rest(size: Callable[[], int]) -> None:
    """Wait until a number does not change any more."""
    before, turns = -1, 0
    while turns < 50:
        now = size()
        turns = turns + 1 if now == before else 0
        before = now
        await asyncio.sleep(0.002)


def reset_seen(client: socket.socket) -> bool:
    """Tell whether the client's side has broken off within a second, without reading."""
    poll = select.poll()
    poll.register(client, 0)
    return bool(poll.poll(1000))


def read_all(client: socket.socket) -> bytes:
    client.settimeout(PATIENCE)
    data = bytearray()
    while piece := client.recv(MEBIBYTE):
        data += piece
    return bytes(data)


@pytest.mark.parametrize("kind", ["length", "close", "chunks", "tunnel"])
async def test_upstream_is_stopped_within_a_mebibyte(kind: str) -> None:
    async with unread(kind, 1024 * MEBIBYTE) as (stack, client, origin):
        sent = await send_until_stuck(stack, origin)
        assert sent < kernel_room(stack, origin, client) + MEBIBYTE


@pytest.mark.parametrize("kind", ["length", "close", "chunks", "tunnel"])
async def test_a_broken_upstream_reaches_a_client_that_does_not_read(kind: str) -> None:
    async with unread(kind, 1024 * MEBIBYTE) as (stack, client, origin):
        await send_until_stuck(stack, origin)
        origin.reset()
        assert await asyncio.to_thread(reset_seen, client)
        record = await stack.record()
        if kind != "tunnel":
            assert (record.ending, record.code) == ("cut", "sidekey_upstream_unreachable")
        await until(lambda: not stack.pool._open)


@pytest.mark.parametrize("kind", ["length", "close", "tunnel"])
async def test_a_fin_loses_nothing_of_what_was_sent_before_it(kind: str) -> None:
    total = 4 * MEBIBYTE
    async with unread(kind, total) as (stack, client, origin):
        sent = 0
        while not _held(stack):
            origin.writer.write(b"x" * 65536)
            sent += 65536
            await asyncio.sleep(0.001)
        origin.writer.write(b"x" * (total - sent))
        origin.close()
        data = await asyncio.to_thread(read_all, client)
        _, _, body = data.partition(b"\r\n\r\n")
        assert len(body) == total
        assert (await stack.record()).ending == "whole"


async def test_a_fin_in_the_middle_is_a_cut_after_all_that_was_sent() -> None:
    async with unread("length", 1024 * MEBIBYTE) as (stack, client, origin):
        sent = 0
        while not _held(stack):
            origin.writer.write(b"x" * 65536)
            sent += 65536
            await asyncio.sleep(0.001)
        origin.close()
        data = await asyncio.to_thread(read_all, client)
        assert len(data.partition(b"\r\n\r\n")[2]) == sent
        record = await stack.record()
        assert (record.ending, record.code) == ("cut", "sidekey_upstream_unreachable")


async def test_only_a_silence_of_its_own_counts_against_upstream() -> None:
    async with unread("length", 1024 * MEBIBYTE, idle_timeout=0.3) as (stack, client, origin):
        while not _held(stack):
            origin.writer.write(b"x" * 16384)
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.6)  # longer than the limit: what is being tested
        assert stack.records.empty()
        await asyncio.to_thread(read_all, client)
        record = await stack.record()
        assert (record.ending, record.code) == ("cut", "sidekey_upstream_timeout")


@pytest.mark.parametrize("way", ["reset", "say_no_more"])
async def test_upstream_that_leaves_while_it_reads_nothing_of_an_upload_makes_a_502_within_a_second(
    way: str,
) -> None:
    async with unread("upload", 1024 * MEBIBYTE) as (stack, client, origin):
        origin.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.setblocking(False)

        def send() -> int:
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(b"x" * 65536)
            return 0 if _connection(stack)._room is None else 1

        await until(lambda: send() == 1)
        await comes_to_rest(send)
        client.settimeout(1)
        getattr(origin, way)()
        assert (await asyncio.to_thread(client.recv, 65536)).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize("way", ["reset", "close"])
async def test_cutting_a_tunnels_client_while_data_waits_for_it_ends_upstream(way: str) -> None:
    async with unread("tunnel", 0) as (stack, client, origin):
        await send_until_stuck(stack, origin)
        if way == "reset":
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # what it has not read makes the kernel send a RST in either case
        async with asyncio.timeout(1):
            await origin.ended()


async def test_cutting_upstream_while_a_tunnels_data_waits_for_it_reaches_the_client() -> None:
    async with unread("tunnel", 0) as (stack, client, origin):
        await asyncio.to_thread(client.recv, len(SWITCH) + 1000)
        cast("asyncio.ReadTransport", origin.writer.transport).pause_reading()
        client.setblocking(False)
        sent = 0

        def send() -> int:
            nonlocal sent
            with contextlib.suppress(BlockingIOError):
                while True:
                    sent += client.send(b"x" * 65536)
            return sent

        await comes_to_rest(send)
        ours = cast("asyncio.Transport", _connection(stack)._transport).get_extra_info("socket")
        theirs = origin.writer.get_extra_info("socket")
        [listening] = stack._server.sockets
        kernel = sum(
            sock.getsockopt(socket.SOL_SOCKET, option)
            for sock, option in (
                (client, socket.SO_SNDBUF),
                (listening, socket.SO_RCVBUF),
                (ours, socket.SO_SNDBUF),
                (theirs, socket.SO_RCVBUF),
            )
        )
        assert sent < kernel + MEBIBYTE
        origin.reset()
        assert await asyncio.to_thread(reset_seen, client)
        await stack.record()


@pytest.mark.parametrize("kind", ["tunnel", "upload"])
async def test_a_broken_client_reaches_an_upstream_that_does_not_read(kind: str) -> None:
    async with unread(kind, 1024 * MEBIBYTE) as (stack, client, origin):
        cast("asyncio.ReadTransport", origin.writer.transport).pause_reading()
        if kind == "tunnel":
            await asyncio.to_thread(client.recv, len(SWITCH) + 1000)
        client.setblocking(False)

        def send() -> int:
            with contextlib.suppress(BlockingIOError):
                while True:
                    client.send(b"x" * 65536)
            return 0 if _connection(stack)._room is None else 1

        await until(lambda: send() == 1)
        await comes_to_rest(send)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert await asyncio.to_thread(reset_seen, origin.writer.get_extra_info("socket"))
        await stack.record()
