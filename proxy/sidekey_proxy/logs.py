"""The log: one line per event on standard error, coloured for people or JSON for programs, secrets masked.

Modules say ``log = structlog.get_logger("sidekey.<module>")``. What ``sidekey_auth`` and others (aiohttp,
asyncio, keyring) log through the standard library comes out as the same lines. Tracebacks hold no local
variables.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import sys
import time
import traceback
from collections.abc import Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, TextIO

import structlog

from sidekey_auth import log as library_log
from sidekey_auth.redaction import Redactor

from . import access_log
from .configuration.settings import LogFormat, LogLevel
from .record import RequestRecord

redactor: Final = Redactor()
"""Masks every line; what is secret without looking like it is told to its ``watch``."""

_LEVELS: Final[Mapping[LogLevel, int]] = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
_METHOD = re.compile(r"[A-Z][A-Z-]{0,23}")
"""Methods that are shown: no key looks like that."""
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]|[\t\n](?=\Z)")

Event = MutableMapping[str, Any]


def configure(
    *,
    level: LogLevel = "info",
    form: LogFormat = "auto",
    stream: TextIO | None = None,
    always: Mapping[str, Any] | None = None,
) -> Log:
    """Send all logging of this process to one stream, from now on; may be called again.

    Args:
        level: the least important lines that are logged.
        form: how lines look; ``auto`` is coloured on a terminal and JSON elsewhere.
        stream: where they go; standard error where it is left out.
        always: what every line says, such as ``{"sandbox": True}``.
    """
    target = stream or sys.stderr
    terminal = target.isatty()
    console = form == "console" or (form == "auto" and terminal)
    log = Log(target, _LEVELS[level], _console(colours=terminal) if console else None, always or {})
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            log.processor,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
        logger_factory=log.logger,
        cache_logger_on_first_use=False,
    )
    _route_standard_logging(log, _LEVELS[level])
    return log


def _console(*, colours: bool) -> structlog.dev.ConsoleRenderer:
    wanted = colours and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    possible = sys.platform != "win32" or importlib.util.find_spec("colorama") is not None
    return structlog.dev.ConsoleRenderer(
        colors=wanted and possible,
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )


class Log:
    """Where lines go, and how they look.

    Args:
        stream: takes the lines; one that is gone or full loses them, and nothing else happens.
        level: the least important standard level that is logged.
        console: makes lines for people; JSON is made where it is None.
        always: what every line says.
    """

    def __init__(
        self,
        stream: TextIO,
        level: int,
        console: structlog.dev.ConsoleRenderer | None,
        always: Mapping[str, Any],
    ) -> None:
        self._stream = stream
        self._level = level
        self._console = console
        self._always = dict(always)
        self._always_json = access_log.json_members(always)
        self._stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
        self._encode = json.JSONEncoder(default=str).encode

    def request(self, record: RequestRecord) -> None:
        """Write a request's line: never a body, a header or a query string."""
        level = logging.WARNING if access_log.failed(record) else logging.INFO
        if self._level > level:
            return
        if not _METHOD.fullmatch(record.method):  # a key may stand anywhere where a client makes a mistake
            record = record._replace(method="?")
        # Of the rest only the path is the client's own words: masking it all would cost more than the line.
        path = redactor.text(record.path.partition("?")[0])
        if self._console is None:
            self.write(access_log.json_line(record, path, self._always_json, time.time()))
        else:
            self.write(self._rendered(access_log.fields(record, path)))

    def uncaught(
        self,
        kind: type[BaseException],
        error: BaseException,
        trace: TracebackType | None,
    ) -> None:
        """Write the line of an exception that nobody caught: a ``sys.excepthook``."""
        self.write(self.line({"event": "uncaught", "level": "error", "exc_info": (kind, error, trace)}))

    def line(self, event: Event) -> str:
        """Return an event's line, masked; ``exc_info`` becomes its traceback."""
        _put_traceback(event)
        shown = {redactor.text(name): redactor.named(name, value) for name, value in event.items()}
        return self._rendered(shown)

    def _rendered(self, masked: Event) -> str:
        masked.update(self._always)
        self._stamp(None, "", masked)
        if self._console is None:
            return self._encode(masked)
        readable = {
            name: _readable(value, traceback_too=name == "exception")
            for name, value in masked.items()
            if value is not None
        }
        return str(self._console(None, "", readable))

    def write(self, line: str) -> None:
        """Write a line; logging never breaks what is logged."""
        try:
            if not line.isascii():
                encoding = getattr(self._stream, "encoding", None) or "utf-8"
                line = line.encode(encoding, "backslashreplace").decode(encoding)
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # cheaper than to suppress them, for every request
            pass

    def logger(self, *name: Any) -> _NamedLogger:
        """Return what structlog's loggers write to: its ``logger_factory``."""
        return _NamedLogger(self, str(name[0]) if name else None)

    @staticmethod
    def processor(logger: Any, _method: str, event: Event) -> str:
        """Return the line of structlog's event: the last of its processors."""
        if logger.name:
            event["logger"] = logger.name
        return str(logger.log.line(event))


class _NamedLogger:
    """What structlog calls with a finished line."""

    def __init__(self, log: Log, name: str | None) -> None:
        self.log = log
        self.name = name

    def msg(self, line: str) -> None:
        """Write the line."""
        self.log.write(line)

    debug = info = warning = warn = error = critical = exception = fatal = log_line = msg


def _put_traceback(event: Event) -> None:
    told = event.pop("exc_info", None)
    if isinstance(told, BaseException):
        told = (type(told), told, told.__traceback__)
    elif told is True:
        told = sys.exc_info()
    if isinstance(told, tuple) and told[1] is not None:
        event["exception"] = "".join(traceback.format_exception(*told)).rstrip()


def _readable(value: Any, *, traceback_too: bool) -> Any:
    """Return a value that cannot move the cursor of a terminal, nor begin a line of its own."""
    if not isinstance(value, str) or value.isprintable():
        return value
    text = value if traceback_too else value.replace("\n", "\\n")
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


# --- the standard library's logging ---------------------------------------------------------------------


class _StandardHandler(logging.Handler):
    """Writes the standard library's records as lines of ours."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record's line; never raises."""
        said = _said(record)
        said.update(level=record.levelname.lower(), logger=record.name)
        if record.exc_info:
            said["exc_info"] = record.exc_info
        self._log.write(self._log.line(said))


def _said(record: logging.LogRecord) -> Event:
    if isinstance(record.msg, library_log.Event):
        event = {**record.msg.fields, "event": record.msg.name}
        return structlog.contextvars.merge_contextvars(None, record.levelname.lower(), event)
    try:
        return {"event": record.getMessage()}
    except Exception:  # noqa: BLE001 - whoever logged it gave arguments that do not fit
        return {"event": str(record.msg)}


def _route_standard_logging(log: Log, level: int) -> None:
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler, _StandardHandler):
            root.removeHandler(handler)
    root.addHandler(_StandardHandler(log))
    root.setLevel(level)
    logging.captureWarnings(True)
    # There is one line per request already, and theirs would show the query.
    logging.getLogger("aiohttp.access").disabled = True
