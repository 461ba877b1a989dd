"""The figures as tables in Markdown. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .cpu import Cost
from .memory import Memory

_MIB = 1024 * 1024
_KIB = 1024


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = [
        _line(head, widths),
        "|" + "|".join(_rule(column, width) for column, width in enumerate(widths)) + "|",
    ]
    return "\n".join(lines + [_line(row, widths) for row in rows])


def cpu_table(unit: str, costs: Mapping[str, Cost], reference: str) -> str:
    """Return what each proxy needed for one request or event, and how that compares with the reference.

    Args:
        unit: ``request`` or ``event``.
        costs: by the proxies' names.
        reference: the proxy that the others are compared with; without it there are no ratios.
    """
    base = costs.get(reference)
    rows = [
        (
            name,
            f"{cost.each:.1f} µs",
            f"{cost.each / base.each:.2f}" if base else "-",
            f"{cost.rate:,.0f}",
            f"{cost.busy:.0%}",
        )
        for name, cost in costs.items()
    ]
    return table(("", f"CPU per {unit}", f"x {reference}", f"{unit}s/s", "core used"), rows)


def memory_table(figures: Mapping[str, Memory]) -> str:
    """Return what each proxy needed of memory."""
    head = ("", "growth, body up", "growth, body down", "per stream", "per stream, TLS", "per unread body")
    rows = [
        (
            name,
            f"{memory.up / _MIB:.1f} MiB",
            f"{memory.down / _MIB:.1f} MiB",
            f"{memory.stream / _KIB:.1f} KiB",
            "-" if memory.tls_stream is None else f"{memory.tls_stream / _KIB:.1f} KiB",
            f"{memory.unread.memory / _KIB:.0f} KiB",
        )
        for name, memory in figures.items()
    ]
    return table(head, rows)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    return (
        "| " + " | ".join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]) + " |"
    )


def _rule(column: int, width: int) -> str:
    return "-" * (width + 2) if not column else "-" * (width + 1) + ":"
