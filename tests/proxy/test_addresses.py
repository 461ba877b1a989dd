"""What a person may write for a listen address, and which of them stay on this machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.addresses import Address, is_loopback_host, parse_address, parse_host, reachable_by_others


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


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.255.0.9", "::1", "localhost", "LocalHost", "localhost.", "a.localhost"]
)
def test_loopback_hosts_are_known(host: str) -> None:
    assert is_loopback_host(host)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "::", "10.0.0.1", "128.0.0.1", "::2", "localhost.example", "notlocalhost", "127.1", ""],
)
def test_no_other_host_counts_as_loopback(host: str) -> None:
    assert not is_loopback_host(host)


def test_addresses_that_others_can_reach_are_told_apart() -> None:
    mine, open_to_all, named = Address("::1", 1), Address("0.0.0.0", 2), Address("dev.example", 3)

    assert reachable_by_others((mine, open_to_all, named)) == (open_to_all, named)
