"""Request heads: what is one, and with which status everything else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.request_head import (
    BadHead,
    Head,
    HeadLimits,
    check_beginning,
    parse_head,
    without_leading_lines,
)

LIMITS = HeadLimits(line=100, whole=400, fields=5)
TOKENS = st.from_regex(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,20}", fullmatch=True)
TARGETS = st.from_regex(rb"/[\x21-\x7e\x80-\xff]{0,40}", fullmatch=True)
VALUES = st.from_regex(
    rb"(?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]{0,20}[\x21-\x7e\x80-\xff])?)?", fullmatch=True
)


def head(*fields: bytes, line: bytes = b"GET /v1/models HTTP/1.1") -> bytes:
    return b"\r\n".join((line, *fields)) + b"\r\n\r\n"


@given(
    method=TOKENS,
    target=TARGETS,
    version=st.sampled_from([b"1.0", b"1.1"]),
    fields=st.lists(st.tuples(TOKENS, VALUES), max_size=8),
    space=st.sampled_from([b"", b" ", b"\t", b"  \t "]),
)
def test_whatever_the_grammar_allows_comes_out_byte_for_byte(
    method: bytes, target: bytes, version: bytes, fields: list[tuple[bytes, bytes]], space: bytes
) -> None:
    lines = [name + b":" + space + value + space for name, value in fields]
    parsed = parse_head(head(*lines, line=method + b" " + target + b" HTTP/" + version), HeadLimits())
    assert parsed.method.encode() == method
    assert parsed.target.encode("utf-8", "surrogateescape") == target
    assert parsed.version.encode() == version
    assert list(parsed.headers) == fields


@given(
    data=st.binary(max_size=200),
    before=st.sampled_from([b"", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nA: b"]),
)
def test_whatever_comes_is_a_head_or_refused_with_a_status(data: bytes, before: bytes) -> None:
    raw = before + data + b"\r\n\r\n"
    try:
        parsed = parse_head(raw, HeadLimits())
    except BadHead as refused:
        status = refused.status
        assert status in {400, 414, 431, 505}
    else:
        fields = b"".join(b"%b%b" % pair for pair in parsed.headers)
        assert b"\r" not in fields
        assert b"\n" not in fields
        assert b"\0" not in fields


@given(data=st.binary(max_size=120), cut=st.integers(0, 120))
def test_a_beginning_is_refused_in_pieces_as_it_is_at_once(data: bytes, cut: int) -> None:
    whole = b"GET / HTTP/1.1\r\n" + data

    def refused(beginning: bytes, checked: int) -> bool:
        try:
            check_beginning(beginning, HeadLimits(), checked)
        except BadHead:
            return True
        return False

    at = min(cut, len(whole) - 1) or 1
    assert (refused(whole[:at], 0) or refused(whole, at)) == refused(whole, 0)


@pytest.mark.parametrize(
    ("raw", "status", "says"),
    [
        (head(line=b"GET /v1/models"), 400, "request line"),
        (head(line=b"GET  /v1/models HTTP/1.1"), 400, "request line"),
        (head(line=b"GET /v1/models  HTTP/1.1"), 400, "request line"),
        (head(line=b" GET /v1/models HTTP/1.1"), 400, "request line"),
        (head(line=b"GET /v1/models HTTP/1.1 "), 400, "request line"),
        (head(line=b"GET\t/v1/models\tHTTP/1.1"), 400, "request line"),
        (head(line=b"G@T /v1/models HTTP/1.1"), 400, "request line"),
        (head(line=b"GET /v1/mo dels HTTP/1.1"), 400, "request line"),
        (head(line=b"GET /v1/\0 HTTP/1.1"), 400, "request line"),
        (head(line=b"GET /v1/\r HTTP/1.1"), 400, "request line"),
        (head(line=b"GET /v1/ http/1.1"), 400, "request line"),
        (head(line=b"GET /v1/ HTTP/1.2"), 505, "HTTP/1.2"),
        (head(line=b"GET /v1/ HTTP/2.0"), 505, "HTTP/2.0"),
        (head(line=b"PRI * HTTP/2.0"), 505, "HTTP/2.0"),
        (head(line=b"GET /v1/ HTTP/2"), 505, "HTTP/2"),
        (head(line=b"GET /v1/ HTTP/0.9"), 505, "HTTP/0.9"),
        (head(line=b"GET /" + b"a" * 100 + b" HTTP/1.1"), 414, "longer than 100 bytes"),
        (head(*(b"X: " + b"a" * 90 for _ in range(5))), 431, "longer than 400 bytes"),
        (head(*(b"X: a" for _ in range(6))), 431, "more than 5"),
        (head(b"Host : localhost"), 400, "space"),
        (head(b"Host\t: localhost"), 400, "space"),
        (head(b"X: a", b" b"), 400, "folded"),
        (head(b"X: a", b"\tb"), 400, "folded"),
        (head(b" X: a"), 400, "folded"),
        (head(b": a"), 400, "a name"),
        (head(b"no colon"), 400, "a name"),
        (head(b"X: a\0b"), 400, "a name"),
        (head(b"X: a\x7fb"), 400, "a name"),
        (head(b"X: a\x01b"), 400, "a name"),
        (head(b"X\xe9: a"), 400, "a name"),
        (head(b"X: a\nY: b"), 400, "CR LF"),
        (head(b"X: a\rY: b"), 400, "CR LF"),
        (head(b"X: a\r"), 400, "CR LF"),
    ],
)
def test_what_is_no_head_is_refused(raw: bytes, status: int, says: str) -> None:
    with pytest.raises(BadHead, match=says) as refused:
        parse_head(raw, LIMITS)
    assert refused.value.status == status


def test_a_head_may_have_no_headers() -> None:
    assert parse_head(head(), LIMITS) == Head("GET", "/v1/models", "1.1", ())


@pytest.mark.parametrize(
    ("beginning", "status"),
    [
        (b"\x16\x03\x01\x02\x00", 400),
        (b"\0", 400),
        (b" GET", 400),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rb", 400),
        (b"GET /" + b"a" * 100, 414),
        (b"GET / HTTP/1.1\r\n" + b"X: aaaaaaaa\r\n" * 40, 431),
    ],
)
def test_what_cannot_become_a_head_is_refused_before_its_end(beginning: bytes, status: int) -> None:
    with pytest.raises(BadHead) as refused:
        check_beginning(beginning, LIMITS)
    assert refused.value.status == status


@pytest.mark.parametrize(
    "beginning", [b"G", b"\r", b"GET / HTTP/1.1\r", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nX"]
)
def test_what_can_become_a_head_is_waited_for(beginning: bytes) -> None:
    check_beginning(beginning, LIMITS)


def test_empty_lines_before_a_head_are_left_out() -> None:
    assert without_leading_lines(b"\r\n\r\nGET") == b"GET"
    assert without_leading_lines(b"GET\r\n") == b"GET\r\n"
    assert without_leading_lines(b"\r\n") == b""
