"""The command line: a module per group of commands, no logic of its own."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command that the command line names."""
    from sidekey_proxy.running.hardening import protect  # noqa: PLC0415 - as below

    protect()
    from .app import build  # noqa: PLC0415 - whoever imports one module of the package need not load them all

    build(sys.argv[1] if len(sys.argv) > 1 else None)(prog_name="sidekey")
