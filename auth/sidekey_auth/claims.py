"""What an id_token says (OpenID Connect Core section 2, with OpenAI's claims). Pure.

``read_claims`` only reads: nothing it returns proves anything. The proof is ``id_token.verify``.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import IdTokenInvalid
from .secret import Secret
from .unchained import unchained

AUTH_CLAIMS: Final = "https://api.openai.com/auth"
PROFILE_CLAIMS: Final = "https://api.openai.com/profile"
_END_OF_CALENDAR: Final = 253_402_300_800
"""Unix time of the year 10,000, which no datetime has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What an id_token says; a claim that is absent, of another type or no time that a calendar has is None.

    Attributes:
        sub, iss: as in the token.
        aud: whom it is for; one or more.
        exp, iat, nbf: Unix time in seconds.
        email: the person's.
        account_id: ``chatgpt_account_id``, the workspace.
        user_id: ``chatgpt_user_id``.
        plan: ``chatgpt_plan_type``; unknown ones stay as they are.
        organization_id, project_id: of the Platform; without the former there is no API key.
        onboarded: ``completed_platform_onboarding``.
        org_owner: ``is_org_owner``.
        subscribed_since: ``chatgpt_subscription_active_start`` as it stands.
        groups: names.
    """

    sub: str | None = None
    iss: str | None = None
    aud: tuple[str, ...] = ()
    exp: float | None = None
    iat: float | None = None
    nbf: float | None = None
    email: str | None = None
    account_id: str | None = None
    user_id: str | None = None
    plan: str | None = None
    organization_id: str | None = None
    project_id: str | None = None
    onboarded: bool | None = None
    org_owner: bool | None = None
    subscribed_since: str | None = None
    groups: tuple[str, ...] = ()


@unchained
def read_claims(token: Secret) -> Claims:
    """Return what an id_token says, without looking at its signature: for status, never as a proof.

    Raises:
        IdTokenInvalid: it is not a JWT (RFC 7519).
    """
    said = _payload(token)
    if said is None:
        raise IdTokenInvalid("the id_token is not a JWT")
    return claims_of(said)


def same_account(old: Claims, new: Claims) -> bool:
    """Return whether two id_tokens are about one person in one account.

    The user id decides where both have one, else ``sub``, which every id_token has and which is one person's
    with one issuer (OpenID Connect Core sections 2 and 5.7). Where neither can be compared nobody knows who
    it is, and that is not the same. An issuer or account that only one of them names does not count.
    """
    if _differ(_bare(old.iss), _bare(new.iss)) or _differ(old.account_id, new.account_id):
        return False
    if old.user_id and new.user_id:
        return old.user_id == new.user_id
    return bool(old.sub) and old.sub == new.sub


def same_organization(old: Claims, new: Claims) -> bool:
    """Return whether two id_tokens name the same Platform organisation and project, or one names none."""
    return not (_differ(old.organization_id, new.organization_id) or _differ(old.project_id, new.project_id))


def _differ(old: str | None, new: str | None) -> bool:
    return bool(old and new and old != new)


def _bare(issuer: str | None) -> str | None:
    return issuer.rstrip("/") if issuer else None


# --- reading what may be of any type ----------------------------------------------------------------------


def claims_of(said: Mapping[str, Any]) -> Claims:
    """Return the claims of an id_token's payload; those of a wrong type are passed over."""
    about, profile = _object(said, AUTH_CLAIMS), _object(said, PROFILE_CLAIMS)
    return Claims(
        sub=_text(said, "sub"),
        iss=_text(said, "iss"),
        aud=_audience(said.get("aud")),
        exp=_time(said, "exp"),
        iat=_time(said, "iat"),
        nbf=_time(said, "nbf"),
        email=_text(said, "email") or _text(profile, "email"),
        account_id=_text(about, "chatgpt_account_id"),
        user_id=_text(about, "chatgpt_user_id"),
        plan=_text(about, "chatgpt_plan_type"),
        organization_id=_text(about, "organization_id"),
        project_id=_text(about, "project_id"),
        onboarded=_truth(about, "completed_platform_onboarding"),
        org_owner=_truth(about, "is_org_owner"),
        subscribed_since=_text(about, "chatgpt_subscription_active_start"),
        groups=_texts(about.get("groups")),
    )


def _payload(token: Secret) -> Mapping[str, Any] | None:
    """Return the payload of a JWT (RFC 7519 section 3) as it stands, or None where it is none."""
    try:
        header, payload, _ = [_decoded(part) for part in token.reveal().split(".")]
        parts = json.loads(header), json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return parts[1] if all(isinstance(part, dict) for part in parts) else None


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


def _object(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = said.get(name)
    return value if isinstance(value, dict) else {}


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) and value else None


def _truth(said: Mapping[str, Any], name: str) -> bool | None:
    value = said.get(name)
    return value if isinstance(value, bool) else None


def _time(said: Mapping[str, Any], name: str) -> float | None:
    value = said.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    # Also no infinity, and nothing that is not a number.
    return number if 0 <= number < _END_OF_CALENDAR else None


def _audience(value: Any) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) and value else _texts(value)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value if isinstance(item, str) and item) if isinstance(value, list) else ()
