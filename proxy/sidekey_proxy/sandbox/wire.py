"""Reading requests and answering them, for the issuer's endpoints."""

from __future__ import annotations

import json
import struct
from asyncio import Event as Signal
from collections.abc import Mapping
from dataclasses import dataclass
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from aiohttp import web

from .events import Event, EventLog, Kind, Outcome, now, shown_fields, shown_headers
from .refusal import Refusal

NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


@dataclass(frozen=True, slots=True)
class Body:
    """A request's fields and how they were encoded: ``form``, ``json``, or empty for neither."""

    encoding: str
    fields: Mapping[str, Any]

    def text(self, name: str) -> str:
        """Return a field that must be there.

        Raises:
            Refusal: it is not, or is not a string.
        """
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise Refusal(400, "invalid_request", f"Missing required parameter: '{name}'.", oauth=True)
        return value

    def demand(self, encoding: str) -> None:
        """Insist on an encoding.

        Raises:
            Refusal: it is the other one.
        """
        if self.encoding != encoding:
            name = {"form": "application/x-www-form-urlencoded", "json": "application/json"}[encoding]
            raise Refusal(400, "invalid_request", f"This request must be {name}.", oauth=True)


async def read_body(request: web.Request) -> Body:
    """Read a form or a JSON object; anything else has no fields."""
    if request.content_type == "application/x-www-form-urlencoded":
        form = await request.post()
        return Body("form", {name: value for name, value in form.items() if isinstance(value, str)})
    if request.content_type == "application/json":
        try:
            fields = json.loads(await request.read())
        except ValueError:
            fields = None
        return Body("json", fields if isinstance(fields, dict) else {})
    return Body("", {})


class Witness:
    """Writes one event for one request.

    Args:
        log: where.
        request: which request.
    """

    def __init__(self, log: EventLog, request: web.Request) -> None:
        self._log = log
        self._request = request

    def saw(
        self,
        kind: Kind,
        *,
        body: Body | None = None,
        status: int | None = None,
        outcome: Outcome = "answered",
        error: str | None = None,
    ) -> None:
        """Record what became of the request; to be called before its answer is sent."""
        self._log.add(
            Event(
                kind=kind,
                method=self._request.method,
                target=self._request.raw_path,
                headers=shown_headers(self._request.raw_headers),
                encoding=body.encoding if body else "",
                fields=shown_fields(body.fields) if body else (),
                status=status,
                outcome=outcome,
                error=error,
                at=now(),
            )
        )


def json_answer(value: object, status: int = 200) -> web.Response:
    """Return a JSON response that nobody may store (RFC 6749 section 5.1)."""
    return web.Response(
        body=json.dumps(value).encode(), status=status, content_type="application/json", headers=NO_STORE
    )


def refusal_answer(refusal: Refusal) -> web.Response:
    """Return the response that says no."""
    return web.Response(
        body=refusal.body(), status=refusal.status, content_type="application/json", headers=NO_STORE
    )


def drop(request: web.Request, *, reset: bool = False) -> web.Response:
    """Close the connection at once; the returned response never leaves.

    Args:
        request: on whose connection.
        reset: with a TCP reset instead of a FIN.
    """
    transport = request.transport
    if transport is not None:
        socket = transport.get_extra_info("socket")
        if reset and socket is not None:
            socket.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


class Hold:
    """Where hung requests wait: until they are released, or the sandbox stops.

    Args:
        log: learns of each that begins to wait.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._signal = Signal()

    async def wait(self, request: web.Request) -> None:
        """Wait for the next release."""
        self._log.add(
            Event(kind="held", method=request.method, target=request.raw_path, outcome="hung", at=now())
        )
        await self._signal.wait()

    def release(self) -> None:
        """Let all that wait go on; later ones wait again."""
        self._signal.set()
        self._signal = Signal()
