"""Which sockets a server listens on, and what of them stays when that changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.addresses import Address, UnixAddress
from sidekey_proxy.listener.plan import Change, Place, Wanted, change, wanted

DEFAULT = (Address("127.0.0.1", 8484),)
ADMIN = (Address("127.0.0.1", 8485),)
SYSTEMDS = Wanted("clients", UnixAddress("/run/s"))


def test_the_default_has_the_other_loopback_beside_it_where_there_is_one() -> None:
    assert wanted(DEFAULT, ADMIN, nobodys_choice={"clients", "admin"}) == (
        Wanted("clients", DEFAULT[0]),
        Wanted("clients", Address("::1", 8484), needed=False),
        Wanted("admin", ADMIN[0]),
    )


def test_what_a_person_chose_is_all_there_is() -> None:
    assert wanted(DEFAULT, (), nobodys_choice=()) == (Wanted("clients", DEFAULT[0]),)


def test_a_given_socket_takes_the_place_of_the_default_of_its_role_only() -> None:
    assert wanted(DEFAULT, ADMIN, nobodys_choice={"clients", "admin"}, given=[SYSTEMDS]) == (
        SYSTEMDS,
        Wanted("admin", ADMIN[0]),
    )


def test_a_given_socket_stands_beside_what_a_person_chose() -> None:
    assert wanted(DEFAULT, (), nobodys_choice={"admin"}, given=[SYSTEMDS]) == (
        SYSTEMDS,
        Wanted("clients", DEFAULT[0]),
    )


def test_what_is_served_in_another_way_stays() -> None:
    port = Place("clients", "127.0.0.1:8484")
    now = Wanted("clients", Address("127.0.0.1", 8484, tls=True))

    assert change([port], [now]) == Change(stay=(now,), open=(), close=())


places = st.sampled_from(
    [Wanted(role, Address("127.0.0.1", port)) for role in ("clients", "admin") for port in (1, 2)]
)  # type: ignore[arg-type]


@given(st.sets(places), st.sets(places))
def test_a_change_leads_to_what_is_wanted_and_to_nothing_else(old: set[Wanted], new: set[Wanted]) -> None:
    there = {each.place for each in old}

    found = change(there, new)

    assert {each.place for each in found.stay} == there & {each.place for each in new}
    assert there - set(found.close) | {each.place for each in found.open} == {each.place for each in new}
