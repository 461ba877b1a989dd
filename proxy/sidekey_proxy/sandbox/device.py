"""The device code: a code in the terminal, a page in any browser, a poll until both meet."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from aiohttp import web

from .authorize import page
from .events import EventLog, Kind
from .faults import DeviceDenied, DevicePending, DevicePollFails, DeviceUnavailable, Faults
from .issued import Issued, Session, challenge_of
from .pages import device_page, message_page
from .refusal import Refusal
from .settings import SandboxAccount, SandboxSettings
from .wire import Body, Witness, json_answer, read_body, refusal_answer

USERCODE: Final = "/api/accounts/deviceauth/usercode"
TOKEN: Final = "/api/accounts/deviceauth/token"  # noqa: S105 - a path
PAGE: Final = "/codex/device"
REDIRECT_PATH: Final = "/deviceauth/callback"
LIFETIME: Final = 15 * 60.0
_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ23456789"
_WAITING_AT_MOST: Final = 1000


@dataclass(slots=True)
class _Device:
    user_code: str
    client_id: str
    started_at: float
    decision: Literal["", "approve", "deny"] = ""


class DeviceEndpoints:
    """The device flow's three endpoints.

    Args:
        settings: registered clients, the interval, whether to approve at once.
        account: says who signs in now.
        issued: the books.
        faults: what goes wrong.
        events: what is remembered.
        issuer: says the issuer's address.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        account: Callable[[], SandboxAccount],
        issued: Issued,
        faults: Faults,
        events: EventLog,
        issuer: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._account = account
        self._issued = issued
        self._faults = faults
        self._events = events
        self._issuer = issuer
        self._waiting: dict[str, _Device] = {}

    async def usercode(self, request: web.Request) -> web.StreamResponse:
        """Start: hand out a device_auth_id and a code for the person."""
        return await self._answered(request, "device_usercode", self._start)

    async def token(self, request: web.Request) -> web.StreamResponse:
        """Poll: an authorization code once the person has said yes."""
        return await self._answered(request, "device_token", self._poll)

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Show the page that asks for the code."""
        return page(device_page(action=PAGE, user_code=request.query.get("user_code", "")))

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """Take the person's code and click."""
        body = await read_body(request)
        approved = body.fields.get("decision") == "approve"
        found = self.settle(str(body.fields.get("user_code", "")), approve=approved)
        Witness(self._events, request).saw("approve", status=200 if found else 400)
        if not found:
            return page(device_page(action=PAGE, note="This code is not known, or it has expired."), 400)
        said = "The device is signed in." if approved else "The device was refused."
        return page(message_page("Done", f"{said} You can close this tab and return to the terminal."))

    def settle(self, user_code: str, *, approve: bool = True) -> bool:
        """Decide for a waiting device, as the page's buttons do; returns whether there was one."""
        wanted = user_code.strip().upper()
        for device in self._waiting.values():
            if device.user_code == wanted and not device.decision and not _expired(device):
                device.decision = "approve" if approve else "deny"
                return True
        return False

    async def _answered(
        self, request: web.Request, kind: Kind, act: Callable[[Body], dict[str, object]]
    ) -> web.StreamResponse:
        body = await read_body(request)
        witness = Witness(self._events, request)
        try:
            body.demand("json")
            answer = act(body)
        except Refusal as refusal:
            witness.saw(kind, body=body, status=refusal.status, error=refusal.code)
            return refusal_answer(refusal)
        witness.saw(kind, body=body, status=200)
        return json_answer(answer)

    def _start(self, body: Body) -> dict[str, object]:
        if self._faults.take(DeviceUnavailable):
            raise Refusal(404, None, "The device code is not enabled for this account.")
        client_id = body.text("client_id")
        if client_id not in self._settings.client_ids:
            raise Refusal(401, "invalid_client", "The client is not known.")
        while len(self._waiting) >= _WAITING_AT_MOST:
            self._waiting.pop(next(iter(self._waiting)))
        device_auth_id = self._issued.noted(f"deviceauth_{secrets.token_urlsafe(24)}")
        letters = "".join(secrets.choice(_ALPHABET) for _ in range(9))
        user_code = f"{letters[:4]}-{letters[4:]}"
        decision: Literal["", "approve"] = "approve" if self._settings.auto_approve else ""
        self._waiting[device_auth_id] = _Device(user_code, client_id, time.time(), decision)
        return {
            "device_auth_id": device_auth_id,
            "user_code": user_code,
            "interval": self._settings.device_interval,
        }

    def _poll(self, body: Body) -> dict[str, object]:
        failing = self._faults.take(DevicePollFails)
        if failing:
            raise Refusal(failing.status, failing.code, "The sandbox was asked to fail.")
        denied = self._faults.take(DeviceDenied)
        if denied:
            raise Refusal(denied.status, "access_denied", "The sign-in was refused.")
        pending = self._faults.take(DevicePending)
        device_auth_id = body.text("device_auth_id")
        device = self._waiting.get(device_auth_id)
        if device is None or device.user_code != body.text("user_code") or _expired(device):
            raise Refusal(400, "expired_token", "The device code is not known, or it has expired.")
        if pending or not device.decision:
            status = pending.status if pending else 403
            raise Refusal(status, "deviceauth_authorization_unknown", "The device is not authorised yet.")
        del self._waiting[device_auth_id]
        if device.decision == "deny":
            raise Refusal(400, "access_denied", "The sign-in was refused.")
        return self._code_for(device)

    def _code_for(self, device: _Device) -> dict[str, object]:
        verifier = self._issued.noted(secrets.token_urlsafe(64))
        challenge = challenge_of(verifier)
        session = Session(
            account=self._account(),
            client_id=device.client_id,
            scope="openid profile email offline_access",
        )
        code = self._issued.new_code(
            session,
            redirect_uri=f"{self._issuer()}{REDIRECT_PATH}",
            challenge=challenge,
            now=time.time(),
        )
        return {"authorization_code": code, "code_challenge": challenge, "code_verifier": verifier}


def _expired(device: _Device) -> bool:
    return time.time() - device.started_at > LIFETIME
