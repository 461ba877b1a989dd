"""What the issuer's answers hold: tokens, keys, codes; ``issuer_failures`` decides about a no. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .credential import TokenSet
from .errors import DeviceCodeUnavailable, IssuerRefused, KeyNameRefused, KeyRefused, NoPlatformKey
from .foreign_text import shown
from .issuer_failures import (
    Answer,
    Sent,
    document_of,
    error_code,
    error_parameter,
    error_text,
    failure,
    has_error,
    is_transient,
    reason,
    text_of,
    unavailable,
)
from .jwks import KeySet
from .key_refusals import UNKNOWN_REMEDY, known_refusal, speaks_of_name
from .secret import Secret, token_or_none
from .unchained import unchained

OK: Final = 200
USUAL_INTERVAL: Final = 5.0
LONGEST_INTERVAL: Final = 60.0
SLOW_DOWN: Final = "slow_down"
_DEVICE_PENDING: Final = "authorization_pending"
_DEVICE_ENDED: Final = frozenset({"access_denied", "expired_token"})
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_KEY_REFUSED: Final = range(400, 500)


@dataclass(frozen=True, slots=True)
class DeviceStart:
    """A device code that waits for its person.

    Attributes:
        device_auth_id: names it to the issuer.
        user_code: what the person types.
        interval: seconds between two polls.
    """

    device_auth_id: Secret
    user_code: str
    interval: float


@dataclass(frozen=True, slots=True)
class DeviceGrant:
    """What a device code turned into: a code to exchange, with the verifier the issuer made for it."""

    code: Secret
    verifier: Secret


# --- tokens -----------------------------------------------------------------------------------------------


@unchained
def tokens_of_code(answer: Answer, sent: Sent = ()) -> TokenSet:
    """Return what a code was exchanged for: all three tokens are required.

    Raises:
        IssuerRefused, IssuerUnavailable: no.
    """
    what = "the code could not be exchanged"
    said = _granted(answer, what, sent)
    tokens = _tokens(said)
    missing = [
        name for name in ("id_token", "access_token", "refresh_token") if getattr(tokens, name) is None
    ]
    if missing:
        raise unavailable(answer, f"{what}: the issuer's answer lacks {', '.join(missing)}")
    return tokens


@unchained
def tokens_of_refresh(answer: Answer, sent: Sent = ()) -> TokenSet:
    """Return what a refresh brought; each token may be left out.

    One that cannot be one (of a wrong type, with odd characters, endless) counts as left out, so that a
    rotated refresh token beside it is not lost.

    Raises:
        IssuerRefused, IssuerUnavailable: no.
    """
    return _tokens(_granted(answer, "the refresh failed", sent))


@unchained
def traded_key(answer: Answer, sent: Sent = (), *, name: str | None = None) -> Secret:
    """Return the API key that an id_token was exchanged for.

    Args:
        answer: the issuer's.
        sent: the secrets of the request.
        name: that the key was to have.

    Raises:
        NoPlatformKey: the account has no Platform organisation.
        KeyRefused: a policy of the organisation stands in the way.
        KeyNameRefused: the issuer does not take the name.
        IssuerRefused, IssuerUnavailable: no; an answer without a key is no key.
    """
    what = "the sign-in could not be exchanged for an API key"
    if answer.status in _KEY_REFUSED and not is_transient(answer.status) and has_error(answer):
        raise _key_refusal(answer, sent, name)
    key = token_or_none(_granted(answer, what, sent).get("access_token"))
    if key is None:
        raise unavailable(answer, f"{what}: the issuer's answer holds no key")
    return key


def _key_refusal(answer: Answer, sent: Sent, name: str | None) -> IssuerRefused:
    """Return what a refusal in words means; it holds for this very id_token, whatever its status."""
    code, text, words = error_code(document_of(answer), sent), error_text(answer, sent), reason(answer, sent)
    if name and speaks_of_name(code, text, error_parameter(answer), name=name):
        return KeyNameRefused(words, error_code=code, status=answer.status)
    known = known_refusal(code, text)
    if known is None:
        return IssuerRefused(words, error_code=code, status=answer.status, remedy=UNKNOWN_REMEDY)
    kind = NoPlatformKey if known.code == NoPlatformKey.code else KeyRefused
    message = f"{known.reason} ({words})"
    return kind(message, reason=known.code, error_code=code, status=answer.status, remedy=known.remedy)


def _granted(answer: Answer, what: str, sent: Sent) -> Mapping[str, Any]:
    said = document_of(answer)
    # A rotated refresh token must not be lost, whatever else stands beside it.
    if answer.status == OK and said is not None and (text_of(said, "refresh_token") or not said.get("error")):
        return said
    raise failure(answer, what, sent)


def _tokens(said: Mapping[str, Any]) -> TokenSet:
    return TokenSet(
        id_token=token_or_none(said.get("id_token")),
        access_token=token_or_none(said.get("access_token")),
        refresh_token=token_or_none(said.get("refresh_token")),
    )


# --- the device code --------------------------------------------------------------------------------------


@unchained
def device_start(answer: Answer) -> DeviceStart:
    """Return a fresh device code.

    Raises:
        DeviceCodeUnavailable: it is not enabled for this account.
        IssuerRefused, IssuerUnavailable: no.
    """
    what = "there is no device code"
    if answer.status == _NOT_FOUND:
        raise DeviceCodeUnavailable("the device code is not enabled for this account")
    said = _granted(answer, what, ())
    identity = token_or_none(said.get("device_auth_id"))
    code = text_of(said, "user_code") or text_of(said, "usercode")
    if identity is None or code is None:
        raise unavailable(answer, f"{what}: the issuer's answer lacks it")
    return DeviceStart(identity, shown(code, longest=40), _interval(said.get("interval")))


@unchained
def device_grant(answer: Answer, sent: Sent = ()) -> DeviceGrant | None:
    """Return what a poll for the device code brought, or None while the person has not been there.

    OpenAI says so with 403 and 404; the codes of RFC 8628 section 3.5 count at any status.

    Raises:
        IssuerRefused: final: refused, expired, unknown.
        IssuerUnavailable: a server error, an answer that cannot be read (a captive portal's, too), or
            ``SLOW_DOWN``: the code lives on.
    """
    what = "the device code was not confirmed"
    document = document_of(answer)
    code = error_code(document, sent)
    if code == SLOW_DOWN:
        raise unavailable(answer, f"{what}: {reason(answer, sent)}", code)
    pending = answer.status in {_FORBIDDEN, _NOT_FOUND} and code not in _DEVICE_ENDED
    if pending or code == _DEVICE_PENDING:
        return None
    if answer.status != OK and not is_transient(answer.status) and document is not None:
        raise IssuerRefused(f"{what}: {reason(answer, sent)}", error_code=code, status=answer.status)
    said = _granted(answer, what, sent)
    given, verifier = token_or_none(said.get("authorization_code")), token_or_none(said.get("code_verifier"))
    if given is None or verifier is None:
        raise unavailable(answer, f"{what}: the issuer's answer lacks the code")
    return DeviceGrant(given, verifier)


def _interval(value: Any) -> float:
    """Return seconds between polls; OpenAI sends a string."""
    try:
        seconds = float(value) if isinstance(value, str | int | float) else USUAL_INTERVAL
    except (ValueError, OverflowError):
        return USUAL_INTERVAL
    return min(seconds, LONGEST_INTERVAL) if math.isfinite(seconds) and seconds > 0 else USUAL_INTERVAL


# --- the rest ---------------------------------------------------------------------------------------------


def key_set(answer: Answer) -> KeySet:
    """Return the issuer's public keys.

    Raises:
        IssuerUnavailable: they are not there.
    """
    what = "the issuer's public keys cannot be had"
    if answer.status != OK:
        raise unavailable(answer, f"{what}: {reason(answer, ())}")
    try:
        return KeySet.of(document_of(answer))
    except ValueError as error:
        raise unavailable(answer, f"{what}: {error}") from None


def check_revoked(answer: Answer, sent: Sent = ()) -> None:
    """Insist that a token was revoked (RFC 7009 section 2.2).

    Raises:
        IssuerRefused, IssuerUnavailable: it was not.
    """
    if answer.status != OK:
        raise failure(answer, "the sign-in was not revoked", sent)
