"""The command line: a module per group of commands, no logic of its own."""

from __future__ import annotations


def main() -> None:
    """Run the command that the command line names."""
    from .app import app  # noqa: PLC0415 - whoever imports one module of the package need not load them all

    app(prog_name="sidekey")
