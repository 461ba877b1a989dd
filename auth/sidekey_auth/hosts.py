"""Hosts: names and IP addresses, and which of them are this machine. Pure."""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}\.?\Z){_LABEL}(?:\.{_LABEL})*\.?", re.IGNORECASE)


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


def _looks_numeric(text: str) -> bool:
    """Tell whether inet_aton would read it as an IPv4 address in an odd spelling (127.1, 0x7f.1)."""
    last = text.rstrip(".").rpartition(".")[2].lower()
    return last.isdigit() or bool(re.fullmatch(r"0x[0-9a-f]*", last))
