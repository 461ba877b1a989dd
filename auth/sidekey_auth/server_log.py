"""What aiohttp's servers may log: that something broke and where, never a byte of a request.

aiohttp's own lines quote what could not be read: a request line with a code and a state in it, or a header.
"""

from __future__ import annotations

import logging
import traceback

from aiohttp.http_exceptions import HttpProcessingError

from .log import get_logger

log = get_logger("sidekey.server")


def server_log(server: str) -> logging.Logger:
    """Return a logger for one of aiohttp's servers: to be given as its ``logger``.

    What a client sent that is no request is its own affair and is told at level debug. What broke in
    answering is an error; its text is left out, since it may quote the request.

    Args:
        server: which one, for people, such as ``callback``.
    """
    # One of its own, below no other: whatever a program does to its loggers, nothing passes this one by.
    logger = logging.Logger(f"sidekey.{server}")  # noqa: LOG001 - see above
    logger.addHandler(_KindsOnly(server))
    return logger


class _KindsOnly(logging.Handler):
    def __init__(self, server: str) -> None:
        super().__init__()
        self._server = server

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is None:
            # No arguments: they may be anything.
            log.debug("the server said", server=self._server, what=str(record.msg))
        elif isinstance(error, HttpProcessingError):
            log.debug("what came was no request", server=self._server, kind=type(error).__name__)
        else:
            trace = "".join(traceback.format_tb(error.__traceback__))
            log.error("answering broke off", server=self._server, kind=type(error).__name__, trace=trace)
