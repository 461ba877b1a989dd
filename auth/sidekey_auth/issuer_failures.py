"""When the issuer says no: for good, or for now. Pure.

    the answer                                                           means
    an error code of ``PERMANENT``, at any status                        permanent: IssuerRefused
    any other 401 with an OAuth error in JSON                            permanent: IssuerRefused
    all else that is not what was asked for: 429, 5xx, other 4xx,        transient: IssuerUnavailable
    redirects, bodies that cannot be read (a captive portal's, too)

Time-outs and broken connections never get here; they are transient, too (see ``outbound``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Final

from .errors import IssuerRefused, IssuerUnavailable
from .foreign_text import shown
from .secret import Secret

PERMANENT: Final = frozenset(
    {"refresh_token_expired", "refresh_token_reused", "refresh_token_invalidated", "invalid_grant"}
)
WORTH_REPEATING: Final = frozenset({408, 425, 429})
LONGEST_WISH: Final = 3600.0
LONGEST_PATIENCE: Final = 5.0
_UNAUTHORIZED: Final = 401
_SERVER_ERRORS: Final = 500
_LONGEST_CODE: Final = 80

Sent = tuple[Secret | None, ...]
"""The secrets that a request held: an issuer may echo them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer, whole.

    Attributes:
        status: the HTTP status.
        body: its bytes, as they came; tokens may be among them.
        retry_after: seconds that the issuer asks to be left alone, or None.
    """

    status: int
    body: bytes = field(repr=False)
    retry_after: float | None = None


def failure(answer: Answer, what: str, sent: Sent = ()) -> IssuerRefused | IssuerUnavailable:
    """Return the error that an answer stands for, by the table above.

    Args:
        answer: which does not hold what was asked for.
        what: what failed, for people.
        sent: the secrets of the request.
    """
    said = document_of(answer)
    code = error_code(said, sent)
    message = f"{what}: {reason(answer, sent)}"
    refused = answer.status == _UNAUTHORIZED and has_error(answer)
    if refused or code in PERMANENT:
        return IssuerRefused(message, error_code=code, status=answer.status)
    return unavailable(answer, message, code)


def worth_repeating(error: Exception) -> bool:
    """Return whether a request that may be repeated at all is worth it: transient, and not for long."""
    if not isinstance(error, IssuerUnavailable):
        return False
    if error.retry_after is not None and error.retry_after > LONGEST_PATIENCE:
        return False
    return not error.answered or (error.status is not None and is_transient(error.status))


def document_of(answer: Answer) -> Mapping[str, Any] | None:
    """Return the JSON object in an answer, or None where there is none."""
    try:
        said = json.loads(answer.body)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def error_code(said: Mapping[str, Any] | None, sent: Sent = ()) -> str | None:
    """Return the error's code in lower case: ``error.code``, ``error`` as a string, or ``code``."""
    if said is None:
        return None
    code = text_of(_object(said, "error"), "code") or text_of(said, "error") or text_of(said, "code")
    return shown(code, sent, longest=_LONGEST_CODE).lower() if code else None


def error_text(answer: Answer, sent: Sent = ()) -> str:
    """Return what an answer says about its error, fit to be shown; empty where it says nothing."""
    said = document_of(answer) or {}
    error = _object(said, "error")
    text = (
        text_of(said, "error_description")
        or text_of(error, "message")
        or text_of(said, "error")
        or text_of(error, "code")
        or answer.body.decode("utf-8", "replace")
    )
    return shown(text, sent)


def seconds_to_wait(retry_after: str | None, now: float) -> float | None:
    """Return what a Retry-After header asks for in seconds (RFC 9110 section 10.2.3), or None.

    Args:
        retry_after: the header: seconds, or a date.
        now: Unix time in seconds.
    """
    if retry_after is None:
        return None
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            date = parsedate_to_datetime(retry_after)
            seconds = date.replace(tzinfo=date.tzinfo or UTC).timestamp() - now
        except (ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WISH) if math.isfinite(seconds) else None


def reason(answer: Answer, sent: Sent) -> str:
    """Return the status and what the answer says about its error, fit to be shown."""
    text = error_text(answer, sent)
    return f"the issuer answered {answer.status}" + (f": {text}" if text else "")


def unavailable(answer: Answer, message: str, code: str | None = None) -> IssuerUnavailable:
    """Return the transient error that an answer stands for."""
    return IssuerUnavailable(
        message, answered=True, retry_after=answer.retry_after, error_code=code, status=answer.status
    )


def is_transient(status: int) -> bool:
    """Return whether the same request may fare better in a moment."""
    return status >= _SERVER_ERRORS or status in WORTH_REPEATING


def has_error(answer: Answer) -> bool:
    """Return whether an answer tells of an error in JSON, as RFC 6749 section 5.2 or the API does."""
    said = document_of(answer) or {}
    error = said.get("error")
    return (bool(error) and isinstance(error, str | dict)) or text_of(said, "code") is not None


def error_parameter(answer: Answer) -> str | None:
    """Return which parameter an error is about: ``error.param`` in the API's shape, or None."""
    return text_of(_object(document_of(answer) or {}, "error"), "param")


def _object(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def text_of(said: Mapping[str, Any], name: str) -> str | None:
    """Return a field that is a text and not empty, or None."""
    value = said.get(name)
    return value if isinstance(value, str) and value else None
