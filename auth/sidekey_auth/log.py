"""Log lines with fields, through the standard library's ``logging``.

Modules say ``log = get_logger("sidekey.<module>")`` and ``log.info("refreshed", rotated=True)``. Nothing is
shown unless the program configures logging: the loggers' parent ``sidekey`` has a handler that does nothing.
Whatever looks like a secret is masked before any handler sees it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .redaction import Redactor

PARENT: Final = "sidekey"

logging.getLogger(PARENT).addHandler(logging.NullHandler())

# A record that has one of these already refuses to be made.
_RECORDS_OWN: Final = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "event"}
_redactor: Final = Redactor()
_CALLER: Final = 3
"""Frames from ``logging`` up to whoever logs: ``_say``, ``info``, and that one."""


@dataclass(frozen=True, slots=True)
class Event:
    """The message of a record: an event and its fields, kept apart until somebody formats them.

    Attributes:
        name: what happened, always in the same words.
        fields: what more is to be said of it.
    """

    name: str
    fields: Mapping[str, object]

    def __str__(self) -> str:
        texts = {name: str(value) for name, value in self.fields.items()}
        short = [f"{name}={_readable(text)}" for name, text in texts.items() if not _has_lines(text)]
        long = [f"{name}:\n{_indented(text)}" for name, text in texts.items() if _has_lines(text)]
        return "\n".join((" ".join((self.name, *short)), *long))


class Logger:
    """Logs events with fields.

    Structured handlers find each field on the record, as if it had been given as ``extra``, and the event's
    name as ``event``.

    Args:
        name: of the standard library's logger.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: object) -> None:
        """Log what only a developer wants to know."""
        self._say(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: object) -> None:
        """Log what happens as it should."""
        self._say(logging.INFO, event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log what went wrong and may mend itself."""
        self._say(logging.WARNING, event, fields)

    def error(self, event: str, **fields: object) -> None:
        """Log what needs a person."""
        self._say(logging.ERROR, event, fields)

    def _say(self, level: int, event: str, fields: Mapping[str, object]) -> None:
        if not self._logger.isEnabledFor(level):
            return
        masked = {name: _redactor.named(name, value) for name, value in fields.items()}
        extra = {name: value for name, value in masked.items() if name not in _RECORDS_OWN}
        said = Event(_redactor.text(event), masked)
        self._logger.log(level, said, extra={**extra, "event": said.name}, stacklevel=_CALLER)


def get_logger(name: str) -> Logger:
    """Return the logger of a module.

    Args:
        name: ``sidekey.`` and the module's name.
    """
    return Logger(name)


def _has_lines(text: str) -> bool:
    return len(text.splitlines()) > 1


def _readable(text: str) -> str:
    """Return a value so that its end can be seen and no line can be forged with it."""
    plain = text and text.isprintable() and not set(text) & set(" \"'=")
    return text if plain else repr(text)


def _indented(text: str) -> str:
    lines = (line if line.isprintable() else repr(line) for line in text.splitlines())
    return "\n".join(f"    {line}" for line in lines)
