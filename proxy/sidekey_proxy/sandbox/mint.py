"""Makes tokens for sessions: what the token endpoint answers, and what a test wants to have made."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from sidekey_auth.secret import Secret

from .faults import Faults, RefreshByStranger, TokenLifetime
from .issued import Issued, Session
from .settings import SandboxAccount, SandboxSettings
from .tokens import KeyRing, access_token_claims, id_token_claims


class Mint:
    """Makes id_tokens, access tokens and refresh tokens, and notes them all in the books.

    Args:
        settings: lifetimes.
        keys: what signs.
        issued: the books.
        faults: a ``TokenLifetime`` may wait there.
    """

    def __init__(self, settings: SandboxSettings, keys: KeyRing, issued: Issued, faults: Faults) -> None:
        self._settings = settings
        self._keys = keys
        self._issued = issued
        self._faults = faults
        self.issuer = ""

    def tokens(self, session: Session, *, refresh_token: str | None = None) -> dict[str, Any]:
        """Return a token answer's fields (RFC 6749 section 5.1).

        Args:
            session: whose.
            refresh_token: the one to name; a fresh one where None and the scope has offline_access.
        """
        lifetime = self._lifetime()
        now = time.time()
        access = access_token_claims(
            session.account,
            issuer=self.issuer,
            client_id=session.client_id,
            scope=session.scope,
            issued_at=now,
            lifetime=lifetime,
        )
        answer = {
            "id_token": self.id_token(session, lifetime=lifetime),
            "access_token": self._issued.note_access_token(self._keys.sign(access)),
            "token_type": "Bearer",
            "expires_in": int(lifetime),
            "scope": session.scope,
        }
        if refresh_token is None and "offline_access" in session.scope.split():
            refresh_token = self._issued.new_refresh_token(session, now=now)
        if refresh_token is not None:
            answer["refresh_token"] = refresh_token
        return answer

    def id_token(
        self,
        session: Session,
        *,
        lifetime: float,
        forged: bool = False,
        claims: dict[str, Any] | None = None,
    ) -> str:
        """Return an id_token.

        Args:
            session: whose.
            lifetime: seconds; negative makes an expired one.
            forged: sign it with a key that is not the issuer's.
            claims: replace claims at the top; None as a value leaves the claim out.
        """
        said = id_token_claims(
            session.account,
            issuer=self.issuer,
            client_id=session.client_id,
            issued_at=time.time() + min(lifetime, 0.0) * 2,
            lifetime=abs(lifetime),
            with_organization=session.with_organization,
        )
        said = {name: value for name, value in {**said, **(claims or {})}.items() if value is not None}
        return self._issued.noted(self._keys.sign(said, forged=forged))

    def stranger(self, session: Session, fault: RefreshByStranger) -> Session:
        """Return the session as if another person had signed in."""
        somebody = replace(
            session.account, email=fault.email, user_id=fault.user_id, account_id=fault.account_id
        )
        return replace(session, account=somebody)

    def session(self, account: SandboxAccount, client_id: str) -> Session:
        """Return a session as after a sign-in with the usual scope."""
        return Session(account=account, client_id=client_id, scope="openid profile email offline_access")

    def key(self) -> Secret:
        """Return a fresh API key."""
        return Secret(self._issued.new_key())

    def _lifetime(self) -> float:
        fault = self._faults.take(TokenLifetime)
        return fault.seconds if fault else self._settings.token_lifetime
