"""HTTP by hand: an origin that records bytes, a client that sends them, and the data path between the two."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from sidekey_auth.credential import Bearer
from sidekey_auth.errors import NoBearer
from sidekey_auth.secret import Secret
from sidekey_auth.upstream import parse_base
from sidekey_proxy.forward import Forward
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.listener.server import Listener, ListenerSettings
from sidekey_proxy.message.exchange import Exchange
from sidekey_proxy.record import RequestRecord
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings

PATIENCE = 10.0
"""Seconds after which a test that waits for an event has failed."""

CLIENT_KEY = "sk-side-0123456789abcdef0123456789abcdef"


@dataclasses.dataclass
class Message:
    """A request or answer as it stood on the wire."""

    line: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes = b""
    raw_body: bytes = b""

    @property
    def status(self) -> int:
        return int(self.line.split(b" ")[1])

    def every(self, name: bytes) -> list[bytes]:
        return [value for key, value in self.headers if key.lower() == name]

    def one(self, name: bytes) -> bytes | None:
        values = self.every(name)
        assert len(values) <= 1, f"{name!r} stands there {len(values)} times"
        return values[0] if values else None

    def names(self) -> list[bytes]:
        return [key for key, _ in self.headers]


class Wire:
    """One end of a connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(PATIENCE):
            await self.writer.drain()

    async def head(self) -> Message:
        async with asyncio.timeout(PATIENCE):
            raw = await self.reader.readuntil(b"\r\n\r\n")
        line, *fields = raw[:-4].split(b"\r\n")
        headers = []
        for field in fields:
            name, _, value = field.partition(b": ")
            headers.append((name, value))
        return Message(line, headers)

    async def message(self, *, bodiless: bool = False) -> Message:
        """Read a whole request or answer."""
        message = await self.head()
        length = message.one(b"content-length")
        if bodiless:
            return message
        if message.one(b"transfer-encoding") == b"chunked":
            while (piece := await self.chunk()) is not None:
                message.body += piece
        elif length is not None:
            message.body = await self.exactly(int(length))
        elif message.line.startswith(b"HTTP/"):
            message.body = await self.rest()
        return message

    async def chunk(self) -> bytes | None:
        """Read one chunk; None is the last one."""
        async with asyncio.timeout(PATIENCE):
            size = int(await self.reader.readuntil(b"\r\n"), 16)
            data = await self.reader.readexactly(size + 2)
        assert data.endswith(b"\r\n")
        return data[:-2] if size else None

    async def exactly(self, count: int) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.readexactly(count)

    async def rest(self) -> bytes:
        """Read until the connection ends properly."""
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def ended(self) -> None:
        """Wait for the connection's end, a FIN or a RST."""
        with contextlib.suppress(ConnectionError):
            await self.rest()

    def close(self) -> None:
        self.writer.close()

    def say_no_more(self) -> None:
        """Close one direction by a FIN, and keep the other."""
        self.writer.write_eof()

    def abort(self) -> None:
        """Close at once."""
        self.writer.transport.abort()

    def reset(self) -> None:
        """Close by a RST."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


class Origin:
    """An upstream made by hand: a test accepts its connections and says every byte."""

    def __init__(self) -> None:
        self._accepted: asyncio.Queue[Wire] = asyncio.Queue()
        self.wires: list[Wire] = []
        self.port = 0

    @contextlib.asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for wire in self.wires:
                wire.writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        self.wires.append(wire)
        self._accepted.put_nowait(wire)

    async def accept(self) -> Wire:
        """Return the next connection."""
        async with asyncio.timeout(PATIENCE):
            return await self._accepted.get()

    def nobody_else(self) -> bool:
        return self._accepted.empty()


class MemoryBearers:
    """Bearers out of memory: ``fresh`` ones are handed out one after the other when one is refused."""

    def __init__(self, *values: str) -> None:
        numbers = itertools.count(1)
        self.all = [Bearer(Secret(value), next(numbers), "chatgpt") for value in values]
        self.current = self.all[0] if self.all else None
        self.missing = NoBearer("Nobody is signed in.", state_code="signed_out", remedy="Run sidekey login.")
        self.refusals: list[Bearer] = []
        self.acceptances: list[Bearer] = []
        self.kinds: list[str] = []
        self.in_vain_told: list[tuple[Bearer, str]] = []
        self.due_renewals = 0
        self.obtained = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.due_gate = asyncio.Event()
        self.due_gate.set()

    def bearer(self) -> Bearer:
        if self.current is None:
            raise self.missing
        return self.current

    async def obtain(self) -> Bearer:
        self.obtained += 1
        await self.gate.wait()
        if self.current is None:
            raise self.missing
        return self.current

    async def renew_due(self) -> None:
        self.due_renewals += 1
        await self.due_gate.wait()

    async def refused(self, bearer: Bearer, kind: str) -> Bearer | None:
        self.refusals.append(bearer)
        self.kinds.append(kind)
        await self.gate.wait()
        later = [other for other in self.all if other.generation > bearer.generation]
        if not later:
            return None
        self.current = later[0]
        return later[0]

    def accepted(self, bearer: Bearer) -> None:
        self.acceptances.append(bearer)

    def in_vain(self, bearer: Bearer, kind: str) -> None:
        self.in_vain_told.append((bearer, kind))


class Stack:
    """The data path: a listener, ``forward``, and a pool of connections to a hand-made origin."""

    def __init__(self, bearers: MemoryBearers, rules: GuardRules) -> None:
        self.bearers = bearers
        self.rules = rules
        self.origin = Origin()
        self.records: asyncio.Queue[RequestRecord] = asyncio.Queue()
        self.exchanges: list[Exchange] = []
        self.port = 0
        self.pool: PooledUpstream
        self.forward: Forward
        self.listener: Listener
        self._stack = contextlib.AsyncExitStack()
        self._server: asyncio.Server

    async def start(
        self,
        *,
        upstream: dict[str, Any],
        listener: dict[str, Any],
        forward: dict[str, Any],
        base: str | None = None,
    ) -> None:
        await self._stack.enter_async_context(self.origin.serving())
        where = parse_base(base or f"http://127.0.0.1:{self.origin.port}")
        self.pool = PooledUpstream(UpstreamSettings(base=where, **upstream))
        self.forward = Forward(
            self.bearers, self.pool, self.records.put_nowait, **{"may_carry": lambda _: True, **forward}
        )
        self.listener = Listener(self._handle, ListenerSettings(**listener))
        self._server = await asyncio.get_running_loop().create_server(self.listener, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _handle(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        await self.forward.handle(exchange, self.rules)

    async def client(self) -> Wire:
        """Connect one more client."""
        wire = Wire(*await asyncio.open_connection("127.0.0.1", self.port))
        self._stack.callback(wire.abort)
        return wire

    async def request(self, data: bytes) -> Wire:
        """Connect one more client, which sends these bytes."""
        wire = await self.client()
        await wire.send(data)
        return wire

    def head(self, method: str = "GET", path: str = "/v1/models", *fields: str) -> bytes:
        """Return a request's head with the client key."""
        lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {CLIENT_KEY}"]
        lines += fields
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"

    async def record(self) -> RequestRecord:
        async with asyncio.timeout(PATIENCE):
            return await self.records.get()

    def stop_listening(self) -> None:
        self._server.close()

    async def stop(self) -> None:
        self._server.close()
        await self._stack.aclose()
        await self.listener.drain(0)
        await self.pool.close()


@contextlib.asynccontextmanager
async def data_path(
    *bearers: str,
    upstream: dict[str, Any] | None = None,
    listener: dict[str, Any] | None = None,
    forward: dict[str, Any] | None = None,
    rules: GuardRules | None = None,
    base: str | None = None,
) -> AsyncIterator[Stack]:
    """Yield a running data path; the arguments are settings of its parts."""
    keys = MemoryBearers(*(bearers or ("sk-upstream-key-number-one",)))
    chosen = rules or GuardRules(client_keys=(Secret(CLIENT_KEY),))
    stack = Stack(keys, chosen)
    await stack.start(upstream=upstream or {}, listener=listener or {}, forward=forward or {}, base=base)
    try:
        yield stack
    finally:
        await stack.stop()


def answer(body: bytes = b"{}", *fields: str, status: str = "200 OK") -> bytes:
    """Return an answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is so, letting others work meanwhile."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - it looks into objects that announce nothing
            await asyncio.sleep(0.001)
