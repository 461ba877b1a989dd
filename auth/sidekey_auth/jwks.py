"""The issuer's public keys: reading the set (RFC 7517), and keeping it without storms of requests."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .clock import Clock
from .errors import IdTokenInvalid, IssuerUnavailable
from .id_token import ALGORITHM

SMALLEST_KEY: Final = 2048
"""Bits; RFC 7518 section 3.3 demands no less."""

EXTRA_FETCHES: Final = 3
EXTRA_WINDOW: Final = 300.0


@dataclass(frozen=True, slots=True)
class KeySet:
    """The keys that may sign id_tokens, each with its kid; pure."""

    keys: tuple[tuple[str | None, RSAPublicKey], ...]

    @classmethod
    def of(cls, document: Any) -> KeySet:
        """Return the RSA signing keys of a JWKS; all others are passed over (RFC 7517 section 5).

        Raises:
            ValueError: the document is no key set, or has no such key.
        """
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise ValueError("not a key set")  # noqa: TRY004 - what is wrong is the value of a document
        found = ((_kid(entry), _signing_key(entry)) for entry in listed if isinstance(entry, dict))
        keys = tuple((kid, key) for kid, key in found if key is not None)
        if not keys:
            raise ValueError("no RSA signing key in the set")
        return cls(keys)

    def candidates(self, kid: str | None) -> tuple[RSAPublicKey, ...]:
        """Return the keys that a token with this kid may be signed with; without a kid, all of them."""
        return tuple(key for own, key in self.keys if kid is None or own == kid)


def _kid(entry: Mapping[str, Any]) -> str | None:
    kid = entry.get("kid")
    return kid if isinstance(kid, str) else None


def _signing_key(entry: Mapping[str, Any]) -> RSAPublicKey | None:
    if (
        entry.get("kty") != "RSA"
        or entry.get("use", "sig") != "sig"
        or entry.get("alg", ALGORITHM) != ALGORITHM
    ):
        return None
    try:
        key = jwt.PyJWK(dict(entry), algorithm=ALGORITHM).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if isinstance(key, RSAPublicKey) and key.key_size >= SMALLEST_KEY else None


class KeySetCache:
    """Keeps an issuer's keys, and fetches them again when one is asked for that it does not know.

    Garbage kids cannot make it ask more often than ``EXTRA_FETCHES`` times in ``EXTRA_WINDOW`` seconds.

    Args:
        fetch: gets the keys; raises IssuerUnavailable.
        clock: its boot clock ages the keys.
        keep: seconds after which known keys are fetched again.
    """

    def __init__(self, fetch: Callable[[], Awaitable[KeySet]], *, clock: Clock, keep: float) -> None:
        self._fetch = fetch
        self._clock = clock
        self._keep = keep
        self._lock = asyncio.Lock()
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._extra: deque[float] = deque()

    async def candidates(self, kid: str | None) -> Sequence[RSAPublicKey]:
        """Return the keys that a token with this kid may be signed with.

        Raises:
            IdTokenInvalid: the issuer has just been asked, and has no such key.
            IssuerUnavailable: the keys cannot be had for now.
        """
        async with self._lock:
            keys = self._keys
            if keys is None or self._clock.boot() - self._fetched_at > self._keep:
                return _known(await self._renewed(), kid)
            if keys.candidates(kid):
                return keys.candidates(kid)
            self._spend_extra()
            return _known(await self._renewed(), kid)

    async def _renewed(self) -> KeySet:
        self._keys = await self._fetch()
        self._fetched_at = self._clock.boot()
        return self._keys

    def _spend_extra(self) -> None:
        now = self._clock.boot()
        while self._extra and now - self._extra[0] >= EXTRA_WINDOW:
            self._extra.popleft()
        if len(self._extra) >= EXTRA_FETCHES:
            left = EXTRA_WINDOW - (now - self._extra[0])
            raise IssuerUnavailable(
                "the id_token is signed with an unknown key, and the issuer's keys were asked for too often",
                sent=False,
                retry_after=left,
            )
        self._extra.append(now)


def _known(keys: KeySet, kid: str | None) -> Sequence[RSAPublicKey]:
    found = keys.candidates(kid)
    if not found:
        raise IdTokenInvalid("the id_token is signed with a key that the issuer does not have")
    return found
