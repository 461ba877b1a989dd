"""What a head settles for its connection."""

from __future__ import annotations

import pytest

from sidekey_proxy.message.exchange import Fields
from sidekey_proxy.message.framing import BadFraming, Framing
from sidekey_proxy.message.request_head import BadHead, Head
from sidekey_proxy.message.request_terms import Terms, terms_of


def terms(*pairs: tuple[bytes, bytes], version: str = "1.1", limit: int = 0) -> Terms:
    return terms_of(Head("POST", "/v1/x", version, Fields(pairs)), limit)


def test_a_request_without_any_word_about_it_has_no_body_and_keeps_its_connection() -> None:
    assert terms() == Terms(Framing.NONE, 0, keep_alive=True, websocket=False, expects_continue=False)
    assert not terms().has_body


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", b"", True),
        ("1.1", b"close", False),
        ("1.1", b"X, Close", False),
        ("1.1", b"keep-alive", True),
        ("1.0", b"", False),
        ("1.0", b"Keep-Alive", True),
        ("1.0", b"close", False),
    ],
)
def test_a_connection_is_kept_as_its_version_and_its_client_say(
    version: str, connection: bytes, kept: bool
) -> None:
    pairs = [(b"Connection", connection)] if connection else []
    assert terms(*pairs, version=version).keep_alive is kept


def test_all_connection_headers_count() -> None:
    assert not terms((b"Connection", b"keep-alive"), (b"connection", b"close")).keep_alive


@pytest.mark.parametrize(
    ("pairs", "has_body"),
    [
        (((b"Content-Length", b"0"),), False),
        (((b"Content-Length", b"1"),), True),
        (((b"Transfer-Encoding", b"chunked"),), True),
    ],
)
def test_an_empty_body_is_none(pairs: tuple[tuple[bytes, bytes], ...], has_body: bool) -> None:
    assert terms(*pairs).has_body is has_body


def test_an_announced_body_over_the_limit_is_refused_before_it_comes() -> None:
    assert terms((b"Content-Length", b"10"), limit=10).length == 10
    with pytest.raises(BadFraming) as refused:
        terms((b"Content-Length", b"11"), limit=10)
    assert refused.value.status == 413


UPGRADE = (b"Connection", b"keep-alive, Upgrade"), (b"Upgrade", b"WebSocket")


def test_only_a_1_1_request_without_a_body_can_switch_to_websocket() -> None:
    assert terms(*UPGRADE).websocket
    assert not terms(*UPGRADE, version="1.0").websocket
    assert not terms(*UPGRADE, (b"Content-Length", b"1")).websocket
    assert not terms(UPGRADE[1]).websocket
    assert not terms(UPGRADE[0]).websocket
    assert not terms(UPGRADE[0], (b"Upgrade", b"h2c")).websocket


def test_a_client_may_wait_for_a_100_and_for_nothing_else() -> None:
    assert terms((b"Expect", b"100-Continue")).expects_continue
    assert not terms((b"Expect", b"100-continue"), version="1.0").expects_continue
    with pytest.raises(BadHead) as refused:
        terms((b"Expect", b"100-continue"), (b"Expect", b"wonders"))
    assert refused.value.status == 417
