"""What the library logs meanwhile, as plain values."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sidekey_auth.log import PARENT, Event


class _Collector(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.msg
        fields = dict(message.fields) if isinstance(message, Event) else {}
        name = message.name if isinstance(message, Event) else record.getMessage()
        self.lines.append({"event": name, "log_level": record.levelname.lower(), **fields})


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Give the lines that the library's loggers write until the block ends; nobody else gets them."""
    parent, collector = logging.getLogger(PARENT), _Collector()
    before = (parent.level, parent.propagate)
    parent.addHandler(collector)
    parent.setLevel(logging.DEBUG)
    parent.propagate = False
    try:
        yield collector.lines
    finally:
        parent.removeHandler(collector)
        parent.setLevel(before[0])
        parent.propagate = before[1]
