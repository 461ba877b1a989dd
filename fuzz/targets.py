"""All targets, by name: what is fuzzed, and the words that its language is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from . import answers, callbacks, chunks, codex_auth, handshakes, heads, requests

Target = Callable[[bytes], None]
"""Raises where something is not as it must be."""

HERE: Final = Path(__file__).parent
CORPUS: Final = HERE / "corpus"
FOUND: Final = HERE / "found"
"""Inputs that reach further than the corpus; git ignores them."""
CRASHES: Final = HERE / "crashes"
"""Inputs that break something; git ignores them."""

TARGETS: Final[Mapping[str, Target]] = MappingProxyType(
    {
        "requests": requests.fuzz,
        "answers": answers.fuzz,
        "handshakes": handshakes.fuzz,
        "heads": heads.fuzz,
        "chunks": chunks.fuzz,
        "codex_auth": codex_auth.fuzz,
        "callbacks": callbacks.fuzz,
    }
)
