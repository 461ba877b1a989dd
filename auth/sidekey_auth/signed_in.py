"""What a credential becomes when somebody signs in, and when the key exchange answers. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from .claims import Claims, read_claims, same_account, same_organization
from .credential import Credential, Failure, TokenSet, next_generation
from .errors import IdTokenInvalid, IssuerRefused, KeyRefused
from .made_keys import NewKey, remembered
from .renewal import ACCOUNT_CHANGED
from .secret import Secret


def signed_in(
    before: Credential,
    tokens: TokenSet,
    claims: Claims,
    *,
    issuer: str,
    client_id: str,
    now: float,
    verified: bool = True,
) -> Credential:
    """Return the credential after a sign-in, before its key exchange.

    The static key stays. The key of an earlier sign-in stays, too, until the new one is there, if it is
    the same account's in the same organisation: a running server goes on with it meanwhile.

    Args:
        before: what was stored.
        tokens: all three.
        claims: what the id_token says.
        issuer: whom the tokens came from.
        client_id: whom for.
        now: Unix time in seconds.
        verified: the claims are checked; else the id_token is kept apart until it can be.
    """
    stays = verified and _is_of(before, claims)
    generation = next_generation(before.generation, now)
    return Credential(
        profile=before.profile,
        mode="chatgpt",
        generation=generation,
        sign_in=generation,
        api_key=before.api_key if stays else None,
        key_source=before.key_source if stays else None,
        key_refused=before.key_refused and stays,
        static_key=before.static_key,
        id_token=tokens.id_token if verified else None,
        unverified_id_token=None if verified else tokens.id_token,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        last_refresh=datetime.fromtimestamp(now, UTC),
        received_at=now,
        issuer=issuer,
        client_id=client_id,
        keys_made=before.keys_made,
        made_keys=before.made_keys,
    )


def with_key(credential: Credential, key: NewKey, now: float) -> Credential:
    """Return the credential with the API key that its id_token was exchanged for.

    Args:
        credential: as stored.
        key: what came out of the exchange.
        now: Unix time in seconds.
    """
    token = credential.id_token
    return replace(
        credential,
        api_key=key.value,
        generation=credential.generation + 1,
        key_source=token.fingerprint() if token else None,
        key_refused=False,
        exchange_failure=None,
        keys_made=credential.keys_made + 1,
        made_keys=remembered(credential.made_keys, key, now),
    )


def without_key(credential: Credential, error: IssuerRefused, now: float) -> Credential:
    """Return the credential whose id_token was refused at the key exchange; the tokens are kept.

    Args:
        credential: as stored.
        error: the issuer's no.
        now: Unix time in seconds.
    """
    token = credential.id_token
    if token is None:
        return credential
    code = error.code if isinstance(error, KeyRefused) else error.error_code or error.code
    failure = Failure(token.fingerprint(), code, str(error), now)
    return replace(credential, exchange_failure=failure)


def verified(credential: Credential, token: Secret, claims: Claims, now: float) -> Credential:
    """Return the credential after the id_token that a refresh returned was checked.

    Another account's id_token is not used, and the sign-in has ended then; the tokens are kept.

    Args:
        credential: as stored; unchanged where its unchecked id_token is another one.
        token: the id_token that was checked.
        claims: what it says.
        now: Unix time in seconds.
    """
    if credential.unverified_id_token != token:
        return credential
    old = read_claims(credential.id_token) if credential.id_token else None
    if old is not None and not same_account(old, claims):
        refresh_token = credential.refresh_token
        message = "the refresh returned another account's id_token, which is not used"
        failure = (
            Failure(refresh_token.fingerprint(), ACCOUNT_CHANGED, message, now) if refresh_token else None
        )
        return replace(credential, unverified_id_token=None, refresh_failure=failure)
    received = credential.last_refresh.timestamp() if credential.last_refresh else now
    return replace(credential, id_token=token, unverified_id_token=None, received_at=received)


def without_invalid(credential: Credential, token: Secret) -> Credential:
    """Return the credential without an id_token that turned out to be none of the issuer's."""
    if credential.unverified_id_token != token:
        return credential
    return replace(credential, unverified_id_token=None)


def _is_of(credential: Credential, claims: Claims) -> bool:
    if credential.api_key is None or credential.id_token is None:
        return False
    try:
        old = read_claims(credential.id_token)
        # Another organisation's key would go on being billed there though the new one's was chosen.
        return same_account(old, claims) and same_organization(old, claims)
    except IdTokenInvalid:
        return False
