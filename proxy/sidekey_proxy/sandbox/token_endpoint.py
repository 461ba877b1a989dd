"""``POST /oauth/token``: a code, a refresh token, an id_token or a machine's token for something better."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import jwt
from aiohttp import web

from sidekey_auth.secret import Secret

from .events import EventLog, Kind
from .faults import (
    ExchangeForbidden,
    ExchangeRefused,
    Faults,
    Grant,
    KeyNameRefused,
    RefreshByStranger,
    RefreshLeavesOut,
    TokenAnswer,
    TokenDropped,
    TokenHang,
)
from .issued import Issued
from .mint import Mint
from .refusal import Refusal
from .settings import SandboxSettings
from .tokens import AUTH_CLAIMS, KeyRing
from .wire import NO_STORE, Body, Hold, Witness, drop, json_answer, read_body, refusal_answer

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - RFC 8693's name
ID_TOKEN: Final = "urn:ietf:params:oauth:token-type:id_token"  # noqa: S105 - the same
JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
ACCESS_TOKEN: Final = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - the same

Fields = dict[str, Any]

_POLICIES: Final = {
    "service_account_keys_only": (
        "service_account_required",
        "This organization allows API keys of service accounts only.",
    ),
    "key_creation_disabled": (
        "api_key_creation_disabled",
        "API key creation is disabled for this organization.",
    ),
    "key_expiry_required": (
        "api_key_expiration_required",
        "API keys of this organization must have an expiration.",
    ),
}
"""What the sandbox says of each policy; OpenAI's own words are not known."""


class TokenEndpoint:
    """All grants of the token endpoint, and the faults that strike them.

    Args:
        settings: registered clients.
        keys: what id_tokens are checked with.
        issued: the books.
        mint: makes the tokens.
        faults: what goes wrong.
        events: what is remembered.
        hold: where hung requests wait.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        keys: KeyRing,
        issued: Issued,
        mint: Mint,
        faults: Faults,
        events: EventLog,
        hold: Hold,
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._issued = issued
        self._mint = mint
        self._faults = faults
        self._events = events
        self._hold = hold
        self._grants: dict[Grant, Callable[[Body], Fields]] = {
            "code_exchange": self._code,
            "refresh": self._refresh,
            "key_exchange": self._key,
            "workload": self._workload,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one token request."""
        body = await read_body(request)
        witness = Witness(self._events, request)
        grant = _grant(body)
        if grant is None:
            return self._unsupported(body, witness)
        preset = self._faults.take(TokenAnswer, lambda fault: fault.grant == grant)
        if preset:
            return await _preset(preset, grant, body, witness)
        early = self._faults.take(TokenHang, lambda fault: fault.grant == grant and not fault.consumed)
        if early:
            witness.saw(grant, body=body, outcome="hung")
            await self._hold.wait(request)
            return drop(request)
        if self._faults.take(TokenDropped, lambda fault: fault.grant == grant and not fault.consumed):
            witness.saw(grant, body=body, outcome="dropped")
            return drop(request)
        return await self._act(request, grant, body, witness)

    async def _act(
        self, request: web.Request, grant: Grant, body: Body, witness: Witness
    ) -> web.StreamResponse:
        try:
            answer = self._grants[grant](body)
        except Refusal as refusal:
            witness.saw(grant, body=body, status=refusal.status, error=refusal.code)
            return refusal_answer(refusal)
        if self._faults.take(TokenDropped, lambda fault: fault.grant == grant and fault.consumed):
            witness.saw(grant, body=body, outcome="dropped")
            return drop(request)
        hang = self._faults.take(TokenHang, lambda fault: fault.grant == grant and fault.consumed)
        if hang:
            witness.saw(grant, body=body, outcome="hung")
            await self._hold.wait(request)
            return json_answer(answer) if hang.answers else drop(request)
        witness.saw(grant, body=body, status=200)
        return json_answer(answer)

    def _unsupported(self, body: Body, witness: Witness) -> web.Response:
        refusal = Refusal(400, "unsupported_grant_type", "This grant_type is not supported.", oauth=True)
        witness.saw("token", body=body, status=refusal.status, error=refusal.code)
        return refusal_answer(refusal)

    def _client(self, body: Body) -> str:
        client_id = body.text("client_id")
        if client_id not in self._settings.client_ids:
            raise Refusal(401, "invalid_client", "The client is not known.", oauth=True)
        return client_id

    # --- the grants ---------------------------------------------------------------------------------------

    def _code(self, body: Body) -> Fields:
        body.demand("form")
        session = self._issued.spend_code(
            body.text("code"),
            client_id=self._client(body),
            redirect_uri=body.text("redirect_uri"),
            verifier=body.text("code_verifier"),
            now=time.time(),
        )
        return self._mint.tokens(session)

    def _refresh(self, body: Body) -> Fields:
        body.demand("json")
        token = body.text("refresh_token")
        session = self._issued.session_of(token, client_id=self._client(body), now=time.time())
        left_out = self._faults.take(RefreshLeavesOut)
        stays = left_out is not None and "refresh_token" in left_out.fields
        if not stays:
            self._issued.spend_refresh_token(token)
        fields = self._mint.tokens(session, refresh_token=token if stays else None)
        stranger = self._faults.take(RefreshByStranger)
        if stranger:
            somebody = self._mint.stranger(session, stranger)
            fields["id_token"] = self._mint.id_token(somebody, lifetime=float(fields["expires_in"]))
        return {name: value for name, value in fields.items() if not left_out or name not in left_out.fields}

    def _key(self, body: Body) -> Fields:
        body.demand("form")
        client_id = self._client(body)
        if body.text("requested_token") != "openai-api-key":
            raise Refusal(400, "invalid_request", "Unknown requested_token.", oauth=True)
        if body.text("subject_token_type") != ID_TOKEN:
            raise Refusal(400, "invalid_request", "The subject_token_type must be an id_token.", oauth=True)
        claims = self._claims(Secret(body.text("subject_token")), client_id)
        self._strike_key(named=bool(body.fields.get("name")))
        if not claims.get(AUTH_CLAIMS, {}).get("organization_id"):
            raise Refusal(401, "invalid_subject_token", "Invalid ID token: missing organization_id")
        return {"access_token": self._issued.new_key()}

    def _strike_key(self, *, named: bool) -> None:
        refused = self._faults.take(ExchangeRefused)
        if refused:
            raise Refusal(refused.status, refused.code, refused.message)
        forbidden = self._faults.take(ExchangeForbidden)
        if forbidden:
            raise Refusal(403, *_POLICIES[forbidden.policy])
        unnamed = self._faults.take(KeyNameRefused) if named else None
        if unnamed:
            raise Refusal(unnamed.status, unnamed.code, unnamed.message, parameter=unnamed.parameter)

    def _claims(self, id_token: Secret, client_id: str) -> Fields:
        try:
            return self._keys.verified(id_token.reveal(), audience=client_id, issuer=self._mint.issuer)
        except jwt.ExpiredSignatureError:
            raise Refusal(401, "invalid_subject_token", "Invalid ID token: expired") from None
        except jwt.InvalidAudienceError:
            raise Refusal(401, "invalid_subject_token", "Invalid ID token: wrong audience") from None
        except jwt.PyJWTError:
            raise Refusal(401, "invalid_subject_token", "Invalid ID token") from None

    def _workload(self, body: Body) -> Fields:
        body.demand("json")
        body.text("subject_token")
        body.text("identity_provider_id")
        body.text("service_account_id")
        if body.text("subject_token_type") not in {ID_TOKEN, JWT}:
            raise Refusal(400, "invalid_request", "Unknown subject_token_type.", oauth=True)
        lifetime = self._settings.token_lifetime
        token = self._issued.new_key(expires_at=time.time() + lifetime)
        return {
            "access_token": token,
            "issued_token_type": ACCESS_TOKEN,
            "token_type": "Bearer",
            "expires_in": int(lifetime),
        }


def _grant(body: Body) -> Grant | None:
    kind = body.fields.get("grant_type")
    if kind == TOKEN_EXCHANGE:
        return "workload" if "identity_provider_id" in body.fields else "key_exchange"
    names: dict[object, Grant] = {"authorization_code": "code_exchange", "refresh_token": "refresh"}
    return names.get(kind)


async def _preset(fault: TokenAnswer, grant: Kind, body: Body, witness: Witness) -> web.Response:
    await asyncio.sleep(fault.delay)
    witness.saw(grant, body=body, status=fault.status)
    headers = dict(NO_STORE)
    if fault.retry_after is not None:
        headers["Retry-After"] = f"{fault.retry_after:g}"
    return web.Response(
        body=fault.body.encode(), status=fault.status, content_type=fault.content_type, headers=headers
    )
