"""Hosts as people write them, and which of them are this machine."""

from __future__ import annotations

import pytest

from sidekey_auth.hosts import is_loopback_host, parse_host


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


def test_a_long_word_that_is_no_host_is_refused_in_no_time() -> None:
    """With a backtracking expression this would take longer than anybody lives."""
    with pytest.raises(ValueError, match="neither a name nor an IP address"):
        parse_host("a" * 63 + "!")


@pytest.mark.parametrize("name", ["a" * 64, "a..b", ".a", "-a", "a-", "a.-b"])
def test_labels_are_as_long_and_made_as_dns_allows(name: str) -> None:
    with pytest.raises(ValueError, match="neither a name nor an IP address"):
        parse_host(name)
