"""QR codes made of characters, for a terminal. Pure."""

from __future__ import annotations

from typing import Final

import segno

_QUIET_ZONES: Final = (4, 3, 2, 1)
"""Light modules around the code: four are right, fewer do for a narrow terminal."""
_HALF_BLOCKS: Final = {(True, True): " ", (True, False): "▄", (False, True): "▀", (False, False): "█"}


def qr_code(text: str, encoding: str, *, columns: int = 80) -> str:
    """Return a QR code for a dark terminal (ISO/IEC 18004), or nothing where it does not fit.

    Args:
        text: what it says.
        encoding: the terminal's; without block characters in it, ``#`` does.
        columns: the terminal's width.
    """
    code = segno.make(text, error="L", micro=False, boost_error=False)
    blocks = _can_encode("".join(_HALF_BLOCKS.values()), encoding)
    for zone in _QUIET_ZONES:
        modules = [[bool(module) for module in row] for row in code.matrix_iter(border=zone)]
        if len(modules) * (1 if blocks else 2) <= columns:
            lines = _in_half_blocks(modules) if blocks else _in_ascii(modules)
            return "".join(f"{line}\n" for line in lines)
    return ""


def _in_half_blocks(modules: list[list[bool]]) -> list[str]:
    light = [False] * len(modules)
    lower = [*modules[1::2], light]
    return [
        "".join(_HALF_BLOCKS[pair] for pair in zip(top, bottom, strict=True))
        for top, bottom in zip(modules[::2], lower, strict=False)
    ]


def _in_ascii(modules: list[list[bool]]) -> list[str]:
    return ["".join("  " if dark else "##" for dark in row) for row in modules]


def _can_encode(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True
