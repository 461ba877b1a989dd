"""How the listening sockets go from the running instance to its successor (SCM_RIGHTS over a Unix socket)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import structlog

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.addresses import UnixAddress
from sidekey_proxy.listener.endpoint import Bound, bind
from sidekey_proxy.listener.plan import Role
from sidekey_proxy.listener.unix_socket import SocketFile

from . import handover
from .handover import LONGEST, MOST_SOCKETS, Offered, SocketRole, TakeOverFailed

log = structlog.get_logger("sidekey.service")

_ANSWER: Final = 30.0
"""Seconds that the running instance may take to answer: it may be in the middle of a reload."""
_START: Final = 120.0
"""Seconds that a successor may take until it serves: a keyring may ask its user."""
_ROOM: Final = 60
"""Bytes of a folder's path beside which a socket's name fits (unix(7): 108 in all, 104 on other systems)."""
_CREDENTIALS: Final = struct.Struct("3i")

Sockets = Sequence[tuple[Role, Bound]]


class Gate:
    """The socket at which a successor asks, in a folder that only this user can enter.

    Args:
        folder: leads there by a path that is short enough.
        name: the socket's.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self.address = UnixAddress(str(folder / name))
        self.bound: Bound | None = None

    def open(self) -> None:
        """Listen; sidekey runs without it where that cannot be."""
        try:
            self.bound = bind(self.address)
        except ConfigurationError as error:
            log.info("nobody can take over from this instance", reason=str(error))

    def adopt(self, lent: Bound | None) -> None:
        """Listen on the predecessor's, or on a new one where that cannot be reached any more."""
        if lent is not None and lent.is_reachable:
            self.bound = lent
        else:
            self.open()

    def pass_on(self, *, lent: bool) -> None:
        """Leave the socket's file to another process, or take it as one's own."""
        if self.bound is not None:
            self.bound = replace(self.bound, lent=lent)

    def close(self) -> None:
        """Listen no more."""
        if self.bound is not None:
            self.bound.close()


@contextlib.contextmanager
def gate(folder: Path, profile: str) -> Iterator[Gate]:
    """Yield where the instance that serves a profile is asked; it is closed when the block ends.

    Args:
        folder: where sidekey keeps its files.
        profile: whose credential is served.
    """
    name = f"serve-{profile}.sock"
    with contextlib.suppress(OSError):  # what is in the way will be told by the vault
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        if sys.platform == "linux" and len(os.fsencode(folder / name)) > _ROOM and folder.is_dir():
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, descriptor)
            folder = Path(f"/proc/self/fd/{descriptor}")
        made = Gate(folder, name)
        stack.callback(made.close)
        yield made


# --- the successor --------------------------------------------------------------------------------------


class Predecessor:
    """The running instance, which has lent its listening sockets.

    Args:
        connection: to it.
        sockets: in the order of the offer.
    """

    def __init__(self, connection: socket.socket, sockets: Sequence[tuple[SocketRole, Bound]]) -> None:
        self._connection = connection
        self._sockets = sockets

    @property
    def sockets(self) -> list[tuple[Role, Bound]]:
        """What clients and probes connect to."""
        return [(role, bound) for role, bound in self._sockets if role != "take-over"]

    @property
    def gate(self) -> Bound | None:
        """What the next successor connects to."""
        return next((bound for role, bound in self._sockets if role == "take-over"), None)

    async def serves(self, kept: Callable[[Bound], bool]) -> None:
        """Tell that this process serves now, and return when the other one accepts no more.

        Args:
            kept: tells whether a socket is served by this process.

        Raises:
            TakeOverFailed: the other one goes on after all, or has ended.
        """
        numbers = [
            number for number, (role, bound) in enumerate(self._sockets) if role == "take-over" or kept(bound)
        ]
        await asyncio.to_thread(self._tell, handover.serving(numbers))

    def _tell(self, message: bytes) -> None:
        try:
            self._connection.sendall(message)
            handover.heard_draining(_line(self._connection)[0])
        except OSError as error:
            raise TakeOverFailed(f"the running instance does not let go: {error}") from None

    def close(self) -> None:
        """Let go of the connection; without ``serves`` the running instance goes on."""
        self._connection.close()


async def find_predecessor(gate: Gate) -> Predecessor | None:
    """Return the running instance, or None where there is none.

    Raises:
        TakeOverFailed: it does not hand over.
    """
    return await asyncio.to_thread(_asked, gate)


def _asked(gate: Gate) -> Predecessor | None:
    if not hasattr(socket, "recv_fds"):
        raise TakeOverFailed("this system cannot hand sockets from one process to another")
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(_ANSWER)
        connection.connect(gate.address.path)
        _insist_on_same_user(connection)
        connection.sendall(handover.ask())
        line, descriptors = _line(connection)
        return Predecessor(connection, _sockets(gate, line, descriptors))
    except (FileNotFoundError, ConnectionRefusedError):
        connection.close()
        return None
    except OSError as error:
        connection.close()
        raise TakeOverFailed(f"the running instance does not answer: {error}") from None
    except BaseException:
        connection.close()
        raise


def _line(connection: socket.socket) -> tuple[bytes, list[int]]:
    line, descriptors = b"", list[int]()
    while not line.endswith(b"\n") and len(line) < LONGEST:
        data, more, _, _ = socket.recv_fds(connection, LONGEST, MOST_SOCKETS)
        descriptors += more
        if not data:
            break
        line += data
    return line, descriptors


def _sockets(gate: Gate, line: bytes, descriptors: list[int]) -> list[tuple[SocketRole, Bound]]:
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    try:
        offered = handover.heard_offer(line, len(descriptors))
    except BaseException:
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return [
        (each.role, _lent(gate, each, descriptor))
        for each, descriptor in zip(offered, descriptors, strict=True)
    ]


def _lent(gate: Gate, offered: Offered, descriptor: int) -> Bound:
    listening = socket.socket(fileno=descriptor)
    listening.setblocking(False)
    # The gate's path may lead through a descriptor of the other process.
    address = gate.address if offered.role == "take-over" else offered.address
    file = None
    if offered.file is not None and isinstance(address, UnixAddress):
        file = SocketFile(address.path, *offered.file)
    return Bound(address, listening, file, given=offered.given, lent=True)


# --- the running instance -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Heirloom:
    """What the running instance has to hand over.

    Attributes:
        sockets: gives what it listens on.
        let_go: accepts no more on any of them, and leaves those that are named to the successor.
    """

    sockets: Callable[[], Sockets]
    let_go: Callable[[Collection[Bound]], None]


async def handed_over(gate: Gate, heirloom: Heirloom, turn: asyncio.Lock) -> None:
    """Return when a successor serves in this instance's place; never where there is no gate.

    Args:
        gate: where it asks.
        heirloom: what it gets.
        turn: is held while one asks, so that nothing changes meanwhile.
    """
    loop = asyncio.get_running_loop()
    if gate.bound is None:
        await loop.create_future()
        return
    while True:
        connection, _ = await loop.sock_accept(gate.bound.socket)
        try:
            async with turn:
                await _hand_over(connection, gate.bound, heirloom)
            gate.pass_on(lent=True)
            return
        except (TakeOverFailed, OSError, TimeoutError) as error:
            log.warning("a take-over failed: this instance goes on", reason=str(error) or "it took too long")
            with contextlib.suppress(OSError):
                connection.send(handover.refused("it goes on: " + (str(error) or "it took too long")))
        finally:
            connection.close()


async def _hand_over(connection: socket.socket, gate: Bound, heirloom: Heirloom) -> None:
    loop = asyncio.get_running_loop()
    connection.setblocking(False)
    _insist_on_same_user(connection)
    async with asyncio.timeout(_ANSWER):
        handover.heard_ask(await _heard(connection))
    sockets = heirloom.sockets()
    offered: list[tuple[SocketRole, Bound]] = [*sockets, ("take-over", gate)]
    message = handover.offer([_described(role, bound) for role, bound in offered])
    sent = socket.send_fds(connection, [message], [bound.socket.fileno() for _, bound in offered])
    async with asyncio.timeout(_ANSWER):
        await loop.sock_sendall(connection, message[sent:])
    log.info("another instance asks to take over")
    async with asyncio.timeout(_START):
        kept = handover.heard_serving(await _heard(connection), len(offered))
    heirloom.let_go([bound for number, (_, bound) in enumerate(sockets) if number in kept])
    log.info("another instance has taken over")
    with contextlib.suppress(OSError):
        connection.send(handover.draining())


async def _heard(connection: socket.socket) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < LONGEST:
        data = await asyncio.get_running_loop().sock_recv(connection, LONGEST)
        if not data:
            break
        line += data
    return line


def _described(role: SocketRole, bound: Bound) -> Offered:
    file = (bound.file.device, bound.file.number) if bound.file is not None else None
    address = UnixAddress("/gate") if role == "take-over" else bound.wanted
    return Offered(role, address, file, bound.given)


def _insist_on_same_user(connection: socket.socket) -> None:
    """Refuse another user's process; where the system does not tell, the socket's mode must do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _, user, _ = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    if user != os.getuid():
        raise TakeOverFailed("the other side is another user's process")
