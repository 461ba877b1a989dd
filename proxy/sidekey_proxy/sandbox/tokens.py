"""The issuer's signing keys, and the tokens made with them: real RSA, real JWTs (RFC 7519, RS256)."""

from __future__ import annotations

import hashlib
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from .settings import SandboxAccount

AUTH_CLAIMS: Final = "https://api.openai.com/auth"
PROFILE_CLAIMS: Final = "https://api.openai.com/profile"
_BITS: Final = 2048


class SigningKey:
    """One RSA key with its kid.

    Args:
        key: the private key.
    """

    def __init__(self, key: rsa.RSAPrivateKey) -> None:
        self.private = key
        self.public = key.public_key()
        numbers = self.public.public_numbers()
        self._members = {"e": _base64url(numbers.e), "kty": "RSA", "n": _base64url(numbers.n)}
        canonical = json.dumps(self._members, separators=(",", ":"), sort_keys=True)
        self.kid = _text(hashlib.sha256(canonical.encode()).digest())  # RFC 7638 section 3

    def jwk(self) -> dict[str, str]:
        """Return the public key as JWKS lists it (RFC 7517 section 4)."""
        return {**self._members, "alg": "RS256", "use": "sig", "kid": self.kid}


class KeyRing:
    """The issuer's keys: the newest signs, the published ones stand in the JWKS, all are recognised."""

    def __init__(self) -> None:
        self._keys = [_process_key(0)]
        self._published = list(self._keys)

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._keys[-1]

    def rotate(self, *, keep_old: bool = True) -> str:
        """Sign with a new key from now on, and return its kid.

        Args:
            keep_old: leave the old keys in the JWKS.
        """
        self._keys.append(_process_key(len(self._keys)))
        self._published = [*(self._published if keep_old else ()), self.current]
        return self.current.kid

    def jwks(self) -> dict[str, list[dict[str, str]]]:
        """Return the published keys (RFC 7517 section 5)."""
        return {"keys": [key.jwk() for key in self._published]}

    def sign(self, claims: Mapping[str, Any], *, forged: bool = False) -> str:
        """Return a JWT.

        Args:
            claims: its payload.
            forged: sign with a key that is not the issuer's, under the issuer's kid.
        """
        key = _process_key(-1) if forged else self.current
        return jwt.encode(dict(claims), key.private, algorithm="RS256", headers={"kid": self.current.kid})

    def verified(self, token: str, *, audience: str, issuer: str) -> dict[str, Any]:
        """Return a JWT's claims.

        Raises:
            jwt.PyJWTError: signature, audience, issuer or expiry is not as it should be.
        """
        kid = jwt.get_unverified_header(token).get("kid")
        key = next((key for key in self._keys if key.kid == kid), None)
        if key is None:
            raise jwt.InvalidKeyError("unknown kid")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.public,
            algorithms=["RS256"],
            audience=audience,
            issuer=issuer,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
        return claims


@cache
def _process_key(_number: int) -> SigningKey:
    # Making a key takes a tenth of a second: the sandboxes of one process share theirs, in turn.
    return SigningKey(rsa.generate_private_key(public_exponent=65537, key_size=_BITS))


def id_token_claims(
    account: SandboxAccount,
    *,
    issuer: str,
    client_id: str,
    issued_at: float,
    lifetime: float,
    with_organization: bool,
) -> dict[str, Any]:
    """Return what an id_token says (OpenID Connect Core section 2, with OpenAI's claims).

    Args:
        account: whom it is about.
        issuer: ``iss``.
        client_id: ``aud``.
        issued_at: Unix time in seconds.
        lifetime: seconds.
        with_organization: whether ``id_token_add_organizations`` was asked for.
    """
    about: dict[str, Any] = {
        "chatgpt_account_id": account.account_id,
        "chatgpt_plan_type": account.plan,
        "chatgpt_user_id": account.user_id,
        "user_id": account.user_id,
        "completed_platform_onboarding": account.onboarded,
        "is_org_owner": account.owner,
        "groups": list(account.groups),
    }
    if account.subscribed_since:
        about["chatgpt_subscription_active_start"] = account.subscribed_since
    if with_organization and account.organization_id:
        about["organization_id"] = account.organization_id
        about["project_id"] = account.project_id
    return {
        "iss": issuer,
        "aud": [client_id],
        "sub": account.user_id,
        "iat": int(issued_at),
        "exp": int(issued_at + lifetime),
        "jti": secrets.token_urlsafe(12),
        "email": account.email,
        "email_verified": True,
        "name": account.name,
        AUTH_CLAIMS: about,
    }


def access_token_claims(
    account: SandboxAccount, *, issuer: str, client_id: str, scope: str, issued_at: float, lifetime: float
) -> dict[str, Any]:
    """Return what a ChatGPT access token says; it opens nothing of the Platform API."""
    return {
        "iss": issuer,
        "aud": ["https://api.openai.com/v1"],
        "client_id": client_id,
        "sub": account.user_id,
        "iat": int(issued_at),
        "exp": int(issued_at + lifetime),
        "jti": secrets.token_urlsafe(12),
        "scp": scope.split(),
        PROFILE_CLAIMS: {"email": account.email, "email_verified": True},
        AUTH_CLAIMS: {"chatgpt_account_id": account.account_id, "chatgpt_plan_type": account.plan},
    }


def _base64url(number: int) -> str:
    return _text(number.to_bytes((number.bit_length() + 7) // 8, "big"))


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
