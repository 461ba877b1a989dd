"""Heads of answers: what HTTP allows is taken as it stands, and nothing else is taken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.answer_head import BadAnswer, check_beginning, parse_answer_head

TOKEN = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
names = st.text(TOKEN, min_size=1, max_size=20).map(str.encode)
values = st.binary(max_size=40).map(
    lambda raw: bytes(byte for byte in raw if byte == 9 or 32 <= byte != 127).strip(b" \t")
)
spaces = st.sampled_from([b"", b" ", b"\t", b"  "])
statuses = st.integers(100, 599)


@given(statuses, values, st.lists(st.tuples(names, spaces, values, spaces), max_size=10))
def test_what_stands_there_is_what_comes_out(
    status: int, reason: bytes, fields: list[tuple[bytes, bytes, bytes, bytes]]
) -> None:
    lines = [b"HTTP/1.1 %d %b" % (status, reason)]
    lines += [name + b":" + before + value + after for name, before, value, after in fields]
    head = parse_answer_head(b"\r\n".join(lines) + b"\r\n\r\n")
    assert (head.version, head.status, head.reason.encode("latin-1")) == ("1.1", status, reason)
    assert head.headers == tuple((name, value) for name, _, value, _ in fields)


@given(st.binary(max_size=200))
def test_nothing_but_an_answer_is_taken_for_one(junk: bytes) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + junk + b"\r\n\r\n"
    if b"\r\n\r\n" in data[:-4]:
        return  # the head would have ended there
    try:
        head = parse_answer_head(data)
    except BadAnswer:
        return
    again = b"".join(name + b":" + value for name, value in head.headers)
    kept = b"".join(
        line.partition(b":")[0] + b":" + line.partition(b":")[2].strip(b" \t") for line in _lines(junk)
    )
    assert again == kept


def _lines(junk: bytes) -> list[bytes]:
    return junk.split(b"\r\n") if junk else []


@given(st.binary(max_size=60), st.integers(0, 60))
def test_a_beginning_is_refused_only_if_the_whole_is(rest: bytes, cut: int) -> None:
    data = b"HTTP/1.1 200 OK\r\n" + rest + b"\r\n\r\n"
    try:
        check_beginning(data[:cut], 0)
    except BadAnswer:
        with pytest.raises(BadAnswer):
            parse_answer_head(data)


@pytest.mark.parametrize(
    ("head", "keeps"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x, CLOSE\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nConnection: x\r\nconnection: close\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\n", False),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n", True),
    ],
)
def test_connection_says_whether_it_is_kept(head: bytes, keeps: bool) -> None:
    assert parse_answer_head(head).keeps_connection is keeps


def test_a_head_cut_anywhere_is_not_refused_before_it_is_whole() -> None:
    head = b"HTTP/1.1 200 OK\r\nX-A: b\r\n\r\n"
    for cut in range(len(head)):
        for checked in range(cut):
            check_beginning(head[:cut], checked)
