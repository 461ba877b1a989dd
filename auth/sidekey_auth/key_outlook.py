"""Whether a sign-in can end in an API key, told from its id_token's claims, and what to do if not. Pure.

It informs and forbids nothing: claims may be incomplete, so an exchange that looks unlikely is tried all the
same. What an account without an organisation can do is worded here, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .claims import Claims, read_claims
from .credential import Credential, Failure
from .errors import IdTokenInvalid
from .issuer_settings import PLATFORM

NO_ORGANISATION: Final = "the account has no Platform organisation"

_ONBOARD: Final = f"complete the onboarding at {PLATFORM} and run `sidekey login` again"
CHOOSE: Final = (
    "try `sidekey login --choose-organization`, whose page may let you choose an organisation and a project"
)
WAYS: Final = f"C{_ONBOARD[1:]}, or {CHOOSE}, or store an API key with `sidekey key set`."
"""The three ways that are left."""
WAYS_WITH_KEY: Final = f"To have a key of the sign-in's own, {_ONBOARD}, or {CHOOSE}."
"""The same for who has stored a key already."""


@dataclass(frozen=True, slots=True)
class KeyOutlook:
    """What an id_token tells of the key exchange beforehand.

    Attributes:
        likely: it names all that an exchange needs.
        reason: why, a clause without a full stop.
    """

    likely: bool
    reason: str

    @property
    def sentence(self) -> str:
        """The whole of it, for people."""
        return f"An API key is {'likely' if self.likely else 'unlikely'}: {self.reason}."

    def ways(self, *, has_static_key: bool) -> str:
        """Return what is left to do, for people: nothing where a key is likely.

        Args:
            has_static_key: a person has stored one already.
        """
        if self.likely:
            return ""
        return WAYS_WITH_KEY if has_static_key else WAYS


@dataclass(frozen=True, slots=True)
class KeyExchange:
    """How it stands with the exchange of a stored id_token.

    Attributes:
        outlook: what the id_token tells of it.
        done: the id_token has its API key; then it does not matter what it tells.
        refused: why the issuer has refused it, or None.
    """

    outlook: KeyOutlook
    done: bool
    refused: Failure | None


def key_outlook(claims: Claims) -> KeyOutlook:
    """Return what an id_token tells of the key exchange beforehand.

    OpenAI refuses an id_token without an organisation; Codex's first script asked for a project, too, before
    it tried. An onboarding that is said to be incomplete is what Codex sends people to the Platform for.

    Args:
        claims: of the id_token; they need not be checked.
    """
    if claims.organization_id is None:
        return KeyOutlook(likely=False, reason="the id_token names no Platform organisation")
    if claims.project_id is None:
        return KeyOutlook(likely=False, reason="the id_token names a Platform organisation, but no project")
    if claims.onboarded is False:
        return KeyOutlook(likely=False, reason="the onboarding at the Platform is not completed")
    return KeyOutlook(likely=True, reason="the id_token names a Platform organisation and a project")


def key_exchange_of(credential: Credential) -> KeyExchange | None:
    """Return how it stands with the key exchange of a sign-in, or None where there is none to speak of.

    Args:
        credential: as stored.
    """
    token, failure = credential.id_token, credential.exchange_failure
    if credential.mode != "chatgpt" or token is None:
        return None
    try:
        claims = read_claims(token)
    except IdTokenInvalid:
        return None
    fingerprint = token.fingerprint()
    refused = failure if failure is not None and failure.token == fingerprint else None
    done = credential.key_source == fingerprint and refused is None
    return KeyExchange(key_outlook(claims), done, refused)
