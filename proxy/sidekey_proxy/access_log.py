"""A request's line in the log. Pure.

There is one for every request, so its JSON is put together by hand: the general way takes four times as long.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping
from json.encoder import encode_basestring_ascii as quoted
from typing import Any, Final

from .record import RequestRecord

_SERVER_ERROR: Final = 500
_NULL: Final = "null"


def failed(record: RequestRecord) -> bool:
    """Tell whether a request's line is a warning."""
    return record.ending == "cut" or (record.status or 0) >= _SERVER_ERROR


def fields(record: RequestRecord, path: str) -> dict[str, Any]:
    """Return what is said of a request, by name: never a body, a header or a query string.

    Args:
        record: the request.
        path: its path as it may be shown.
    """
    return {
        "event": "request",
        "level": "warning" if failed(record) else "info",
        "method": record.method,
        "path": path,
        "status": record.status,
        "first_byte": None if record.first_byte is None else round(record.first_byte, 6),
        "total": round(record.total, 6),
        "bytes_up": record.bytes_up,
        "bytes_down": record.bytes_down,
        "client": record.client,
        "generation": record.generation,
        "replayed": record.replayed,
        "ending": record.ending,
        "code": record.code,
    }


def json_line(record: RequestRecord, path: str, always: str, now: float) -> str:
    """Return ``fields`` as JSON, with the time.

    Args:
        record: the request.
        path: its path as it may be shown.
        always: what every line says, from ``json_members``.
        now: Unix time in seconds.
    """
    first_byte = _NULL if record.first_byte is None else f"{record.first_byte:.6f}"
    return (
        f'{{"event": "request", "level": "{"warning" if failed(record) else "info"}", '
        f'"method": {quoted(record.method)}, "path": {quoted(path)}, '
        f'"status": {_NULL if record.status is None else record.status}, '
        f'"first_byte": {first_byte}, "total": {record.total:.6f}, '
        f'"bytes_up": {record.bytes_up}, "bytes_down": {record.bytes_down}, '
        f'"client": {quoted(record.client)}, '
        f'"generation": {_NULL if record.generation is None else record.generation}, '
        f'"replayed": {_or_null(record.replayed)}, "ending": "{record.ending}", '
        f'"code": {_or_null(record.code)}, {always}"timestamp": "{timestamp(now)}"}}'
    )


def json_members(always: Mapping[str, Any]) -> str:
    """Return members of a JSON object, each with a comma behind it."""
    return "".join(f"{quoted(name)}: {json.dumps(value, default=str)}, " for name, value in always.items())


def timestamp(now: float) -> str:
    """Return a Unix time as ISO 8601 writes it, in UTC and to the microsecond."""
    second, microsecond = divmod(int(now * 1_000_000), 1_000_000)
    return f"{_second(second)}.{microsecond:06d}Z"


@functools.lru_cache(maxsize=2)
def _second(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def _or_null(text: str | None) -> str:
    return _NULL if text is None else quoted(text)
