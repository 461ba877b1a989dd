"""The issuer's smaller endpoints: its public keys, and revocation."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web

from .events import EventLog
from .faults import Faults, JwksUnavailable, RevokeFails
from .issued import Issued
from .refusal import Refusal
from .tokens import KeyRing
from .wire import Witness, json_answer, read_body, refusal_answer

JWKS: Final = "/.well-known/jwks.json"
REVOKE: Final = "/oauth/revoke"


class IssuerEndpoints:
    """JWKS and revocation.

    Args:
        keys: what is published.
        issued: the books.
        faults: what goes wrong.
        events: what is remembered.
    """

    def __init__(self, *, keys: KeyRing, issued: Issued, faults: Faults, events: EventLog) -> None:
        self._keys = keys
        self._issued = issued
        self._faults = faults
        self._events = events

    async def jwks(self, request: web.Request) -> web.StreamResponse:
        """Publish the signing keys (RFC 7517 section 5)."""
        fault = self._faults.take(JwksUnavailable)
        Witness(self._events, request).saw("jwks", status=fault.status if fault else 200)
        if fault:
            return refusal_answer(Refusal(fault.status, None, "The keys cannot be had."))
        answer = json_answer(self._keys.jwks())
        answer.headers["Cache-Control"] = "public, max-age=300"
        del answer.headers["Pragma"]
        return answer

    async def revoke(self, request: web.Request) -> web.StreamResponse:
        """Revoke a refresh token and its session (RFC 7009)."""
        body = await read_body(request)
        witness = Witness(self._events, request)
        fault = self._faults.take(RevokeFails)
        if fault:
            await asyncio.sleep(fault.delay)
            witness.saw("revoke", body=body, status=fault.status)
            return refusal_answer(Refusal(fault.status, None, "Nothing was revoked."))
        try:
            body.demand("json")
            body.text("client_id")
            self._issued.revoke(body.text("token"))
        except Refusal as refusal:
            witness.saw("revoke", body=body, status=refusal.status, error=refusal.code)
            return refusal_answer(refusal)
        witness.saw("revoke", body=body, status=200)
        return json_answer({})
