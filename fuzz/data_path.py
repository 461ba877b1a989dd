"""The data path in memory: sidekey's listener, ``forward`` and pool between a client and an origin."""

from __future__ import annotations

import asyncio
import io
import itertools
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from sidekey_auth.credential import Bearer
from sidekey_auth.secret import Secret
from sidekey_auth.upstream import parse_base
from sidekey_proxy import logs
from sidekey_proxy.forward import Forward
from sidekey_proxy.guard import GuardRules
from sidekey_proxy.listener.server import Listener, ListenerSettings
from sidekey_proxy.message.exchange import Exchange
from sidekey_proxy.replay.copies import Copies
from sidekey_proxy.upstream.pool import PooledUpstream, UpstreamSettings

from . import reading
from .fault import Fault, demand
from .memory_transport import MemoryTransport

P = TypeVar("P", bound=asyncio.Protocol)

CLIENT_KEY: Final = "sk-side-planted0123456789abcdef"
BEARERS: Final = ("sk-planted-upstream-bearer-one", "sk-planted-upstream-bearer-two")
HOST: Final = b"127.0.0.1:9"
_AT_ONCE: Final = b"@"
_ASKS: Final = b"\r\nExpect: 100-continue"
_NEVER_UP: Final = frozenset(
    b"connection keep-alive proxy-connection te trailer upgrade proxy-authorization cookie x-api-key api-key "
    b"forwarded".split()
)
SWITCHING: Final = 101
_LONGER_THAN_ALL_ELSE: Final = 60.0

_log_lines: Final = io.StringIO()
_log: Final = logs.Log(_log_lines, 0, None, {})


# --- what an input says ---------------------------------------------------------------------------------


def options(data: bytes) -> tuple[int, bytes, bytes]:
    """Take the two bytes in front of the wire's: switches as bits (``@`` is none), and how to cut the rest.

    Returns:
        The switches, the second byte, and the rest.
    """
    return (data[0] & 0x3F if data else 0), data[1:2], data[2:]


def pieces(data: bytes, seed: bytes) -> Iterator[tuple[bytes, int]]:
    """Cut bytes into pieces, each with the turns of the event loop that pass before the next one.

    Args:
        data: the bytes.
        seed: says where to cut; ``@`` is nowhere.
    """
    if seed in (_AT_ONCE, b""):
        yield data, 1
        return
    chance = random.Random(seed[0])  # noqa: S311 - repeatable chance is what is wanted
    cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 8)))
    for start, stop in itertools.pairwise([0, *cuts, len(data)]):
        yield data[start:stop], chance.choice((0, 1, 1, 2, 7))


# --- around sidekey -------------------------------------------------------------------------------------


class _Bearers:
    """Two bearers: the second is had when the first is refused."""

    def __init__(self) -> None:
        self._all = [Bearer(Secret(value), number, "chatgpt") for number, value in enumerate(BEARERS, 1)]

    def bearer(self) -> Bearer:
        return self._all[0]

    async def obtain(self) -> Bearer:
        return self._all[0]

    async def renew_due(self) -> None:
        return

    async def refused(self, bearer: Bearer, kind: str) -> Bearer | None:  # noqa: ARG002 - bearers.Bearers
        await asyncio.sleep(0)
        return self._all.pop() if len(self._all) > 1 else None

    def accepted(self, bearer: Bearer) -> None:
        pass

    def in_vain(self, bearer: Bearer, kind: str) -> None:
        pass


class OriginWire:
    """Upstream's end of one connection.

    Args:
        path: what it belongs to.
        protocol: sidekey's end.

    Attributes:
        transport: sidekey's end.
    """

    def __init__(self, path: DataPath, protocol: asyncio.Protocol) -> None:
        self._path = path
        self._unread = b""
        self._heads = 0
        self.switched = False
        self.transport = MemoryTransport(protocol, self._hear, slow=path.slow)

    def _hear(self, data: bytes) -> None:
        self._unread += data
        if _ASKS in self._unread.partition(b"\r\n\r\n")[0] and not self._path.early:
            self.play(b"HTTP/1.1 100 Continue\r\n\r\n", _AT_ONCE)
        if self._path.early and b"\r\n\r\n" in self._unread and not self._heads:
            self._heads += 1
            self._path.answer(self, 0)
        while not self.switched and (one := self._whole_request()) is not None:
            self._unread = one.rest
            self._path.forwarded.append(one)
            self._path.answer(self, len(self._path.forwarded))

    def _whole_request(self) -> reading.Request | None:
        try:
            one = reading.request(self._unread) if self._unread else None
        except reading.Unreadable as error:
            raise Fault(f"what reaches upstream is no HTTP: {error}: {self._unread!r}") from None
        if one is not None:
            reading.check_with_llhttp(one)
            check_forwarded(one)
        return one

    @property
    def tunnelled(self) -> bytes:
        """What came after the request that switched protocols."""
        return self._unread

    def play(self, data: bytes, seed: bytes, *, eof: bool = False, reset: bool = False) -> None:
        """Answer with these bytes."""
        task = asyncio.get_running_loop().create_task(self._play(data, seed, eof=eof, reset=reset))
        self._path.playing.add(task)
        task.add_done_callback(asyncio.Task.result)  # what it raises is the loop's to note

    async def _play(self, data: bytes, seed: bytes, *, eof: bool, reset: bool) -> None:
        await send(self.transport, data, seed)
        if reset:
            self.transport.reset()
        elif eof:
            self.transport.feed(None)


Play = Callable[[OriginWire, int], None]
"""Answers the request with this number; 0 is before one is whole."""


@dataclass
class Client:
    """A client's end of one connection."""

    transport: MemoryTransport

    @property
    def heard(self) -> bytes:
        """All that came back."""
        return bytes(self.transport.written)

    @property
    def ended_properly(self) -> bool:
        """Whether the connection was ended by sidekey, and properly."""
        return self.transport.said_no_more or (self.transport.is_closing() and not self.transport.aborted)


class DataPath:
    """sidekey between a client and an origin; to be used as ``async with``.

    Args:
        play: what the origin answers.
        key: clients must show their key.
        slow: nobody has room for more than one write a turn.
        early: the origin answers before a request is whole, too.
        body_limit: the longest request body.

    Attributes:
        forwarded: the requests that reached the origin whole.
        wires: the origin's connections.
        playing: the origin's answers.
    """

    def __init__(
        self, play: Play, *, key: bool = True, slow: bool = False, early: bool = False, body_limit: int = 0
    ) -> None:
        self.answer = play
        self.slow = slow
        self.early = early
        self.forwarded: list[reading.Request] = []
        self.wires: list[OriginWire] = []
        self.playing: set[asyncio.Task[None]] = set()
        self._rules = GuardRules(client_keys=(Secret(CLIENT_KEY),) if key else ())
        settings = UpstreamSettings(
            base=parse_base(f"http://{HOST.decode()}/v1"),
            response_timeout=2.0,
            idle_timeout=2.0,
            keep_idle=_LONGER_THAN_ALL_ELSE / 2,
        )
        self._pool = PooledUpstream(settings, self._dial)
        self._copies = Copies()
        self._forward = Forward(
            _Bearers(), self._pool, _log.request, may_carry=lambda _: True, copies=self._copies
        )
        self._listener = Listener(
            self._handle,
            ListenerSettings(
                keep_idle=_LONGER_THAN_ALL_ELSE / 3,
                head_timeout=1.0,
                body_timeout=1.0,
                linger=0.5,
                body_limit=body_limit,
            ),
        )

    async def _handle(self, exchange: Exchange) -> None:
        await self._forward.handle(exchange, self._rules)

    async def _dial(self, protocol: Callable[[], P]) -> P:
        made = protocol()
        self.wires.append(OriginWire(self, made))
        await asyncio.sleep(0)
        return made

    def client(self) -> Client:
        """Connect a client."""
        return Client(MemoryTransport(self._listener(), slow=self.slow))

    async def __aenter__(self) -> Self:
        _log_lines.seek(0)
        _log_lines.truncate()
        logs.configure(form="json", stream=_log_lines)
        return self

    async def __aexit__(self, *what: object) -> None:
        if what[0] is None:
            await self._end()

    async def at_rest(self) -> None:
        """Let pass more time than an exchange can take, and less than idle connections are kept."""
        await asyncio.sleep(_LONGER_THAN_ALL_ELSE / 6)

    async def _end(self) -> None:
        await asyncio.sleep(_LONGER_THAN_ALL_ELSE)
        demand(not self._listener.open_exchanges, "a request is being served without end")
        demand(not self._listener.admission.connections, "a client's connection was never closed")
        demand(not self._listener.admission.requests, "a request is counted without end")
        demand(not self._copies.held, "a body's copy was never given back")
        demand(not self._pool.in_use, "a connection to upstream was never closed")
        self._copies.close()
        check_log(_log_lines.getvalue())


async def send(transport: MemoryTransport, data: bytes, seed: bytes) -> None:
    """Send bytes in pieces."""
    for piece, turns in pieces(data, seed):
        transport.feed(piece)
        for _ in range(turns):
            await asyncio.sleep(0)


# --- what must always be so -----------------------------------------------------------------------------


def check_log(lines: str) -> None:
    """Demand that no line tells of a fault of sidekey's own, nor holds a planted secret."""
    demand(
        '"level": "error"' not in lines and '"exception"' not in lines, f"the log tells of a fault: {lines}"
    )
    for secret in (CLIENT_KEY, *BEARERS):
        demand(secret not in lines, "the log holds a secret")


def check_forwarded(one: reading.Request) -> None:
    """Demand that a request's headers are such as may go up."""
    names = [name for name, _ in one.headers]
    bearers = [value for name, value in one.headers if name == b"authorization"]
    demand(bearers in ([b"Bearer " + bearer.encode()] for bearer in BEARERS), f"Authorization is {bearers}")
    demand([value for name, value in one.headers if name == b"host"] == [HOST], "the Host is another one")
    fallen = _NEVER_UP - {b"connection", b"upgrade"} if is_handshake(one) else _NEVER_UP
    demand(not fallen & set(names), f"{fallen & set(names)} went up")
    demand(not [name for name in names if name.startswith(b"x-forwarded-")], "X-Forwarded-* went up")
    framing = [name for name in names if name in (b"content-length", b"transfer-encoding")]
    demand(len(framing) <= 1, f"upstream is told the length by {framing}")
    subprotocols = b",".join(value for name, value in one.headers if name == b"sec-websocket-protocol")
    offered = [entry.strip().lower() for entry in subprotocols.split(b",")]
    demand(
        not any(entry.startswith(b"openai-insecure-api-key.") for entry in offered),
        "a key went up as a subprotocol",
    )


def is_handshake(one: reading.Request) -> bool:
    """Tell whether a request asks to switch to WebSocket."""
    fields = [(name, value) for name, value in one.headers if name in (b"connection", b"upgrade")]
    return fields == [(b"connection", b"Upgrade"), (b"upgrade", b"websocket")]


def answers(
    heard: bytes, methods: Iterable[bytes], *, ended: bool, upgrade: bool = False
) -> list[reading.Answer]:
    """Return the answers that a client got, which must all be HTTP.

    Args:
        heard: all that came back.
        methods: of its requests; a further answer is to something that was none.
        ended: the connection was ended properly.
        upgrade: a request may have asked to switch to WebSocket; a tunnel follows the last answer then.
    """
    for bearer in BEARERS:
        demand(bearer.encode() not in heard, "a client was told a bearer")
    data, found = heard, []
    for method in itertools.chain(methods, itertools.repeat(b"GET")):
        if not data:
            break
        try:
            one = reading.answer(data, method, ended=ended, upgrade=upgrade)
        except reading.Unreadable as error:
            raise Fault(f"a client was answered with what is no HTTP: {error}: {data!r}") from None
        if one is None:
            break
        demand(reading.is_strict_answer(data), f"an answer is not written as it should be: {data!r}")
        found.append(one)
        data = one.rest
        if not one.whole or one.status == SWITCHING:
            break
    return found
