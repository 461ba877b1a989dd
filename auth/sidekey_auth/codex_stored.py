"""What an import would put itself over: the sign-in that is stored already. Pure.

A refresh token works once. The one in a file is spent as soon as sidekey, or Codex, has refreshed with it;
putting it over the token that came out of that refresh would end the sign-in.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from .claims import Claims, read_claims, same_account
from .codex import CodexAuth
from .credential import Credential
from .errors import IdTokenInvalid

_SPENT: Final = (
    "The stored sign-in came from this very file and has been refreshed since: the file's refresh token is "
    "spent, and what is stored stays."
)
_SIGNED_OUT: Final = (
    "The sign-in in this file was imported before and signed out: its refresh token was revoked, if the "
    "issuer could be reached then. What is left of it works until it expires; for more, run `codex login` "
    "first."
)
_OLDER: Final = (
    "This file is older ({}) than the stored sign-in of the same account ({}): its refresh token may be "
    "spent, and the stored one is given up for it."
)


def refreshed_since(stored: Credential, auth: CodexAuth) -> bool:
    """Return whether the stored sign-in came from this very file and has been refreshed since.

    What is stored is newer in every respect then, and the file's refresh token is spent.
    """
    current = stored.refresh_token
    return _same_file(stored, auth) and current is not None and current.fingerprint() != auth.token_id


def cautions(stored: Credential, auth: CodexAuth) -> tuple[str, ...]:
    """Return what a person should know before importing a file over what is stored, a sentence each."""
    if refreshed_since(stored, auth):
        return (_SPENT,)
    if _same_file(stored, auth) and not stored.signed_in:
        return (_SIGNED_OUT,)
    made, newest = _ages(stored, auth)
    if made is not None and newest is not None and made < newest:
        return (_OLDER.format(_date(made), _date(newest)),)
    return ()


def _same_file(stored: Credential, auth: CodexAuth) -> bool:
    return auth.token_id is not None and stored.imported_token == auth.token_id


def _ages(stored: Credential, auth: CodexAuth) -> tuple[float | None, float | None]:
    """Return when the file's tokens were issued, and when the stored ones were, where that compares."""
    kept = _claims(stored)
    if kept is None or auth.claims is None or not same_account(kept, auth.claims):
        return None, None
    if auth.claims.iat is not None and kept.iat is not None:
        return auth.claims.iat, kept.iat
    # The time of an import says nothing about the age of what was imported.
    refreshed = stored.last_refresh if stored.received_at is not None else None
    return _moment(auth.last_refresh), refreshed.timestamp() if refreshed else None


def _claims(stored: Credential) -> Claims | None:
    try:
        return read_claims(stored.id_token) if stored.id_token else None
    except IdTokenInvalid:
        return None


def _moment(text: str | None) -> float | None:
    try:
        return datetime.fromisoformat(text).astimezone(UTC).timestamp() if text else None
    except (ValueError, OverflowError):
        return None


def _date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
