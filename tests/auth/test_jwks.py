from __future__ import annotations

import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from sidekey_auth.errors import IdTokenInvalid, IssuerUnavailable
from sidekey_auth.jwks import EXTRA_FETCHES, EXTRA_WINDOW, KeySet, KeySetCache

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def jwk(kid: str | None, **changes: Any) -> dict[str, Any]:
    entry = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(RSA.public_key()))
    entry = {"kty": "RSA", "n": entry["n"], "e": entry["e"], "kid": kid, **changes}
    return {name: value for name, value in entry.items() if value is not None}


def keys(*kids: str) -> KeySet:
    return KeySet.of({"keys": [jwk(kid) for kid in kids]})


class HandClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def wall(self) -> float:
        return self.now

    def boot(self) -> float:
        return self.now


class Published:
    """What an issuer publishes, and how often it was asked."""

    def __init__(self, *kids: str) -> None:
        self.kids = kids
        self.asked = 0
        self.away = False

    async def fetch(self) -> KeySet:
        self.asked += 1
        if self.away:
            raise IssuerUnavailable("away")
        return keys(*self.kids)


def test_only_rsa_signing_keys_of_a_sane_size_are_taken() -> None:
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505
    elliptic = ec.generate_private_key(ec.SECP256R1()).public_key()
    document = {
        "keys": [
            jwk("good"),
            jwk("also good", alg="RS256", use="sig"),
            jwk("for encryption", use="enc"),
            jwk("other algorithm", alg="RS512"),
            jwk("broken", n="!"),
            jwk("broken, too", n=None),
            {"kid": "small", **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(small))} | {"use": "sig"},
            {"kid": "elliptic", **json.loads(jwt.algorithms.ECAlgorithm.to_jwk(elliptic))},
            {"kid": "symmetric", "kty": "oct", "k": "c2VjcmV0"},
            "nonsense",
        ]
    }
    assert [kid for kid, _ in KeySet.of(document).keys] == ["good", "also good"]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": []}, {"keys": [{"kty": "oct"}]}])
def test_what_is_no_key_set_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match="key"):
        KeySet.of(document)


def test_without_a_kid_every_key_may_have_signed() -> None:
    assert len(keys("a", "b").candidates(None)) == 2
    assert len(keys("a", "b").candidates("a")) == 1
    assert keys("a", "b").candidates("c") == ()


async def test_known_keys_are_kept_and_fetched_again_when_they_are_old() -> None:
    clock, issuer = HandClock(), Published("a")
    cache = KeySetCache(issuer.fetch, clock=clock, keep=3600)
    for _ in range(5):
        assert len(await cache.candidates("a")) == 1
    assert issuer.asked == 1
    clock.now += 3601
    await cache.candidates("a")
    assert issuer.asked == 2


async def test_an_unknown_kid_makes_it_ask_again() -> None:
    clock, issuer = HandClock(), Published("a")
    cache = KeySetCache(issuer.fetch, clock=clock, keep=3600)
    await cache.candidates("a")
    issuer.kids = ("a", "b")
    assert len(await cache.candidates("b")) == 1
    assert issuer.asked == 2


async def test_a_kid_that_the_issuer_does_not_have_is_no_key() -> None:
    cache = KeySetCache(Published("a").fetch, clock=HandClock(), keep=3600)
    with pytest.raises(IdTokenInvalid):
        await cache.candidates("zzz")


async def test_garbage_kids_provoke_no_storm() -> None:
    clock, issuer = HandClock(), Published("a")
    cache = KeySetCache(issuer.fetch, clock=clock, keep=3600)
    await cache.candidates("a")
    for number in range(EXTRA_FETCHES):
        with pytest.raises(IdTokenInvalid):
            await cache.candidates(f"garbage-{number}")
    for number in range(100):
        with pytest.raises(IssuerUnavailable) as caught:
            await cache.candidates(f"more-{number}")
        assert caught.value.retry_after == EXTRA_WINDOW
    assert issuer.asked == 1 + EXTRA_FETCHES
    assert await cache.candidates("a")
    clock.now += EXTRA_WINDOW
    issuer.kids = ("a", "b")
    assert await cache.candidates("b")


async def test_keys_out_of_reach_are_transient() -> None:
    issuer = Published("a")
    issuer.away = True
    cache = KeySetCache(issuer.fetch, clock=HandClock(), keep=3600)
    with pytest.raises(IssuerUnavailable):
        await cache.candidates("a")
    issuer.away = False
    assert await cache.candidates("a")
