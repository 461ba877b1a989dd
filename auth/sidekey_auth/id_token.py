"""Whether an id_token is true: who signed it, for whom, and until when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .claims import Claims, claims_of
from .errors import IdTokenInvalid
from .secret import Secret
from .unchained import unchained

ALGORITHM: Final = "RS256"
_OWN_TIME: Final[dict[str, Any]] = {
    "require": ["exp", "iss", "aud"],
    "verify_exp": False,
    "verify_iat": False,
    "verify_nbf": False,
}


@unchained
def key_id(token: Secret) -> str | None:
    """Return which of the issuer's keys an id_token claims to be signed with (RFC 7515 section 4.1.4).

    Raises:
        IdTokenInvalid: it is not a JWT, or it is signed with anything but RS256.
    """
    try:
        header = jwt.get_unverified_header(token.reveal())
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise IdTokenInvalid("the id_token is not a JWT") from None
    if header.get("alg") != ALGORITHM:
        raise IdTokenInvalid("the id_token is not signed with RS256")
    kid = header.get("kid")
    return kid if isinstance(kid, str) else None


@unchained
def verify(
    token: Secret,
    keys: Sequence[RSAPublicKey],
    *,
    issuer: str,
    audience: str,
    leeway: float,
    now: float,
) -> Claims:
    """Return the claims of an id_token that is true (OpenID Connect Core section 3.1.3.7).

    Args:
        token: the id_token.
        keys: the issuer's keys that may have signed it; one must have.
        issuer: its ``iss`` must be this, with or without a slash at its end.
        audience: its ``aud`` must hold this: the client id.
        leeway: seconds that the issuer's clock and ours may differ.
        now: Unix time in seconds.

    Raises:
        IdTokenInvalid: it is not; the message says in which point.
    """
    key_id(token)
    said = _checked(token, keys, issuer=issuer, audience=audience)
    claims = claims_of(said)
    if claims.exp is None or now >= claims.exp + leeway:
        raise IdTokenInvalid("the id_token has expired")
    if claims.nbf is not None and now < claims.nbf - leeway:
        raise IdTokenInvalid("the id_token is not valid yet")
    return claims


def _checked(token: Secret, keys: Sequence[RSAPublicKey], *, issuer: str, audience: str) -> dict[str, Any]:
    plain = issuer.rstrip("/")
    for key in keys:
        try:
            said: dict[str, Any] = jwt.decode(
                token.reveal(),
                key,
                algorithms=[ALGORITHM],
                audience=audience,
                issuer=[plain, f"{plain}/"],
                options=_OWN_TIME,  # type: ignore[arg-type]
            )
        except jwt.InvalidSignatureError:
            continue
        except jwt.InvalidIssuerError:
            raise IdTokenInvalid("the id_token is from another issuer") from None
        except jwt.InvalidAudienceError:
            raise IdTokenInvalid("the id_token is for another client") from None
        except jwt.MissingRequiredClaimError as error:
            raise IdTokenInvalid(f"the id_token lacks the claim {error.claim}") from None
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise IdTokenInvalid("the id_token is not as it should be") from None
        return said
    raise IdTokenInvalid("the id_token's signature is not the issuer's")
