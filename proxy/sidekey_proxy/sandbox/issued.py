"""What a sandbox has issued and still honours: codes, refresh tokens, API keys. No I/O; time is passed in."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from sidekey_auth.secret import Secret

from .refusal import Refusal
from .settings import SandboxAccount

CODE_LIFETIME: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One sign-in: who, for which client, and with what.

    Attributes:
        account: who signed in.
        client_id: for which client.
        scope: space-separated.
        with_organization: whether id_tokens name the organisation.
    """

    account: SandboxAccount
    client_id: str
    scope: str
    with_organization: bool = True


@dataclass(frozen=True, slots=True)
class Code:
    """An authorization code's terms (RFC 6749 section 4.1.2, RFC 7636 section 4.4)."""

    session: Session
    redirect_uri: str
    challenge: str
    issued_at: float


@dataclass(slots=True)
class _RefreshToken:
    session: Session
    issued_at: float
    state: Literal["live", "spent", "revoked", "expired"] = "live"


class Issued:
    """The books of one sandbox.

    Args:
        api_keys: keys that are honoured from the start.
        refresh_lifetime: seconds that refresh tokens live, or None.
    """

    def __init__(self, api_keys: Iterable[Secret] = (), *, refresh_lifetime: float | None = None) -> None:
        self._codes: dict[str, Code] = {}
        self._refresh_tokens: dict[str, _RefreshToken] = {}
        self._refresh_lifetime = refresh_lifetime
        self._keys: dict[str, float | None] = {key.reveal(): None for key in api_keys}
        self._access_tokens: set[str] = set()
        self._secrets: list[Secret] = []

    # --- secrets ------------------------------------------------------------------------------------------

    def noted(self, value: str) -> str:
        """Note that a value is secret, and return it."""
        self._secrets.append(Secret(value))
        return value

    def secrets(self) -> tuple[Secret, ...]:
        """Return every secret that was ever issued, spent and revoked ones included."""
        return tuple(self._secrets)

    # --- codes --------------------------------------------------------------------------------------------

    def new_code(self, session: Session, *, redirect_uri: str, challenge: str, now: float) -> str:
        """Return a fresh authorization code."""
        code = self.noted(f"ac_{secrets.token_urlsafe(32)}")
        self._codes[code] = Code(session, redirect_uri, challenge, now)
        return code

    def spend_code(
        self, code: str, *, client_id: str, redirect_uri: str, verifier: str, now: float
    ) -> Session:
        """Return the session that a code stands for; the code is spent, whatever the outcome.

        Raises:
            Refusal: it is unknown, spent, expired, or somebody else's (RFC 6749 section 5.2).
        """
        terms = self._codes.pop(code, None)
        if terms is None:
            raise _invalid_grant("The authorization code is not known, or it has been used.")
        if now - terms.issued_at > CODE_LIFETIME:
            raise _invalid_grant("The authorization code has expired.")
        if client_id != terms.session.client_id:
            raise _invalid_grant("The authorization code was issued to another client.")
        if redirect_uri != terms.redirect_uri:
            raise _invalid_grant("The redirect_uri is not the one of the authorization request.")
        if not hmac.compare_digest(challenge_of(verifier), terms.challenge):
            raise _invalid_grant("The code_verifier does not match the code_challenge.")
        return terms.session

    # --- refresh tokens -----------------------------------------------------------------------------------

    def new_refresh_token(self, session: Session, *, now: float) -> str:
        """Return a fresh refresh token."""
        token = self.noted(f"rt_{secrets.token_urlsafe(48)}")
        self._refresh_tokens[token] = _RefreshToken(session, now)
        return token

    def session_of(self, token: str, *, client_id: str, now: float) -> Session:
        """Return the session of a refresh token that is good, without spending it.

        Raises:
            Refusal: it is not; the code says why.
        """
        entry = self._refresh_tokens.get(token)
        if entry is None:
            raise Refusal(
                401, "invalid_grant", "Could not validate your refresh token. Please sign in again."
            )
        if entry.session.client_id != client_id:
            raise Refusal(401, "invalid_client", "The refresh token was issued to another client.")
        if self._refresh_lifetime is not None and now - entry.issued_at > self._refresh_lifetime:
            entry.state = "expired" if entry.state == "live" else entry.state
        if entry.state != "live":
            raise Refusal(401, *_REFRESH_REFUSALS[entry.state])
        return entry.session

    def spend_refresh_token(self, token: str) -> None:
        """Let a refresh token never be good again: it was used."""
        self._refresh_tokens[token].state = "spent"

    def expire_refresh_token(self, token: str) -> None:
        """Let a refresh token have expired."""
        self._refresh_tokens[token].state = "expired"

    def knows(self, token: str) -> bool:
        """Return whether a refresh token is good now, apart from its age."""
        entry = self._refresh_tokens.get(token)
        return entry is not None and entry.state == "live"

    def revoke(self, token: str) -> None:
        """Revoke a refresh token with its session; an unknown one is no error (RFC 7009 section 2.2)."""
        entry = self._refresh_tokens.get(token)
        if entry is None:
            return
        for other in self._refresh_tokens.values():
            if other.session is entry.session and other.state == "live":
                other.state = "revoked"

    # --- what opens the API -------------------------------------------------------------------------------

    def new_key(self, *, expires_at: float | None = None) -> str:
        """Return a fresh API key, or a machine's token where it expires (Unix time in seconds)."""
        key = self.noted(f"sk-proj-{secrets.token_urlsafe(48)}")
        self._keys[key] = expires_at
        return key

    def revoke_key(self, key: str) -> None:
        """Let an API key not be honoured any more."""
        self._keys.pop(key, None)

    def revoke_all_keys(self) -> None:
        """Let no API key of now be honoured any more, preset ones included."""
        self._keys.clear()

    def honours(self, key: str, *, now: float) -> bool:
        """Return whether a bearer opens the API."""
        if key not in self._keys:
            return False
        expires_at = self._keys[key]
        return expires_at is None or now < expires_at

    def note_access_token(self, token: str) -> str:
        """Note a ChatGPT access token, which the API recognises and refuses."""
        self._access_tokens.add(token)
        return self.noted(token)

    def is_access_token(self, value: str) -> bool:
        """Return whether a bearer is a ChatGPT access token."""
        return value in self._access_tokens


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (RFC 7636 section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


_REFRESH_REFUSALS: Final = {
    "spent": (
        "refresh_token_reused",
        (
            "Your refresh token has already been used to generate a new access token. "
            "Please try signing in again."
        ),
    ),
    "revoked": ("refresh_token_invalidated", "Your refresh token has been revoked. Please sign in again."),
    "expired": ("refresh_token_expired", "Your refresh token has expired. Please sign in again."),
}


def _invalid_grant(message: str) -> Refusal:
    return Refusal(400, "invalid_grant", message, oauth=True)
