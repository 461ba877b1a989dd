"""Which sockets a server listens on, and what of them stays when that changes. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from sidekey_proxy.addresses import Address, ListenAddress

Role = Literal["clients", "admin"]

_LOOPBACK_6: Final = "::1"


@dataclass(frozen=True, slots=True)
class Place:
    """What a listener occupies: two of the same cannot be.

    Attributes:
        role: whom it is for.
        place: port or path, however it is served.
    """

    role: Role
    place: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A listener that there is to be.

    Attributes:
        role: whom it is for.
        address: where.
        needed: it is an error if it cannot be had; else it is left out.
    """

    role: Role
    address: ListenAddress
    needed: bool = True

    @property
    def place(self) -> Place:
        """What it occupies."""
        return Place(self.role, self.address.place)


def wanted(
    listen: Iterable[ListenAddress],
    admin_listen: Iterable[ListenAddress],
    *,
    nobodys_choice: Collection[Role],
    given: Iterable[Wanted] = (),
) -> tuple[Wanted, ...]:
    """Return the listeners that there are to be.

    Args:
        listen: the setting.
        admin_listen: the setting.
        nobodys_choice: the roles whose addresses are the defaults. Sockets that were given to sidekey take
            their place; without such, ``::1`` stands beside 127.0.0.1 for clients, where there is IPv6.
        given: sockets that sidekey was started with.
    """
    there = tuple(given)
    taken = {each.role for each in there} & set(nobodys_choice)
    clients = [Wanted("clients", address) for address in listen]
    if "clients" in nobodys_choice:
        clients += [_beside(each) for each in clients]
    admin = [Wanted("admin", address) for address in admin_listen]
    return (*there, *(each for each in (*clients, *admin) if each.role not in taken))


def _beside(default: Wanted) -> Wanted:
    assert isinstance(default.address, Address)  # noqa: S101 - the default is a port
    return Wanted("clients", replace(default.address, host=_LOOPBACK_6), needed=False)


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes of listeners.

    Attributes:
        stay: those that are there already, perhaps to be served in another way.
        open: those that are not there yet.
        close: the places that nobody wants any more.
    """

    stay: tuple[Wanted, ...]
    open: tuple[Wanted, ...]
    close: tuple[Place, ...]


def change(there: Collection[Place], wanted: Iterable[Wanted]) -> Change:
    """Return how one gets from the places that are occupied to the listeners that are wanted."""
    stay: list[Wanted] = []
    to_open: list[Wanted] = []
    for each in wanted:
        (stay if each.place in there else to_open).append(each)
    staying = {each.place for each in stay}
    return Change(tuple(stay), tuple(to_open), tuple(place for place in there if place not in staying))
