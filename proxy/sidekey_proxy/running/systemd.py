"""What systemd hands to a service, and what it is told: sd_listen_fds(3) and sd_notify(3)."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import time
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Final

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.hosts import parse_host
from sidekey_proxy.addresses import Address, ListenAddress, UnixAddress
from sidekey_proxy.listener.endpoint import Bound
from sidekey_proxy.listener.plan import Role

_FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_REMEDY: Final = "See the example units in docs/serving.md."
ADMIN: Final = "admin"
HTTPS: Final = "https"


def handed_over(environ: Mapping[str, str], pid: int) -> tuple[tuple[int, str], ...]:
    """Return the descriptors that are meant for this process, each with its name. Pure.

    Args:
        environ: the environment.
        pid: of this process.

    Raises:
        ConfigurationError: the variables cannot be understood.
    """
    if environ.get("LISTEN_PID") != str(pid):
        return ()
    count = environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit()):
        raise ConfigurationError("LISTEN_FDS is not a number", remedy=_REMEDY)
    names = environ["LISTEN_FDNAMES"].split(":") if environ.get("LISTEN_FDNAMES") else []
    numbers = range(_FIRST, _FIRST + int(count))
    if names and len(names) != len(numbers):
        raise ConfigurationError("LISTEN_FDNAMES does not fit LISTEN_FDS", remedy=_REMEDY)
    return tuple(zip(numbers, names or [""] * len(numbers), strict=True))


def given_sockets(environ: MutableMapping[str, str]) -> list[tuple[Role, Bound]]:
    """Return the sockets that systemd listens on for this process; the variables are removed.

    One that is called ``admin`` (``FileDescriptorName=``) is for probes, one that is called ``https`` for
    clients that speak TLS, and all others for clients.

    Raises:
        ConfigurationError: they are not listening stream sockets.
    """
    try:
        descriptors = handed_over(environ, os.getpid())
    finally:
        for name in _VARIABLES:
            environ.pop(name, None)
    return [("admin" if name == ADMIN else "clients", _given(number, name)) for number, name in descriptors]


def _given(number: int, name: str) -> Bound:
    try:
        os.set_inheritable(number, False)
        listening = socket.socket(fileno=number)
    except OSError as error:
        raise ConfigurationError(
            f"descriptor {number} ({name}) is no socket: {error.strerror}", remedy=_REMEDY
        ) from None
    listening.setblocking(False)
    if listening.type != socket.SOCK_STREAM or not listening.getsockopt(
        socket.SOL_SOCKET, socket.SO_ACCEPTCONN
    ):
        raise ConfigurationError(f"descriptor {number} ({name}) does not listen", remedy=_REMEDY)
    return Bound(_address(listening, name), listening, given=True)


def _address(listening: socket.socket, name: str) -> ListenAddress:
    there = listening.getsockname()
    if listening.family in {socket.AF_INET, socket.AF_INET6}:
        return Address(parse_host(there[0]), there[1], tls=name == HTTPS)
    if isinstance(there, str) and there.startswith("/"):
        with contextlib.suppress(OSError):
            return UnixAddress(there, stat.S_IMODE(Path(there).stat().st_mode))
    raise ConfigurationError(
        f"the socket {name or 'from systemd'} is neither a port nor a Unix socket's file", remedy=_REMEDY
    )


class Notifier:
    """Tells systemd how the service stands; where nobody asked for it, nothing happens.

    Args:
        environ: ``NOTIFY_SOCKET`` is taken out of it.
    """

    def __init__(self, environ: MutableMapping[str, str]) -> None:
        self._address = environ.pop("NOTIFY_SOCKET", "")

    def ready(self) -> None:
        """Tell that it serves, also after a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Tell that it reads its configuration again."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Tell that it drains and ends."""
        self._tell("STOPPING=1")

    def _tell(self, state: str) -> None:
        if not self._address:
            return
        where = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.sendto(state.encode(), where)
