"""``GET /oauth/authorize``: the page, the click, and the way back (RFC 6749 section 4.1, RFC 7636).

With ``codex_cli_simplified_flow`` the page only asks for a yes, and the account's own organisation stands in
the id_token. Without it the person chooses an organisation and a project, as on OpenAI's page of 2025.
"""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web
from yarl import URL

from .events import EventLog
from .faults import AuthorizeRefused, AuthorizeWithoutCode, Faults
from .issued import Issued, Session
from .pages import HEADERS, Choice, authorize_page, message_page
from .refusal import Refusal
from .settings import SandboxAccount, SandboxSettings
from .wire import Witness, read_body

AUTHORIZE: Final = "/oauth/authorize"
DECIDE: Final = "/oauth/authorize/decide"
CALLBACK_PATH: Final = "/auth/callback"
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_WAITING_AT_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Wish:
    """A valid authorization request."""

    client_id: str
    redirect_uri: str
    scope: str
    challenge: str
    state: str
    with_organization: bool
    simplified: bool


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a person was shown."""

    wish: _Wish
    account: SandboxAccount


class AuthorizeEndpoint:
    """Asks the person, or answers for them.

    Args:
        settings: registered clients and redirect ports; whether to approve at once.
        account: says who signs in now.
        issued: the books.
        faults: what goes wrong.
        events: what is remembered.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        account: Callable[[], SandboxAccount],
        issued: Issued,
        faults: Faults,
        events: EventLog,
    ) -> None:
        self._settings = settings
        self._account = account
        self._issued = issued
        self._faults = faults
        self._events = events
        self._waiting: dict[str, _Asked] = {}

    async def show(self, request: web.Request) -> web.StreamResponse:
        """Answer the browser that a program has sent here."""
        witness = Witness(self._events, request)
        query = dict(request.query)
        try:
            self._check_client(query)
        except Refusal as refusal:
            # A redirect_uri that is not registered must not be redirected to (RFC 6749 section 4.1.2.1).
            witness.saw("authorize", status=refusal.status, error=refusal.code)
            return page(message_page("This cannot be signed in", refusal.message), refusal.status)
        try:
            wish = _wish(query)
            self._check_workspace(query)
        except Refusal as refusal:
            witness.saw("authorize", status=302, error=refusal.code)
            return _back(query["redirect_uri"], query.get("state", ""), refusal.code or "", refusal.message)
        asked = _Asked(wish, self._account())
        witness.saw("authorize", status=302 if self._settings.auto_approve else 200)
        if self._settings.auto_approve:
            return self._approve(wish, _chosen(asked) or asked.account)
        return self._ask(asked)

    async def decide(self, request: web.Request) -> web.StreamResponse:
        """Take the person's click, once."""
        body = await read_body(request)
        asked = self._waiting.pop(str(body.fields.get("request")), None)
        witness = Witness(self._events, request)
        if asked is None:
            witness.saw("approve", body=body, status=400, error="invalid_request")
            return page(message_page("This page is old", "Start the sign-in again in the terminal."), 400)
        account = _chosen(asked, str(body.fields.get("project")))
        if body.fields.get("decision") != "approve" or account is None:
            witness.saw("approve", body=body, status=302, error="access_denied")
            wish = asked.wish
            return _back(wish.redirect_uri, wish.state, "access_denied", "The sign-in was refused.")
        witness.saw("approve", body=body, status=302)
        return self._approve(asked.wish, account)

    def _check_client(self, query: Mapping[str, str]) -> None:
        if query.get("client_id") not in self._settings.client_ids:
            raise Refusal(400, "invalid_client", "The client_id is not known here.")
        if not self._is_registered(query.get("redirect_uri", "")):
            raise Refusal(400, "invalid_redirect_uri", "The redirect_uri is not registered for this client.")

    def _is_registered(self, redirect_uri: str) -> bool:
        try:
            parts = urlsplit(redirect_uri)
            port = parts.port
        except ValueError:
            return False
        return (
            parts.scheme == "http"
            and parts.hostname in {"localhost", "127.0.0.1"}
            and parts.username is None
            and parts.path == CALLBACK_PATH
            and not parts.query
            and not parts.fragment
            and (port in self._settings.redirect_ports or (self._settings.any_redirect_port and bool(port)))
        )

    def _check_workspace(self, query: Mapping[str, str]) -> None:
        allowed = query.get("allowed_workspace_id")
        if allowed and self._account().account_id not in allowed.split(","):
            raise Refusal(400, "access_denied", "The account is not in an allowed workspace.")

    def _ask(self, asked: _Asked) -> web.Response:
        request_id = secrets.token_urlsafe(24)
        while len(self._waiting) >= _WAITING_AT_MOST:
            self._waiting.pop(next(iter(self._waiting)))
        self._waiting[request_id] = asked
        wish, account = asked.wish, asked.account
        about = {
            "Account": account.email,
            "Plan": account.plan,
            "Organisation": account.organization_id or "none",
            "Program": wish.client_id,
            "Scope": wish.scope,
        }
        if not wish.simplified:
            del about["Organisation"]
        projects = None if wish.simplified else _choices(account)
        return page(authorize_page(request_id, about=about, action=DECIDE, projects=projects))

    def _approve(self, wish: _Wish, account: SandboxAccount) -> web.Response:
        refused = self._faults.take(AuthorizeRefused)
        if refused:
            return _back(wish.redirect_uri, wish.state, refused.error, refused.description)
        if self._faults.take(AuthorizeWithoutCode):
            return _redirect(wish.redirect_uri, {"state": wish.state})
        session = Session(
            account=account,
            client_id=wish.client_id,
            scope=wish.scope,
            with_organization=wish.with_organization,
        )
        code = self._issued.new_code(
            session, redirect_uri=wish.redirect_uri, challenge=wish.challenge, now=time.time()
        )
        return _redirect(wish.redirect_uri, {"code": code, "scope": wish.scope, "state": wish.state})


def _wish(query: Mapping[str, str]) -> _Wish:
    if query.get("response_type") != "code":
        raise Refusal(400, "unsupported_response_type", "The response_type must be code.")
    if query.get("code_challenge_method") != "S256" or not _CHALLENGE.fullmatch(
        query.get("code_challenge", "")
    ):
        raise Refusal(400, "invalid_request", "A code_challenge with the method S256 is required.")
    if "openid" not in query.get("scope", "").split():
        raise Refusal(400, "invalid_scope", "The scope must contain openid.")
    if not query.get("state"):
        raise Refusal(400, "invalid_request", "A state is required.")
    return _Wish(
        client_id=query["client_id"],
        redirect_uri=query["redirect_uri"],
        scope=query["scope"],
        challenge=query["code_challenge"],
        state=query["state"],
        with_organization=query.get("id_token_add_organizations") == "true",
        simplified=query.get("codex_cli_simplified_flow") == "true",
    )


def _choices(account: SandboxAccount) -> list[Choice]:
    """Return what an account has to choose from; its own project, else the first, is chosen already."""
    own = [project for project in account.projects if account == account.in_project(project)]
    chosen = next(iter([*own, *account.projects]), None)
    return [
        Choice(str(number), project, project == chosen) for number, project in enumerate(account.projects)
    ]


def _chosen(asked: _Asked, value: str | None = None) -> SandboxAccount | None:
    """Return the account with the project that was chosen, or None where that is none.

    Args:
        asked: what the person was shown.
        value: what the form sent; None takes what was chosen already.
    """
    choices = [] if asked.wish.simplified else _choices(asked.account)
    if not choices:
        return asked.account
    found = [item for item in choices if (item.chosen if value is None else item.value == value)]
    return asked.account.in_project(found[0].project) if found else None


def _back(redirect_uri: str, state: str, error: str, description: str) -> web.Response:
    return _redirect(redirect_uri, {"error": error, "error_description": description, "state": state})


def _redirect(redirect_uri: str, query: Mapping[str, str]) -> web.Response:
    location = str(URL(redirect_uri).with_query(query))
    return web.Response(status=302, headers={**HEADERS, "Location": location})


def page(html: str, status: int = 200) -> web.Response:
    """Return a page with the headers that all pages have."""
    return web.Response(text=html, status=status, content_type="text/html", headers=HEADERS)
