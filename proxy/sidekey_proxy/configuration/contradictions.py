"""Settings that do not fit together, though each is allowed by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidekey_auth.upstream import clear_text_problem, parse_base
from sidekey_proxy.addresses import Address, ListenAddress, reachable_by_others
from sidekey_proxy.upstream.loop import loop_problem

from .settings import Settings


def contradictions(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Return what does not fit together: the setting's name and the reason, for each.

    Each value is one that its kind allows.
    """
    found: list[tuple[str, str]] = []
    origin = parse_base(settings.upstream).origin
    clear_text = clear_text_problem(origin, allow_insecure=settings.allow_insecure_upstream)
    if clear_text:
        found.append(("upstream", clear_text))
    listeners = (*settings.listen, *settings.admin_listen)
    ports = [address for address in listeners if isinstance(address, Address)]
    loop = loop_problem(origin, ports, own_names=settings.hosts)
    if loop:
        found.append(("upstream", loop))
    exposed = () if settings.client_key_required else reachable_by_others(settings.listen)
    if exposed:
        found.append(("client_key_required", exposed_problem(exposed)))
    served = [address.place for address in settings.listen if not _any_port(address)]
    both = set(served) & {address.place for address in settings.admin_listen}
    if both:
        found.append(("admin_listen", f"{', '.join(sorted(both))} is where clients connect"))
    found += _repeated("listen", settings.listen) + _repeated("admin_listen", settings.admin_listen)
    if settings.tls_certificate is None:
        found += _tls_without_certificate(settings)
    return tuple(found)


def exposed_problem(exposed: Iterable[ListenAddress]) -> str:
    """Say that others can reach these listen addresses, so that a client key must be asked for."""
    where = ", ".join(map(str, exposed))
    return f"others can reach {where}: clients must show a key there"


def _repeated(name: str, addresses: Sequence[ListenAddress]) -> list[tuple[str, str]]:
    places = [address.place for address in addresses]
    twice = sorted({place for place in places if places.count(place) > 1})
    return [(name, f"{', '.join(twice)} is there twice")] if twice else []


def _tls_without_certificate(settings: Settings) -> list[tuple[str, str]]:
    reason = "there is no tls_certificate"
    found = [
        (name, f"{address} needs a certificate, and {reason}")
        for name in ("listen", "admin_listen")
        for address in getattr(settings, name)
        if address.tls
    ]
    given = [name for name in ("tls_key", "tls_client_ca") if getattr(settings, name) is not None]
    return found + [(name, reason) for name in given]


def _any_port(address: ListenAddress) -> bool:
    return isinstance(address, Address) and not address.port
