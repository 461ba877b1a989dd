"""How long a message is, and when nobody can tell."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.exchange import Headers
from sidekey_proxy.message.framing import BadFraming, Framing, answer_framing, request_framing

CHUNKED = (b"Transfer-Encoding", b"chunked")


def length(value: bytes) -> tuple[bytes, bytes]:
    return (b"Content-Length", value)


def test_a_request_without_length_has_no_body() -> None:
    assert request_framing("1.1", ()) is Framing.NONE


def test_an_answer_without_length_ends_with_its_connection() -> None:
    assert answer_framing("1.1", "GET", 200, ()) is Framing.CLOSE


@given(st.integers(min_value=0, max_value=10**18))
def test_a_number_is_a_length(number: int) -> None:
    headers = (length(b"%d" % number),)
    assert request_framing("1.0", headers) is Framing.LENGTH
    assert answer_framing("1.1", "POST", 200, headers) is Framing.LENGTH


def test_chunks_end_themselves() -> None:
    assert request_framing("1.1", (CHUNKED,)) is Framing.CHUNKS
    assert request_framing("1.1", ((b"transfer-encoding", b" CHUNKED "),)) is Framing.CHUNKS


@pytest.mark.parametrize(
    "value", [b"-1", b"+1", b"0x10", b"1 ", b"", b"1,1", b"1_0", b"9" * 20, "٣".encode()]
)
def test_an_odd_length_is_refused(value: bytes) -> None:
    with pytest.raises(BadFraming) as refused:
        request_framing("1.1", (length(value),))
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("version", "headers", "status"),
    [
        ("1.1", (CHUNKED, length(b"3")), 400),
        ("1.1", (length(b"3"), length(b"3")), 400),
        ("1.0", (CHUNKED,), 400),
        ("1.1", ((b"Transfer-Encoding", b"gzip, chunked"),), 501),
        ("1.1", ((b"Transfer-Encoding", b"xchunked"),), 501),
        ("1.1", (CHUNKED, CHUNKED), 501),
        ("2.0", (), 505),
        ("0.9", (), 505),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(
    version: str, headers: Headers, status: int
) -> None:
    with pytest.raises(BadFraming) as refused:
        request_framing(version, headers)
    assert refused.value.status == status
    with pytest.raises(BadFraming):
        answer_framing(version, "HEAD", 200, headers)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304), ("POST", 101)])
def test_some_answers_have_no_body_whatever_they_say(method: str, status: int) -> None:
    assert answer_framing("1.1", method, status, (length(b"7"),)) is Framing.NONE
