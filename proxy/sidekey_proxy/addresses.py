"""Listen addresses: what a person may write for one, and which of them only this machine can reach. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

LOOPBACK_HOST: Final = "127.0.0.1"
_HIGHEST_PORT: Final = 65535
_HOST_NAME = re.compile(r"(?=.{1,253}\.?\Z)(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\.?)+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a listener listens.

    Attributes:
        host: an IP address or a name, in lower case, without brackets.
        port: 1 to 65535, or 0 for any free port.
    """

    host: str
    port: int

    def __str__(self) -> str:
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
    def is_clear_text(self) -> bool:
        """Whether client keys travel over a network as they are."""
        return not self.is_loopback


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


def parse_host(text: str) -> str:
    """Return a host's name or IP address in lower case, IPv6 without brackets.

    Raises:
        ValueError: it is neither.
    """
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    ip = ip_address(bare)
    if ip is not None:
        return str(ip)
    if bare != text or not _HOST_NAME.fullmatch(text) or _looks_numeric(text):
        raise ValueError("the host is neither a name nor an IP address")
    return text.lower()


@lru_cache(maxsize=256)  # each request's Host is asked about
def is_loopback_host(host: str) -> bool:
    """Tell whether a host is this machine's loopback: 127.0.0.0/8, ::1, or localhost (RFC 6761 section 6.3).

    Any other name may point anywhere, and is not.
    """
    ip = ip_address(host)
    if ip is not None:
        return ip.is_loopback
    name = host.lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost")


def ip_address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the IP address that a host is, an IPv4 one inside IPv6 as itself, or None for a name."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip


def base_url(listener: Address) -> str:
    """Return the ``OPENAI_BASE_URL`` of a listener, seen from this machine."""
    if listener.is_wildcard:
        listener = Address("::1" if ":" in listener.host else LOOPBACK_HOST, listener.port)
    return f"http://{listener}/v1"


def reachable_by_others(addresses: tuple[Address, ...]) -> tuple[Address, ...]:
    """Return those listen addresses that other machines may reach: a client key is demanded there."""
    return tuple(address for address in addresses if not address.is_loopback)


def _host(text: str) -> str:
    if ":" in text and not text.startswith("["):
        raise ValueError("an IPv6 address stands in brackets, such as [::1]:8484")
    return parse_host(text)


def _looks_numeric(text: str) -> bool:
    """Tell whether inet_aton would read it as an IPv4 address in an odd spelling (127.1, 0x7f.1)."""
    last = text.rstrip(".").rpartition(".")[2].lower()
    return last.isdigit() or bool(re.fullmatch(r"0x[0-9a-f]*", last))
