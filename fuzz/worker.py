"""One target in one process: ``python -m fuzz.worker TARGET [libFuzzer's options] [folders]``.

atheris' loop ends its process, so that ``__main__.py`` starts one for each target.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

import atheris


def target(name: str) -> Callable[[bytes], None]:
    """Return a target with all that it calls of sidekey instrumented.

    Args:
        name: of ``targets.py``, or any function's as ``module:function``.
    """
    with atheris.instrument_imports(include=["sidekey_proxy", "sidekey_auth"]):
        from .targets import TARGETS  # noqa: PLC0415 - it imports what is to be instrumented

        module, colon, function = name.partition(":")
        if not colon:
            return TARGETS[name]
        with atheris.instrument_imports(include=[module]):
            found: Callable[[bytes], None] = getattr(importlib.import_module(module), function)
    return found


def main() -> None:
    """Fuzz until libFuzzer's options say that it is enough, or something breaks."""
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target(sys.argv[1]))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
