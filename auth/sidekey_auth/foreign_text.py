"""Text that others wrote, made fit to be shown: no secrets, no control characters, not endless. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from .secret import MASK, Secret

LONGEST: Final = 300
_NAMED_SECRET: Final = re.compile(
    r"""(["'](?:[\w-]*(?:token|secret|verifier|password)|api_?key|authorization_code)["']\s*:\s*["'])[^"']*""",
    re.IGNORECASE,
)
_LOOKS_SECRET: Final = re.compile(r"\bsk-[A-Za-z0-9_*-]{8,}|[A-Za-z0-9_\-.~+=]{40,}")


def shown(text: str, secrets: Iterable[Secret | None] = (), *, longest: int = LONGEST) -> str:
    """Return a foreign text as it may stand in a message, a log line or a page.

    Given secrets are masked, and so is whatever is as long as one (an issuer may echo a part of a token),
    and what JSON calls a token or secret, however short it is.

    Args:
        text: as it came.
        secrets: what was sent to whoever wrote the text.
        longest: characters that are kept.
    """
    for secret in secrets:
        if secret is not None:
            text = text.replace(secret.reveal(), MASK)
    printable = "".join(" " if _is_control(char) else char for char in text)
    line = _LOOKS_SECRET.sub(MASK, _NAMED_SECRET.sub(rf"\1{MASK}", " ".join(printable.split())))
    return line if len(line) <= longest else line[: longest - 1] + "…"


def _is_control(char: str) -> bool:
    # C*: controls, invisible and right-to-left marks, surrogates; Zl and Zp: line and paragraph ends.
    category = unicodedata.category(char)
    return category[0] == "C" or category in {"Zl", "Zp"}
