"""QR codes made of characters say what they should, and fit."""

from __future__ import annotations

import pytest
import segno

from sidekey_proxy.cli.qr import qr_code

URL = "https://auth.openai.com/codex/device"


def matrix(text: str) -> list[list[bool]]:
    return [[bool(module) for module in row] for row in segno.make(text, error="L", boost_error=False).matrix]


def inner(modules: list[list[bool]], size: int) -> list[list[bool]]:
    """Return the code without the light zone around it, which must be light."""
    zone = (len(modules[0]) - size) // 2
    assert zone >= 1
    around = [*modules[:zone], *modules[zone + size :]]
    assert not any(any(row) for row in around)
    assert not any(any((*row[:zone], *row[zone + size :])) for row in modules)
    return [row[zone : zone + size] for row in modules[zone : zone + size]]


@pytest.mark.parametrize("columns", [80, 40, 37, 35, 31])
def test_half_blocks_draw_the_code_light_on_dark(columns: int) -> None:
    lines = qr_code(URL, "utf-8", columns=columns).splitlines()
    upper = [[character in " ▄" for character in line] for line in lines]
    lower = [[character in " ▀" for character in line] for line in lines]

    modules = [row for pair in zip(upper, lower, strict=True) for row in pair]

    assert inner(modules, len(matrix(URL))) == matrix(URL)
    assert max(map(len, lines)) <= columns


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "no-such-encoding"])
def test_where_blocks_cannot_be_spelled_ascii_does(encoding: str) -> None:
    code = qr_code(URL, encoding)
    modules = [[line[i : i + 2] == "  " for i in range(0, len(line), 2)] for line in code.splitlines()]

    assert code.isascii()
    assert inner(modules, len(matrix(URL))) == matrix(URL)
    assert max(map(len, code.splitlines())) <= 80


def test_what_does_not_fit_is_left_out() -> None:
    assert qr_code(URL, "utf-8", columns=30) == ""
    assert qr_code(URL + "x" * 200, "ascii") == ""
