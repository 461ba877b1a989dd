"""sidekey is never its own upstream."""

from __future__ import annotations

import pytest

from sidekey_auth.upstream import parse_base
from sidekey_proxy.addresses import Address, parse_address
from sidekey_proxy.upstream.loop import loop_problem


@pytest.mark.parametrize(
    ("listener", "upstream"),
    [
        ("127.0.0.1:8484", "http://127.0.0.1:8484"),
        ("127.0.0.1:8484", "https://127.0.0.1:8484"),
        ("127.0.0.1:8484", "http://localhost:8484"),
        ("127.0.0.1:8484", "http://LOCALHOST.:8484"),
        ("127.0.0.1:8484", "http://[::ffff:127.0.0.1]:8484"),
        ("127.0.0.1:8484", "http://0.0.0.0:8484"),
        ("[::1]:8484", "http://localhost:8484"),
        ("localhost:8484", "http://127.0.0.1:8484"),
        ("localhost:8484", "http://[::1]:8484"),
        ("0.0.0.0:8484", "http://127.0.0.1:8484"),
        ("0.0.0.0:8484", "http://localhost:8484"),
        ("[::]:8484", "http://127.0.0.1:8484"),
        ("10.0.0.1:8484", "http://10.0.0.1:8484"),
        ("0.0.0.0:8484", "http://proxy.example:8484"),
        ("10.0.0.1:8484", "http://Proxy.Example:8484"),
        ("127.0.0.1:80", "http://127.0.0.1"),
        ("127.0.0.1:443", "https://127.0.0.1"),
    ],
)
def test_sidekeys_own_listeners_are_no_upstream(listener: str, upstream: str) -> None:
    problem = loop_problem(
        parse_base(upstream).origin,
        [Address("::1", 1), parse_address(listener)],
        own_names=["proxy.example."],
    )

    assert problem is not None
    assert listener in problem


@pytest.mark.parametrize(
    ("listener", "upstream"),
    [
        ("127.0.0.1:8484", "http://127.0.0.1:8485"),
        ("127.0.0.1:8484", "http://127.0.0.2:8484"),
        ("127.0.0.1:8484", "http://[::1]:8484"),
        ("127.0.0.1:8484", "https://gateway.example:8484"),
        ("10.0.0.1:8484", "http://127.0.0.1:8484"),
        ("0.0.0.0:8484", "https://gateway.example:8484"),
        ("127.0.0.1:0", "http://127.0.0.1:9000"),
    ],
)
def test_another_server_is_an_upstream_even_with_the_same_port(listener: str, upstream: str) -> None:
    assert loop_problem(parse_base(upstream).origin, [parse_address(listener)]) is None
