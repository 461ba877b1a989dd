"""The log of this package: the standard library's, so that a program decides what becomes of it."""

from __future__ import annotations

import structlog


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger."""
    return structlog.get_logger(name)  # type: ignore[no-any-return]
