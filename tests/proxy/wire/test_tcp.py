"""What TCP is told to do with a connection, read back from the kernel."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from raw_http import data_path
from sidekey_proxy.transport.tcp import abort, tune


@contextlib.asynccontextmanager
async def connection(path: Path | None = None) -> AsyncIterator[asyncio.Transport]:
    with (
        socket.create_server(("127.0.0.1", 0)) if path is None else socket.socket(socket.AF_UNIX) as listening
    ):
        if path is None:
            _, writer = await asyncio.open_connection(*listening.getsockname())
        else:
            listening.bind(str(path))
            listening.listen()
            _, writer = await asyncio.open_unix_connection(str(path))
        yield writer.transport
        writer.close()
        await writer.wait_closed()


async def test_small_pieces_go_at_once_and_a_silent_peer_is_found_in_time() -> None:
    async with connection() as transport:
        tune(transport, 60.0)
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 60_000
        idle, between, probes = (
            sock.getsockopt(socket.IPPROTO_TCP, option)
            for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT)
        )
        assert idle + probes * between == 60


async def test_both_sides_of_a_request_are_connections_on_which_silence_is_noticed() -> None:
    async with data_path(listener={"peer_timeout": 21.0}, upstream={"peer_timeout": 42.0}) as stack:
        await stack.request(stack.head())
        await (await stack.origin.accept()).message()
        (client,), (origin,) = stack.listener._connections, stack.pool._open
        for transport, silence in ((client.transport, 21), (origin._transport, 42)):
            assert transport is not None
            sock = transport.get_extra_info("socket")
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == silence * 1000
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


@pytest.mark.parametrize("silence", [1.0, 1.4, 2.0, 7.0])
async def test_a_short_time_is_possible(silence: float) -> None:
    async with connection() as transport:
        tune(transport, silence)
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == silence * 1000
        assert 1 <= sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= silence


async def test_a_long_time_is_as_long_as_the_system_allows() -> None:
    async with connection() as transport:
        tune(transport, 31 * 24 * 60 * 60)
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2**31 - 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 32767


async def test_a_unix_socket_is_left_alone(tmp_path: Path) -> None:
    async with connection(tmp_path / "socket") as transport:
        tune(transport, 60.0)
        sock = transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0


async def test_a_connection_that_has_closed_is_left_alone() -> None:
    async with connection() as transport:
        transport.abort()
        for _ in range(3):
            await asyncio.sleep(0)
        tune(transport, 60.0)


async def test_a_tls_connection_that_is_closed_already_can_be_aborted() -> None:
    authority = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("localhost").configure_cert(serving)
    authority.configure_trust(trusting)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=serving)
    address = server.sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address, ssl=trusting, server_hostname="localhost")
    assert await reader.read() == b""
    writer.close()
    await writer.wait_closed()
    abort(writer.transport)
    server.close()
