"""Listen addresses: what a person may write for one, and which of them only this machine can reach. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from sidekey_auth.hosts import ip_address, is_loopback_host, parse_host

LOOPBACK_HOST: Final = "127.0.0.1"
_HIGHEST_PORT: Final = 65535
_TLS: Final = "https://"
_UNIX: Final = "unix:"
_HIGHEST_MODE: Final = 0o777
_FOR_THE_OTHERS: Final = 0o077
_LONGEST_SOCKET_PATH: Final = 100
"""Bytes: systems allow from 103, and a name that the socket has for a moment must fit, too."""


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP port that a listener listens on.

    Attributes:
        host: an IP address or a name, in lower case, without brackets.
        port: 1 to 65535, or 0 for any free port.
        tls: clients speak TLS there.
    """

    host: str
    port: int
    tls: bool = False

    def __str__(self) -> str:
        return (_TLS if self.tls else "") + self.place

    @property
    def place(self) -> str:
        """What it occupies, however it is served."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return is_loopback_host(self.host)

    @property
    def is_wildcard(self) -> bool:
        """Whether it stands for every address of this machine."""
        ip = ip_address(self.host)
        return ip is not None and ip.is_unspecified

    @property
    def is_private(self) -> bool:
        """Whether a client key may be done without: a person's own programs are the only ones there."""
        return self.is_loopback

    @property
    def is_clear_text(self) -> bool:
        """Whether client keys travel over a network as they are."""
        return not self.is_loopback and not self.tls


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A Unix socket that a listener listens on.

    Attributes:
        path: of its file, absolute.
        mode: the file's permissions.
    """

    path: str
    mode: int = 0o600

    def __str__(self) -> str:
        return self.place + ("" if self.mode == UnixAddress(self.path).mode else f"?mode={self.mode:04o}")

    @property
    def place(self) -> str:
        """What it occupies, whoever may use it."""
        return _UNIX + self.path

    @property
    def tls(self) -> bool:
        """Clients never speak TLS there."""
        return False

    @property
    def is_private(self) -> bool:
        """Whether a client key may be done without: no other user can connect."""
        return not self.mode & _FOR_THE_OTHERS

    @property
    def is_clear_text(self) -> bool:
        """Whether client keys travel over a network as they are: they never leave the machine."""
        return False


ListenAddress = Address | UnixAddress
"""Where a listener listens."""


def parse_listen(text: str) -> ListenAddress:
    """Return the address that an entry of ``listen`` or ``admin_listen`` names.

    It is ``HOST:PORT``, ``https://HOST:PORT``, or ``unix:PATH``, with ``?mode=0660`` behind it where others
    than this user may connect.

    Raises:
        ValueError: it names none.
    """
    text = text.strip()
    if text.startswith(_UNIX):
        return _parse_unix(text.removeprefix(_UNIX))
    if text.startswith(_TLS):
        address = parse_address(text.removeprefix(_TLS))
        return Address(address.host, address.port, tls=True)
    return parse_address(text)


def _parse_unix(text: str) -> UnixAddress:
    path, asked, query = text.partition("?")
    if not path.startswith("/") or path.endswith("/"):
        raise ValueError("a socket's path begins with / and ends with a file's name")
    if not path.isprintable():
        raise ValueError("the path holds a character that does not print")
    if len(path.encode()) > _LONGEST_SOCKET_PATH:
        raise ValueError(f"a socket's path is at most {_LONGEST_SOCKET_PATH} bytes long")
    if not asked:
        return UnixAddress(path)
    try:
        [(name, mode)] = parse_qsl(query, strict_parsing=True)
        if name != "mode" or not re.fullmatch(r"0?[0-7]{3}", mode):
            raise ValueError
    except ValueError:
        raise ValueError("behind the path only ?mode=0660 may stand, with permissions in octal") from None
    return UnixAddress(path, int(mode, 8) & _HIGHEST_MODE)


def parse_address(text: str) -> Address:
    """Return the address that ``HOST:PORT``, ``[::1]:PORT`` or a port alone (then on loopback) names.

    Raises:
        ValueError: it names none.
    """
    text = text.strip()
    if text.isascii() and text.isdigit():
        return Address(LOOPBACK_HOST, parse_port(text))
    host, colon, port = text.rpartition(":")
    if not colon:
        raise ValueError("the port is missing")
    return Address(_host(host), parse_port(port))


def parse_port(text: str) -> int:
    """Return the TCP port that a text names; 0 stands for any free one.

    Raises:
        ValueError: it is not a number from 0 to 65535.
    """
    if not (text.isascii() and text.isdigit() and int(text) <= _HIGHEST_PORT):
        raise ValueError("the port is not a number from 0 to 65535")
    return int(text)


def base_url(listener: Address, hosts: Sequence[str] = ()) -> str:
    """Return the ``OPENAI_BASE_URL`` of a listener, seen from this machine.

    Args:
        listener: where it listens.
        hosts: names that sidekey is known by. With TLS the first one stands for every address of this
            machine, since it is the one that a certificate names.
    """
    host = listener.host
    if listener.is_wildcard:
        host = "::1" if ":" in host else LOOPBACK_HOST
        host = hosts[0] if listener.tls and hosts else host
    place = Address(host, listener.port).place
    return f"{'https' if listener.tls else 'http'}://{place}/v1"


def nearest(listeners: Iterable[ListenAddress]) -> Address | None:
    """Return the listener whose base URL suits programs on this machine best, or None.

    A Unix socket has no base URL. On loopback no certificate is in the way.
    """
    ports = [each for each in listeners if isinstance(each, Address)]
    plain = [each for each in ports if not each.tls and (each.is_loopback or each.is_wildcard)]
    return next(iter([*plain, *ports]), None)


def reachable_by_others(addresses: Iterable[ListenAddress]) -> tuple[ListenAddress, ...]:
    """Return those listen addresses that others may reach: a client key is demanded there."""
    return tuple(address for address in addresses if not address.is_private)


def _host(text: str) -> str:
    if ":" in text and not text.startswith("["):
        raise ValueError("an IPv6 address stands in brackets, such as [::1]:8484")
    return parse_host(text)
