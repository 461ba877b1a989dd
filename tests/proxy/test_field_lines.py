"""Header lines: all of them or none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.field_lines import parse_fields

BEFORE, AFTER = b"GET / HTTP/1.1\r\n", b"\r\n"


def parsed(lines: bytes) -> list[tuple[bytes, bytes]] | None:
    data = BEFORE + lines + AFTER
    fields = parse_fields(data, len(BEFORE), len(data) - len(AFTER))
    return None if fields is None else list(fields)


def one_by_one(lines: bytes) -> list[tuple[bytes, bytes]] | None:
    """The same in small steps, as RFC 9112 section 5 has it."""
    if not lines.endswith(b"\r\n") and lines:
        return None
    fields = []
    for line in lines.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b":")
        token = bool(name) and all((chr(c).isalnum() and c < 128) or c in b"!#$%&'*+-.^_`|~" for c in name)
        if not colon or not token or any((c < 32 and c != 9) or c == 127 for c in value):
            return None
        fields.append((name, value.strip(b" \t")))
    return fields


def test_white_space_around_a_value_falls_and_inside_stays() -> None:
    assert parsed(b"A:1\r\nB: 2\r\nC:\t 3 \t4 \t\r\nD:\r\nE:  \r\n") == [
        (b"A", b"1"),
        (b"B", b"2"),
        (b"C", b"3 \t4"),
        (b"D", b""),
        (b"E", b""),
    ]


def test_no_line_at_all_is_no_header() -> None:
    assert parsed(b"") == []


@pytest.mark.parametrize(
    "line",
    [b"A : 1", b" A: 1", b": 1", b"A", b"A: 1\nB: 2", b"A: 1\r", b"\rA: 1", b"A: \0", b"A\xe9: 1", b""],
)
def test_one_bad_line_among_good_ones_makes_none_of_them_a_header(line: bytes) -> None:
    assert parsed(b"X: y\r\n" + line + b"\r\nZ: z\r\n") is None


@given(
    st.lists(
        st.sampled_from(
            [b"A", b"b-1", b":", b" ", b"\t", b"\r\n", b"\r", b"\n", b"\0", b"\xff", b"\x7f", b"v"]
        )
    )
)
def test_it_agrees_with_reading_them_one_by_one(pieces: list[bytes]) -> None:
    lines = b"".join(pieces) + b"\r\n"
    assert parsed(lines) == one_by_one(lines)
