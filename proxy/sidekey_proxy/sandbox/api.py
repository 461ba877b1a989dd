"""Everything under ``/v1``: who may come in, which operation answers, and what is remembered of it."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Final

from aiohttp import web

from .call import Call
from .delivery import Answer, Conduct, Cut, conduct_of, deliver, refused
from .events import Event, EventLog, Kind, Outcome, now, shown_headers
from .faults import ApiStatus, Faults, SocketRefused
from .issued import Issued
from .operations import REDEEM, Operations, redeem
from .refusal import Refusal, usual_code
from .settings import SandboxSettings
from .sockets import SOCKETS, converse
from .tokens import KeyRing
from .wire import Hold, drop

_USUAL_HEADERS: Final = {
    "openai-organization": "org-sandbox",
    "openai-version": "2020-10-01",
    "x-ratelimit-limit-requests": "10000",
    "x-ratelimit-limit-tokens": "2000000",
    "x-ratelimit-remaining-requests": "9999",
    "x-ratelimit-remaining-tokens": "1999900",
    "x-ratelimit-reset-requests": "6ms",
    "x-ratelimit-reset-tokens": "3ms",
}


class Api:
    """The API of the sandbox.

    Args:
        settings: what its operations need.
        keys: what id_tokens are checked with.
        issued: the books, which know the API keys.
        faults: what goes wrong.
        events: what is remembered.
        hold: where hung requests wait.
        issuer: says the issuer's address.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        keys: KeyRing,
        issued: Issued,
        faults: Faults,
        events: EventLog,
        hold: Hold,
        issuer: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._issued = issued
        self._faults = faults
        self._events = events
        self._hold = hold
        self._issuer = issuer
        self.operations = Operations(settings)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        call = Call(request)
        outcome: Outcome = "gone"
        try:
            response = await self._converse_or_answer(call)
            outcome = "answered"
            return response
        except Cut as cut:
            outcome = "dropped"
            return drop(request, reset=cut.reset)
        finally:
            self._saw("api_end", call, outcome=outcome)

    async def _converse_or_answer(self, call: Call) -> web.StreamResponse:
        socket = SOCKETS.get(call.path)
        if socket and call.request.headers.get("Upgrade", "").lower() == "websocket":
            refusal = self._refusal(call) or self._socket_refusal(call)
            if refusal is None:
                conduct = conduct_of(self._faults, call.request, call.path, self._hold)
                await self._before_head(call, conduct, 101, None)
                return await converse(call, socket, conduct, self.operations.says, self._headers(call))
            return await self._send(call, refusal)
        return await self._send(call, await self._answer(call))

    async def _answer(self, call: Call) -> Answer:
        try:
            if call.path == REDEEM and call.request.method == "POST":
                return await redeem(
                    call, keys=self._keys, settings=self._settings, issuer=self._issuer(), faults=self._faults
                )
            refusal = self._refusal(call)
            if refusal is not None:
                return refusal
            return await self.operations.find(call.request.method, call.path)(call)
        except Refusal as no:
            return refused(no)

    def _refusal(self, call: Call) -> Answer | None:
        no = self._unauthorised(call)
        if no is not None:
            return refused(no)
        fault = self._faults.take(ApiStatus, lambda fault: call.path.startswith(fault.path))
        if fault is None:
            return None
        code = fault.code or usual_code(fault.status)
        return refused(Refusal(fault.status, code, fault.message), retry_after=fault.retry_after)

    def _socket_refusal(self, call: Call) -> Answer | None:
        fault = self._faults.take(SocketRefused, lambda fault: call.path.startswith(fault.path))
        if fault is None:
            return None
        return refused(Refusal(fault.status, None, "WebSockets are not served here."))

    def _unauthorised(self, call: Call) -> Refusal | None:
        if call.bearer is None:
            return Refusal(
                401,
                None,
                "You didn't provide an API key. You need to provide your API key in an Authorization header "
                "using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        key = call.bearer.reveal()
        if self._issued.honours(key, now=time.time()):
            return None
        if self._issued.is_access_token(key):
            return Refusal(
                401,
                "missing_scope",
                "You have insufficient permissions for this operation. Missing scopes: api.responses.write.",
            )
        return Refusal(
            401,
            "invalid_api_key",
            f"Incorrect API key provided: {call.bearer.masked()}. You can find your API key at "
            "https://platform.openai.com/account/api-keys.",
        )

    async def _send(self, call: Call, answer: Answer) -> web.StreamResponse:
        conduct = conduct_of(self._faults, call.request, call.path, self._hold)
        await self._before_head(call, conduct, answer.status, answer.error)
        return await deliver(call.request, answer, self._headers(call), conduct)

    async def _before_head(self, call: Call, conduct: Conduct, status: int, error: str | None) -> None:
        kind: Kind = "redeem" if call.path == REDEEM else "api"
        if conduct.silent:
            outcome: Outcome = "hung" if conduct.hang else "dropped"
            self._saw(kind, call, outcome=outcome)
            await conduct.before_head()
        await conduct.before_head()
        self._saw(kind, call, status=status, error=error)

    def _headers(self, call: Call) -> dict[str, str]:
        spent = int((time.perf_counter() - call.started_at) * 1000)
        return {
            **_USUAL_HEADERS,
            "openai-processing-ms": str(spent),
            "x-request-id": f"req_{secrets.token_hex(16)}",
        }

    def _saw(
        self,
        kind: Kind,
        call: Call,
        *,
        status: int | None = None,
        outcome: Outcome = "answered",
        error: str | None = None,
    ) -> None:
        request = call.request
        self._events.add(
            Event(
                kind=kind,
                method=request.method,
                target=request.raw_path,
                headers=() if kind == "api_end" else shown_headers(request.raw_headers),
                status=status,
                outcome=outcome,
                error=error,
                bearer=call.bearer.fingerprint() if call.bearer else None,
                received=call.received,
                at=now(),
            )
        )
