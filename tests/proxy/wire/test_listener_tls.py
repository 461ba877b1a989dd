"""Clients that come over TLS: a closure alert makes an answer whole (RFC 8446 section 6.1)."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator

import pytest
import trustme

from raw_http import PATIENCE, Stack, Wire, answer, data_path, until


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


class Secured:
    """A client whose every read tells how its connection ended; its socket is read in a thread."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.to_thread(self.sock.sendall, data)

    async def rest(self) -> bytes:
        """Read up to the closure alert; any other end is an error."""
        return await asyncio.to_thread(self._rest)

    def _rest(self) -> bytes:
        data = bytearray()
        while piece := self.sock.recv(65536):
            data += piece
        return bytes(data)

    async def up_to(self, end: bytes) -> bytes:
        """Read until what has come ends so."""
        return await asyncio.to_thread(self._up_to, end)

    def _up_to(self, end: bytes) -> bytes:
        data = b""
        while not data.endswith(end):
            piece = self.sock.recv(65536)
            assert piece, f"ended behind {data!r}"
            data += piece
        return data


@contextlib.asynccontextmanager
async def secured(authority: trustme.CA) -> AsyncIterator[tuple[Stack, Secured]]:
    """Yield a data path, and a client that has come to it over TLS."""
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(serving)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    loop = asyncio.get_running_loop()
    async with data_path(listener={"linger": PATIENCE}) as stack:
        server = await loop.create_server(stack.listener, "127.0.0.1", 0, ssl=serving)
        plain = socket.create_connection(server.sockets[0].getsockname(), timeout=PATIENCE)
        client = await asyncio.to_thread(
            trusting.wrap_socket, plain, server_hostname="localhost", suppress_ragged_eofs=False
        )
        try:
            yield stack, Secured(client)
        finally:
            client.close()
            server.close()


async def exchange_with(stack: Stack, client: Secured) -> Wire:
    await client.send(stack.head("GET", "/v1/models", "Connection: close"))
    origin = await stack.origin.accept()
    await origin.head()
    return origin


async def test_an_answer_that_ends_with_its_connection_ends_with_an_alert(authority: trustme.CA) -> None:
    async with secured(authority) as (stack, client):
        origin = await exchange_with(stack, client)
        await origin.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        origin.close()
        head, _, body = (await client.rest()).partition(b"\r\n\r\n")
        assert (head, body) == (b"HTTP/1.1 200 OK\r\nConnection: close", b"abc")
        assert (await stack.record()).ending == "whole"


async def test_an_answer_that_is_cut_ends_without_an_alert_where_that_alone_would_tell(
    authority: trustme.CA,
) -> None:
    async with secured(authority) as (stack, client):
        origin = await exchange_with(stack, client)
        await origin.send(b"HTTP/1.1 200 OK\r\n\r\nabc")
        await client.up_to(b"\r\n\r\nabc")
        origin.reset()
        with pytest.raises((ssl.SSLEOFError, ConnectionResetError)):
            await client.rest()
        assert (await stack.record()).ending == "cut"


async def test_chunks_that_are_cut_have_no_last_one(authority: trustme.CA) -> None:
    async with secured(authority) as (stack, client):
        origin = await exchange_with(stack, client)
        await origin.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        origin.close()
        assert (await client.rest()).endswith(b"\r\n\r\n3\r\nabc\r\n")
        assert (await stack.record()).ending == "cut"


@pytest.mark.parametrize("way", ["alert", "FIN", "RST"])
async def test_a_client_that_leaves_is_noticed_upstream_within_a_second(
    authority: trustme.CA, way: str
) -> None:
    async with secured(authority) as (stack, client):
        origin = await exchange_with(stack, client)
        if way == "alert":
            client.sock.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):
                client.sock.unwrap()
        elif way == "FIN":
            client.sock.shutdown(socket.SHUT_WR)
        else:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            client.sock.close()
        async with asyncio.timeout(1):
            await origin.ended()
        assert (await stack.record()).ending == "gone"


async def test_who_is_refused_in_the_middle_of_an_upload_sees_the_answer(authority: trustme.CA) -> None:
    async with secured(authority) as (_, client):
        head = b"POST /v1/files HTTP/1.1\r\nHost: localhost\r\nContent-Length: 800000\r\n\r\n"
        await client.send(head + b"x" * 800_000)
        assert (await client.up_to(b"}}")).startswith(b"HTTP/1.1 401 ")


async def test_a_connection_serves_one_request_after_the_other(authority: trustme.CA) -> None:
    async with secured(authority) as (stack, client):
        for said in (b"first", b"other"):
            await client.send(stack.head())
            origin = stack.origin.wires[0] if stack.origin.wires else await stack.origin.accept()
            await origin.message()
            await origin.send(answer(said))
            await client.up_to(b"\r\n\r\n" + said)


async def test_a_client_that_does_not_read_holds_upstream_over_tls_too(authority: trustme.CA) -> None:
    async with secured(authority) as (stack, client):
        origin = await exchange_with(stack, client)
        origin.writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 67108864\r\n\r\n")
        flooding = asyncio.create_task(_flood(origin))
        connection = stack.exchanges[0]._connection
        await until(lambda: connection.room is not None and not connection.room.done())
        waiting = connection.transport.get_write_buffer_size()
        assert 0 < waiting < 400 * 1024  # one read of the socket comes on top of the limit
        flooding.cancel()


async def _flood(origin: Wire) -> None:
    with contextlib.suppress(ConnectionError):
        while True:
            origin.writer.write(b"x" * 65536)
            await origin.writer.drain()
