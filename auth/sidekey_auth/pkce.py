"""Proof Key for Code Exchange (RFC 7636), and the state of a sign-in (RFC 6749 section 10.12). Pure."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .secret import Secret

VERIFIER_BYTES: Final = 64
STATE_BYTES: Final = 32

RandomBytes = Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class Pkce:
    """What one sign-in proves itself with.

    Attributes:
        verifier: stays here until the code is exchanged (RFC 7636 section 4.1).
        challenge: goes into the authorize URL (section 4.2, method S256).
        state: goes there too, and must come back.
    """

    verifier: Secret
    challenge: str
    state: str


def new_pkce(random: RandomBytes = secrets.token_bytes) -> Pkce:
    """Return the proofs of a new sign-in.

    Args:
        random: gives that many bytes nobody can guess.
    """
    verifier = Secret(_base64url(random(VERIFIER_BYTES)))
    return Pkce(verifier, challenge_of(verifier), _base64url(random(STATE_BYTES)))


def challenge_of(verifier: Secret) -> str:
    """Return base64url(SHA-256(verifier)) without padding (RFC 7636 section 4.2)."""
    return _base64url(hashlib.sha256(verifier.reveal().encode("ascii")).digest())


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
