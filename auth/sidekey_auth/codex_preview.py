"""What an import would bring, with everything masked: what a person sees before saying yes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .codex import CodexAuth
from .codex_stored import cautions
from .credential import Credential
from .foreign_text import shown

NOTICE: Final = (
    "The refresh token works only once and is shared with the Codex CLI: when sidekey refreshes with it, "
    "Codex is signed out and has to sign in again. "
    "`--no-refresh-token` imports the key and the id_token only."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What stands in an auth.json, without any secret.

    Attributes:
        auth_mode: as it stands there.
        api_key: such as ``sk-…abcd``; None where there is none.
        id_token, access_token, refresh_token: whether they are present.
        account: the person's email, else the account's id.
        plan: such as ``plus``.
        expires_at: of the id_token; Unix time in seconds.
        expired: whether that has passed.
        issuer, client_id: whom the tokens came from, and for which client.
        notice: what importing does to the Codex CLI; empty where it does nothing.
        cautions: what it does to the sign-in that is stored, a sentence each.
    """

    auth_mode: str | None
    api_key: str | None
    id_token: bool
    access_token: bool
    refresh_token: bool
    account: str | None
    plan: str | None
    expires_at: float | None
    expired: bool
    issuer: str | None
    client_id: str | None
    notice: str
    cautions: tuple[str, ...] = ()


def preview(auth: CodexAuth, now: float, stored: Credential | None = None) -> Preview:
    """Return what an import would bring.

    Args:
        auth: what was read.
        now: Unix time in seconds.
        stored: what it would be put over.
    """
    claims = auth.claims
    expires_at = claims.exp if claims else None
    return Preview(
        auth_mode=auth.auth_mode,
        api_key=auth.api_key.masked() if auth.api_key else None,
        id_token=auth.id_token is not None,
        access_token=auth.access_token is not None,
        refresh_token=auth.refresh_token is not None,
        account=_shown((claims.email if claims else None) or auth.account_id),
        plan=_shown(claims.plan if claims else None),
        expires_at=expires_at,
        expired=expires_at is not None and expires_at <= now,
        issuer=_shown(auth.issuer),
        client_id=_shown(auth.client_id),
        notice=NOTICE if auth.refresh_token else "",
        cautions=cautions(stored, auth) if stored else (),
    )


def _shown(text: str | None) -> str | None:
    return shown(text, longest=100) if text else None
