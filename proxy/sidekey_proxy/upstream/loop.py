"""Whether an upstream is sidekey itself. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sidekey_auth.hosts import ip_address, is_loopback_host
from sidekey_auth.upstream import Origin
from sidekey_proxy.addresses import Address


def loop_problem(
    origin: Origin,
    listeners: Iterable[Address],
    *,
    own_names: Collection[str] = (),
) -> str | None:
    """Say that an upstream is one of sidekey's own listeners, or return None where it is not.

    Args:
        origin: the upstream's.
        listeners: where sidekey listens, the admin listener included; port 0 is none yet.
        own_names: names and addresses that this machine is known by, such as the setting ``hosts``.
    """
    names = {name.lower().rstrip(".") for name in own_names}
    for listener in listeners:
        if listener.port == origin.port and _same_host(origin.host, listener, names):
            return f"{origin} is sidekey's own listener {listener}"
    return None


def _same_host(host: str, listener: Address, own_names: set[str]) -> bool:
    if host in own_names or _plain(host) == _plain(listener.host):
        return True
    if listener.is_wildcard:
        return is_loopback_host(host) or _is_wildcard(host)
    # A connection to the wildcard address reaches loopback, and "localhost" is any of the loopback addresses.
    either_is_a_name = ip_address(host) is None or ip_address(listener.host) is None
    reaches_loopback = is_loopback_host(host) or _is_wildcard(host)
    return listener.is_loopback and reaches_loopback and (either_is_a_name or _is_wildcard(host))


def _plain(host: str) -> str:
    ip = ip_address(host)
    return host.lower().rstrip(".") if ip is None else str(ip)


def _is_wildcard(host: str) -> bool:
    ip = ip_address(host)
    return ip is not None and ip.is_unspecified
