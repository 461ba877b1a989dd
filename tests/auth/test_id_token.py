"""An id_token is believed only where signature, issuer, audience and time are right."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sidekey_auth.claims import Claims, read_claims
from sidekey_auth.errors import IdTokenInvalid
from sidekey_auth.id_token import key_id, verify
from sidekey_auth.secret import Secret

ISSUER = "https://auth.example"
CLIENT = "app_test"
NOW = 1_800_000_000.0
SAID: dict[str, Any] = {
    "iss": ISSUER,
    "aud": [CLIENT],
    "sub": "auth0|ada",
    "iat": NOW - 10,
    "exp": NOW + 3600,
    "email": "ada@example.com",
}


@cache
def key(number: int = 0) -> rsa.RSAPrivateKey:
    del number
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def token(signer: rsa.RSAPrivateKey | None = None, *, kid: str = "k", **changes: Any) -> Secret:
    said = {name: value for name, value in {**SAID, **changes}.items() if value is not None}
    return Secret(jwt.encode(said, signer or key(), algorithm="RS256", headers={"kid": kid}))


def check(value: Secret, *, issuer: str = ISSUER, now: float = NOW, leeway: float = 60.0) -> Claims:
    keys = [key(1).public_key(), key().public_key()]
    return verify(value, keys, issuer=issuer, audience=CLIENT, leeway=leeway, now=now)


def test_a_true_token_is_verified() -> None:
    assert check(token()) == read_claims(token())


@pytest.mark.parametrize("said", [ISSUER, ISSUER + "/"])
@pytest.mark.parametrize("expected", [ISSUER, ISSUER + "/"])
def test_a_slash_at_the_issuers_end_does_not_matter(said: str, expected: str) -> None:
    assert check(token(iss=said), issuer=expected).iss == said


def test_the_leeway_forgives_that_much_and_no_more() -> None:
    assert check(token(), now=NOW + 3600 + 59.9)
    with pytest.raises(IdTokenInvalid, match="has expired"):
        check(token(), now=NOW + 3600 + 60)
    assert check(token(nbf=NOW + 59))
    with pytest.raises(IdTokenInvalid, match="not valid yet"):
        check(token(nbf=NOW + 61))


def test_the_time_is_the_one_that_is_passed_in() -> None:
    assert check(token(exp=1000, iat=0), now=500.0)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": "https://auth.example.evil"}, "another issuer"),
        ({"iss": ISSUER + "//"}, "another issuer"),
        ({"iss": [ISSUER]}, "not as it should be|another issuer"),
        ({"iss": None}, "lacks the claim iss"),
        ({"aud": ["app_other"]}, "another client"),
        ({"aud": "app_other"}, "another client"),
        ({"aud": []}, "another client|lacks the claim aud"),
        ({"aud": {CLIENT: 1}}, "another client"),
        ({"aud": None}, "lacks the claim aud"),
        ({"exp": None}, "lacks the claim exp"),
        ({"exp": "tomorrow"}, "has expired"),
        ({"exp": True}, "has expired"),
        ({"sub": 5}, "not as it should be"),
    ],
)
def test_a_token_that_is_not_as_it_should_be_is_refused(changes: dict[str, Any], reason: str) -> None:
    said = {name: value for name, value in {**SAID, **changes}.items() if value is not None}
    raw = jwt.PyJWS().encode(json.dumps(said).encode(), key(), algorithm="RS256")
    with pytest.raises(IdTokenInvalid, match=reason):
        check(Secret(raw))


def test_another_keys_signature_is_refused() -> None:
    with pytest.raises(IdTokenInvalid, match="signature is not the issuer's"):
        check(token(key(2)))
    with pytest.raises(IdTokenInvalid, match="signature is not the issuer's"):
        verify(token(), [], issuer=ISSUER, audience=CLIENT, leeway=0, now=NOW)


def test_a_changed_payload_is_refused() -> None:
    head, _, signature = token().reveal().split(".")
    other = token(email="mallory@example.com").reveal().split(".")[1]
    with pytest.raises(IdTokenInvalid, match="signature"):
        check(Secret(f"{head}.{other}.{signature}"))


def test_only_rs256_is_let_in() -> None:
    public = key().public_key()
    other = [
        jwt.encode(SAID, "", algorithm="none"),
        jwt.encode(SAID, "k" * 64, algorithm="HS256"),
        jwt.encode(SAID, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
        jwt.encode(SAID, key(), algorithm="RS512"),
        jwt.encode(SAID, key(), algorithm="PS256"),
    ]
    for value in other:
        with pytest.raises(IdTokenInvalid, match="not signed with RS256"):
            verify(Secret(value), [public], issuer=ISSUER, audience=CLIENT, leeway=0, now=NOW)


def test_the_kid_is_read_and_an_odd_one_passed_over() -> None:
    assert key_id(token(kid="abc")) == "abc"
    assert key_id(Secret(jwt.encode(SAID, key(), algorithm="RS256"))) is None


@pytest.mark.parametrize("value", ["x", "a.b", "a.b.c", "a.b.c.d", "eyJhbGciOiJSUzI1NiJ9.W10.x", "ä.ö.ü"])
def test_what_is_not_a_jwt_is_not_true(value: str) -> None:
    with pytest.raises(IdTokenInvalid):
        check(Secret(value))
    with pytest.raises(IdTokenInvalid):
        key_id(Secret(value))
