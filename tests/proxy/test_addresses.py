"""What a person may write for a listen address, and which of them stay on this machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.hosts import parse_host
from sidekey_proxy.addresses import (
    Address,
    UnixAddress,
    base_url,
    nearest,
    parse_address,
    parse_listen,
    reachable_by_others,
)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8484", "127.0.0.1", 8484),
        ("8484", "127.0.0.1", 8484),
        (" 8484 ", "127.0.0.1", 8484),
        ("[::1]:8484", "::1", 8484),
        ("[0:0:0:0:0:0:0:1]:8484", "::1", 8484),
        ("LOCALHOST:0", "localhost", 0),
        ("0.0.0.0:65535", "0.0.0.0", 65535),
        ("[::]:80", "::", 80),
        ("dev-box.example.:80", "dev-box.example.", 80),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1", 80),
    ],
)
def test_an_address_is_read_in_each_of_its_spellings(text: str, host: str, port: int) -> None:
    assert parse_address(text) == Address(host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        ":8484",
        "localhost",
        "localhost:",
        "localhost:http",
        "localhost:-1",
        "localhost:65536",
        "65536",
        "localhost:٨",
        "::1:8484",
        "[::1]",
        "[::1:8484",
        "[localhost]:80",
        "[127.0.0.1:80",
        "127.1:80",
        "1.2.3.256:80",
        "0x7f.1:80",
        "a b:80",
        "user@host:80",
        "http://localhost:80",
        "unix:/run/sidekey.sock",
        "-a-:80",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port|brackets"):
        parse_address(text)


@given(st.ip_addresses(), st.integers(min_value=0, max_value=65535))
def test_an_address_reads_back_as_it_was_written(ip: object, port: int) -> None:
    address = parse_address(str(Address(parse_host(str(ip)), port)))

    assert parse_address(str(address)) == address
    assert address.port == port


@given(st.text())
def test_no_text_makes_the_parser_fail_in_another_way(text: str) -> None:
    try:
        parse_address(text)
    except ValueError:
        return


def test_addresses_that_others_can_reach_are_told_apart() -> None:
    mine, open_to_all, named = Address("::1", 1), Address("0.0.0.0", 2), Address("dev.example", 3)

    assert reachable_by_others((mine, open_to_all, named)) == (open_to_all, named)


# --- listeners ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("8484", Address("127.0.0.1", 8484)),
        ("https://0.0.0.0:8443", Address("0.0.0.0", 8443, tls=True)),
        ("https://[::]:8443", Address("::", 8443, tls=True)),
        ("unix:/run/sidekey.sock", UnixAddress("/run/sidekey.sock")),
        ("unix:/run/sidekey.sock?mode=0660", UnixAddress("/run/sidekey.sock", 0o660)),
        ("unix:/run/sidekey.sock?mode=666", UnixAddress("/run/sidekey.sock", 0o666)),
        ("unix:/run/a b", UnixAddress("/run/a b")),
    ],
)
def test_a_listener_is_read_and_written_alike(text: str, address: Address | UnixAddress) -> None:
    assert parse_listen(text) == address
    assert parse_listen(str(address)) == address


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8484",
        "https://127.0.0.1",
        "https://127.0.0.1:8484/v1",
        "unix:",
        "unix:/",
        "unix:/run/",
        "unix:run/sidekey.sock",
        "unix:@abstract",
        "unix:/run/s?",
        "unix:/run/s?mode=",
        "unix:/run/s?mode=0680",
        "unix:/run/s?mode=0660&mode=0600",
        "unix:/run/s?mode=01777",
        "unix:/run/s?owner=me",
        "unix:/run/\n",
        "unix:/" + "x" * 100,
        "unix:/" + "ä" * 50,
    ],
)
def test_what_is_no_listener_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"host|port|brackets|path"):
        parse_listen(text)


@given(st.text().map("unix:".__add__) | st.text().map("https://".__add__))
def test_no_text_makes_the_parser_of_listeners_fail_in_another_way(text: str) -> None:
    try:
        address = parse_listen(text)
    except ValueError:
        return
    assert parse_listen(str(address)) == address


def test_a_unix_socket_of_this_user_alone_is_not_reachable_by_others_and_any_other_is() -> None:
    private, group = UnixAddress("/s"), UnixAddress("/g", 0o660)

    assert reachable_by_others((private, group)) == (group,)


def test_keys_travel_in_the_clear_on_ports_without_tls_that_others_can_reach() -> None:
    clear = [Address("0.0.0.0", 1), Address("10.0.0.1", 1), Address("dev.example", 1)]
    not_clear = [Address("127.0.0.1", 1), Address("0.0.0.0", 1, tls=True), UnixAddress("/s", 0o666)]

    assert [each.is_clear_text for each in (*clear, *not_clear)] == [True] * 3 + [False] * 3


def test_the_nearest_listener_is_a_port_of_this_machine_without_tls_if_there_is_one() -> None:
    unix, tls = UnixAddress("/s"), Address("0.0.0.0", 1, tls=True)
    outside, wild, inside = Address("10.0.0.1", 2), Address("0.0.0.0", 3), Address("::1", 4)

    assert nearest((unix, tls, outside, inside, wild)) == inside
    assert nearest((unix, tls, outside, wild)) == wild
    assert nearest((unix, tls, outside)) == tls
    assert nearest((unix,)) is None


def test_a_base_url_names_what_a_certificate_can_name() -> None:
    assert base_url(Address("0.0.0.0", 8443, tls=True), ("dev.example",)) == "https://dev.example:8443/v1"
    assert base_url(Address("0.0.0.0", 8443, tls=True)) == "https://127.0.0.1:8443/v1"
    assert base_url(Address("10.0.0.1", 8443, tls=True), ("dev.example",)) == "https://10.0.0.1:8443/v1"
    assert base_url(Address("::", 8484), ("dev.example",)) == "http://[::1]:8484/v1"
