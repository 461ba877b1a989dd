"""What a command prints: a report for people or as JSON, a failure with its remedy.

A command's result goes to standard output; what went wrong, and what to do about it, to standard error.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, TextIO

from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from sidekey_auth.errors import Cancelled, ConfigurationError, NoBearer, SidekeyError
from sidekey_auth.redaction import redact

OK: Final = 0
FAILED: Final = 1
USAGE: Final = 2
NOT_READY: Final = 3
CANCELLED: Final = 130

_UNBOUNDED: Final = 10_000
_NARROWEST: Final = 40


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under headings.

    Attributes:
        columns: the headings.
        rows: a cell for each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result of a command, told once for people and once for programs.

    Attributes:
        sentence: what is the case now, in one sentence.
        facts: names and values below it.
        table: what has more than one row.
        notes: what else one should know, a sentence each.
        document: all of it for ``--json``: plain values, times and paths.
        exit_code: what the command ends with.
    """

    sentence: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    table: Table | None = None
    notes: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict)
    exit_code: int = OK


# --- deciding what it looks like ------------------------------------------------------------------------


def for_people(report: Report, *, width: int = _UNBOUNDED, colours: bool = False) -> str:
    """Return the report as text. Pure.

    Args:
        report: the result.
        width: columns of the terminal; lines are wrapped there.
        colours: whether ANSI sequences may be used.
    """
    target = io.StringIO()
    console = Console(
        file=target,
        width=max(width, _NARROWEST),
        force_terminal=colours,
        no_color=not colours,
        color_system="standard" if colours else None,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    if report.sentence:
        console.print(Text(printable(report.sentence), style="bold"), soft_wrap=True)
    if report.facts:
        console.print(_facts(report.facts))
    if report.table:
        console.print(_table(report.table))
    for note in report.notes:
        console.print(Text(printable(note)), soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in target.getvalue().splitlines())


def for_programs(document: Mapping[str, Any]) -> str:
    """Return a document as JSON. Pure.

    Raises:
        TypeError: it holds something that is not plain, such as a Secret.
    """
    return json.dumps(document, indent=2, default=_plain) + "\n"


def failure_for_people(error: SidekeyError, what: str = "") -> str:
    """Return ``what failed: why``, and on a line of its own what to do about it. Pure.

    Args:
        error: why.
        what: what was tried, such as ``The sign-in failed``; left out where the error says it all.
    """
    lines = [printable(line) for line in redact(str(error)).splitlines()]
    if what and len(lines) == 1:
        lines = [f"{what}: {lines[0]}"]
    elif what:
        lines = [f"{what}:" if lines else f"{what}.", *lines]
    said_already = error.remedy.rstrip(".").lower() in lines[-1].lower() if lines else False
    if error.remedy and not said_already:
        lines.append(error.remedy)
    return "".join(f"{line}\n" for line in lines)


def failure_document(error: SidekeyError, what: str = "") -> dict[str, Any]:
    """Return a failure as ``--json`` tells it. Pure."""
    told = {"code": error.code, "message": redact(str(error)), "remedy": error.remedy}
    return {"error": {"what": what, **told} if what else told}


def exit_code(error: SidekeyError) -> int:
    """Return the exit code that an error ends a command with. Pure."""
    if isinstance(error, Cancelled):
        return CANCELLED
    if isinstance(error, ConfigurationError):
        return USAGE
    return NOT_READY if isinstance(error, NoBearer) else FAILED


def printable(text: str) -> str:
    """Return the text with everything escaped that could move a terminal's cursor. Pure."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _facts(facts: Sequence[tuple[str, str]]) -> RichTable:
    grid = RichTable.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(printable(name)), Text(printable(value)))
    return grid


def _table(table: Table) -> RichTable:
    shown = RichTable(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for column in table.columns:
        shown.add_column(Text(printable(column)), overflow="fold")
    for row in table.rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    return shown


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} is not a plain value")


# --- doing it -------------------------------------------------------------------------------------------


class Output:
    """Where a command prints.

    Args:
        as_json: ``--json`` was given.
        out: for results.
        err: for what went wrong.
    """

    def __init__(self, out: TextIO, err: TextIO, *, as_json: bool = False) -> None:
        self._out = out
        self._err = err
        self.as_json = as_json

    def show(self, report: Report) -> int:
        """Print a report and return the exit code."""
        if self.as_json:
            self._print(self._out, for_programs(report.document))
        else:
            self._print(self._out, for_people(report, width=_width(self._out), colours=_colours(self._out)))
        return report.exit_code

    def fail(self, error: SidekeyError, what: str = "") -> int:
        """Print what went wrong and what to do about it, and return the exit code."""
        told = (
            for_programs(failure_document(error, what)) if self.as_json else failure_for_people(error, what)
        )
        self._print(self._err, told)
        return exit_code(error)

    def say(self, text: str) -> None:
        """Print a sentence on the way to the result, for people only."""
        self._print(self._err, printable(text) + "\n")

    def figure(self, lines: str) -> None:
        """Print lines as they are on the way to the result, such as a QR code, for people only."""
        self._print(self._err, lines)

    @property
    def encoding(self) -> str:
        """What ``say`` and ``figure`` can spell."""
        return self._err.encoding or "ascii"

    @property
    def columns(self) -> int:
        """How wide ``figure`` may be."""
        return _width(self._err)

    @staticmethod
    def _print(stream: TextIO, text: str) -> None:
        encoding = stream.encoding or "utf-8"
        # A reader that has left (`| head`) is nobody's failure.
        with contextlib.suppress(BrokenPipeError):
            stream.write(text.encode(encoding, "replace").decode(encoding))
            stream.flush()


def _width(stream: TextIO) -> int:
    try:
        return os.get_terminal_size(stream.fileno()).columns or _UNBOUNDED
    except (OSError, ValueError):
        return _UNBOUNDED


def _colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
