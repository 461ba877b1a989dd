"""WebSocket handshakes of any bytes from both sides, and the tunnel behind them.

The client's bytes stand before a line with ``===``, upstream's behind it. Switches: 2 nobody has room, 4 no
key
is asked for.
"""

from __future__ import annotations

import re
from typing import Final

from . import reading
from .data_path import CLIENT_KEY, SWITCHING, DataPath, OriginWire, answers, is_handshake, options, send
from .fault import Fault, demand
from .virtual_loop import VirtualLoop

_SLOW, _NO_KEY = 2, 4
_BETWEEN: Final = b"\n===\n"
_SWITCHED: Final = b"HTTP/1.1 101 "
_END: Final = b"\r\n\r\n"
_SAYS_WEBSOCKET: Final = re.compile(rb"\r\nupgrade:[ \t]*websocket[ \t]*\r\n", re.IGNORECASE)
_INTERIM: Final = re.compile(rb"(?:HTTP/1\.[01] 1(?!01)[0-9]{2}(?:(?!\r\n\r\n).)*\r\n\r\n)*", re.DOTALL)


def fuzz(data: bytes) -> None:
    """Shake hands."""
    switches, seed, wire = options(data)
    asked, _, said = wire.partition(_BETWEEN)
    VirtualLoop().run(_exchange(switches, seed, asked, said))


async def _exchange(switches: int, seed: bytes, asked: bytes, said: bytes) -> None:
    def play(origin: OriginWire, number: int) -> None:
        origin.switched = is_handshake(path.forwarded[number - 1]) and _switches(said)
        origin.play(said, seed)

    async with DataPath(play, key=not switches & _NO_KEY, slow=bool(switches & _SLOW)) as path:
        client = path.client()
        await send(client.transport, asked, seed)
        await path.at_rest()
        heard = client.heard
        for wire in path.wires:
            wire.transport.feed(None)
        client.transport.feed(None)
    methods = [one.method for one in reading.requests(asked)]
    got = answers(heard, methods, ended=client.ended_properly, upgrade=True)
    if not got or got[-1].status != SWITCHING:
        return
    switched = next((wire for wire in path.wires if wire.switched), None)
    if switched is None:
        raise Fault("sidekey switched where client and upstream did not both want it")
    down = got[-1].rest
    demand(down == _behind_head(said), f"{down!r} came down of {_behind_head(said)!r}")
    demand(asked.endswith(switched.tunnelled), f"{switched.tunnelled!r} went up, which nobody sent")
    demand(CLIENT_KEY.encode() in asked or switches & _NO_KEY, "a tunnel without a client key")


def _switches(said: bytes) -> bool:
    head = said[_interim(said) :].partition(_END)[0] + b"\r\n"
    return head.startswith(_SWITCHED) and _SAYS_WEBSOCKET.search(head) is not None


def _behind_head(said: bytes) -> bytes:
    return said[_interim(said) :].partition(_END)[2]


def _interim(said: bytes) -> int:
    found = _INTERIM.match(said)
    return found.end() if found else 0
