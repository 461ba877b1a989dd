"""Why the issuer gives a signed-in account no API key: the reasons that are known, as one table. Pure.

An organisation's administrators may allow service accounts' keys only, forbid new keys, or demand that keys
expire (the Platform's settings since September 2026). What the key exchange answers then was never seen, so a
reason is recognised by words in the answer's code and message. What no row recognises is kept with the
issuer's own code and words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .key_outlook import CHOOSE, NO_ORGANISATION, WAYS, WAYS_WITH_KEY

_TRIED_AGAIN: Final = "sidekey tries again with the next refresh; `sidekey refresh` does it now."
_NAME: Final = re.compile(r"(?<![a-z])name(?![a-z])")


@dataclass(frozen=True, slots=True)
class KeyRefusal:
    """One known reason.

    Attributes:
        code: for programs; stored with the credential.
        reason: for people, a clause without a full stop.
        says: what an answer's code or message holds, in lower case; all of them must be found.
        remedy: what to do.
        remedy_with_key: what to do where a static key is stored already.
    """

    code: str
    reason: str
    says: tuple[re.Pattern[str], ...]
    remedy: str
    remedy_with_key: str


def _by_policy(code: str, reason: str, *says: str, allow: str) -> KeyRefusal:
    remedy = f"Ask the organisation's administrator to allow {allow}, or {CHOOSE}"
    return KeyRefusal(
        code,
        reason,
        tuple(re.compile(pattern) for pattern in says),
        f"{remedy}, or store a key that they make for you with `sidekey key set`. {_TRIED_AGAIN}",
        f"{remedy}. {_TRIED_AGAIN}",
    )


_FORBIDDEN: Final = (
    r"disabl|disallow|forbid|prohibit|restrict|(?:turn|switch)ed.off|blocked"
    r"|(?:not|n't|cannot)[\W_]+(?:be[\W_]+)?(?:allow|permit|creat|enabl)"
)

KEY_REFUSALS: Final[tuple[KeyRefusal, ...]] = (
    KeyRefusal(
        "no_platform_key",
        NO_ORGANISATION,
        (re.compile(r"organization_id|\bno_organization\b"),),
        WAYS,
        WAYS_WITH_KEY,
    ),
    _by_policy(
        "service_account_keys_only",
        "the organisation allows keys of service accounts only",
        r"service.?account",
        allow="keys of people, too",
    ),
    _by_policy(
        "key_expiry_required",
        "the organisation wants every key to expire, and an exchanged one does not",
        r"key",
        r"expir(?:y|ation|es?(?![a-z]))|expires_|lifetime",
        allow="keys that do not expire",
    ),
    _by_policy(
        "key_creation_disabled",
        "the organisation forbids new keys",
        r"key",
        _FORBIDDEN,
        allow="new keys",
    ),
)

UNKNOWN_REMEDY: Final = (
    f"Do what the issuer's words ask for, or {CHOOSE}, or store an API key with `sidekey key set`. "
    f"{_TRIED_AGAIN}"
)
UNKNOWN_REMEDY_WITH_KEY: Final = f"Do what the issuer's words ask for, or {CHOOSE}. {_TRIED_AGAIN}"


def known_refusal(code: str | None, message: str) -> KeyRefusal | None:
    """Return the reason of a refused key exchange, or None where it is not a known one.

    Args:
        code: the issuer's error code.
        message: what it says.
    """
    said = f"{code or ''} {message}".lower()
    return next((row for row in KEY_REFUSALS if all(found.search(said) for found in row.says)), None)


def remedy_of(code: str, *, has_static_key: bool) -> str:
    """Return what to do about a refused key exchange, by the code that is stored of it.

    Args:
        code: of the table, or the issuer's own.
        has_static_key: a person has stored a key already.
    """
    known = next((row for row in KEY_REFUSALS if row.code == code), None)
    if known is None:
        return UNKNOWN_REMEDY_WITH_KEY if has_static_key else UNKNOWN_REMEDY
    return known.remedy_with_key if has_static_key else known.remedy


def speaks_of_name(code: str | None, message: str, parameter: str | None, *, name: str) -> bool:
    """Return whether a refusal is about the key's name.

    Args:
        code: the issuer's error code.
        message: what it says.
        parameter: the parameter that it complains about, where it names one.
        name: the name that was asked for; an issuer that only repeats it does not speak of it.
    """
    if parameter == "name":
        return True
    said = f"{code or ''} {message.replace(name, '')}".lower()
    return _NAME.search(said) is not None
