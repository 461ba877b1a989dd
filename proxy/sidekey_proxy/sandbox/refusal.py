"""A no of the sandbox, in the shape in which OpenAI says it. Pure."""

from __future__ import annotations

import json
from typing import Final

_API_ERRORS: Final[dict[int, tuple[str, str | None]]] = {
    400: ("invalid_request_error", None),
    401: ("invalid_request_error", "invalid_api_key"),
    403: ("invalid_request_error", None),
    404: ("invalid_request_error", None),
    429: ("requests", "rate_limit_exceeded"),
}


class Refusal(Exception):
    """A request is answered with an error.

    Args:
        status: the HTTP status.
        code: for programs, or None.
        message: for people.
        kind: the error's ``type``; the usual one of the status where None.
        oauth: use the shape of RFC 6749 section 5.2 instead of the API's.
        parameter: which of the request's parameters is to blame, or None.
    """

    def __init__(
        self,
        status: int,
        code: str | None,
        message: str,
        *,
        kind: str | None = None,
        oauth: bool = False,
        parameter: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.kind = kind or _API_ERRORS.get(status, ("server_error", None))[0]
        self.oauth = oauth
        self.parameter = parameter

    def body(self) -> bytes:
        """Return the JSON that goes on the wire."""
        if self.oauth:
            return json.dumps({"error": self.code, "error_description": self.message}).encode()
        error = {"message": self.message, "type": self.kind, "param": self.parameter, "code": self.code}
        return json.dumps({"error": error}, indent=2).encode()


def usual_code(status: int) -> str | None:
    """Return the error code that the API usually gives with a status."""
    return _API_ERRORS.get(status, ("", None))[1]
