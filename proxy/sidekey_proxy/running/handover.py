"""What two instances say to each other when one takes over from the other. Pure.

Each message is one line of JSON that names its kind and the protocol's version:

    successor    ask
    running one  offer     each listening socket: role, address, file; its descriptor travels with the message
    successor    serving   which of them it has kept; it accepts on them already
    running one  draining  it accepts no more

Either side may say ``refused`` instead, or close the connection: then the running one goes on as before.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidekey_auth.errors import SidekeyError
from sidekey_proxy.addresses import ListenAddress, parse_listen
from sidekey_proxy.listener.plan import Role

VERSION: Final = 1
LONGEST: Final = 64 * 1024
"""Bytes of one message."""
MOST_SOCKETS: Final = 128
"""In one message: the system allows 253."""

Kind = Literal["ask", "offer", "serving", "draining"]
SocketRole = Role | Literal["take-over"]
_ROLES: Final = ("clients", "admin", "take-over")
_REFUSED: Final = "refused"
_END: Final = b"\n"


class TakeOverFailed(SidekeyError):
    """The listening sockets of the running instance could not be had; it goes on."""

    code = "take_over_failed"
    remedy = "Stop the running instance and start again."


@dataclass(frozen=True, slots=True)
class Offered:
    """One listening socket, described.

    Attributes:
        role: whom it is for; ``take-over`` is the one that the next successor asks at.
        address: what was asked for when it was bound; port 0 stays 0.
        file: device and number of a Unix socket's file that sidekey has made.
        given: systemd made it.
    """

    role: SocketRole
    address: ListenAddress
    file: tuple[int, int] | None = None
    given: bool = False


def ask() -> bytes:
    """Return a successor's first message."""
    return _line("ask")


def heard_ask(line: bytes) -> None:
    """Read a successor's first message.

    Raises:
        TakeOverFailed: it is none of this version.
    """
    _fields(line, "ask")


def offer(sockets: Sequence[Offered]) -> bytes:
    """Return the message that the descriptors of these sockets travel with, in this order.

    Raises:
        TakeOverFailed: they are too many.
    """
    if len(sockets) > MOST_SOCKETS:
        raise TakeOverFailed(f"more than {MOST_SOCKETS} listening sockets cannot be handed over at once")
    told = [
        {"role": each.role, "address": str(each.address), "file": each.file, "given": each.given}
        for each in sockets
    ]
    return _line("offer", sockets=told)


def heard_offer(line: bytes, count: int) -> tuple[Offered, ...]:
    """Read an offer.

    Args:
        line: the message.
        count: how many descriptors came with it.

    Raises:
        TakeOverFailed: it is none, or they do not fit.
    """
    try:
        sockets = tuple(_offered(each) for each in _fields(line, "offer")["sockets"])
    except (KeyError, TypeError, ValueError):
        raise TakeOverFailed("the running instance describes its sockets in an unknown way") from None
    if len(sockets) != count:
        raise TakeOverFailed(f"the running instance offers {len(sockets)} sockets, and {count} came")
    return sockets


def serving(kept: Collection[int]) -> bytes:
    """Return the message that a successor serves, and on which of the offered sockets, by their order."""
    return _line("serving", kept=sorted(kept))


def heard_serving(line: bytes, count: int) -> frozenset[int]:
    """Read which of the offered sockets a successor has kept.

    Args:
        line: the message.
        count: how many were offered.

    Raises:
        TakeOverFailed: it does not serve, or names others.
    """
    kept = _fields(line, "serving").get("kept")
    if not isinstance(kept, list) or not all(type(each) is int and 0 <= each < count for each in kept):
        raise TakeOverFailed("the successor names sockets that were not offered")
    return frozenset(kept)


def draining() -> bytes:
    """Return the message that the sockets are the successor's now."""
    return _line("draining")


def heard_draining(line: bytes) -> None:
    """Read that the sockets are ours now.

    Raises:
        TakeOverFailed: they are not.
    """
    _fields(line, "draining")


def refused(reason: str) -> bytes:
    """Return the message that nothing comes of it.

    Args:
        reason: one sentence for people, without any secret.
    """
    return _line(_REFUSED, reason=reason)


def _line(kind: Kind | Literal["refused"], **fields: Any) -> bytes:
    return json.dumps({"sidekey": kind, "version": VERSION, **fields}).encode() + _END


def _fields(line: bytes, kind: Kind) -> dict[str, Any]:
    if not line.endswith(_END):
        raise TakeOverFailed("the other side has closed the connection")
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or "sidekey" not in told:
        raise TakeOverFailed("the other side is no sidekey")
    if told.get("version") != VERSION:
        raise TakeOverFailed("the other side is a sidekey that hands over in another way")
    if told["sidekey"] == _REFUSED:
        raise TakeOverFailed(f"the other side refuses: {str(told.get('reason'))[:200]}")
    if told["sidekey"] != kind:
        raise TakeOverFailed("the other side says something unexpected")
    return told


def _offered(told: dict[str, Any]) -> Offered:
    file = told["file"]
    if file is not None:
        device, number = file
        if not (type(device) is int and type(number) is int):
            raise ValueError
        file = (device, number)
    if told["role"] not in _ROLES:
        raise ValueError
    return Offered(told["role"], parse_listen(str(told["address"])), file, bool(told["given"]))
