"""What no log line may show: the values that are watched, and whatever looks like a secret. Pure.

Redaction is the last line, not the first: secrets are ``Secret`` values, which print as ``***`` anyway. It is
for what comes from elsewhere, such as a library's exception that quotes a URL. It rather masks too much than
too little.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Final
from urllib.parse import quote, quote_plus

from .secret import MASK, Secret

MOST_WATCHED: Final = 1000
SHORTEST_WATCHED: Final = 8
"""Characters; a shorter value would black out ordinary words."""
_DEEPEST: Final = 8

_SECRET_NAMES: Final = (
    "access_token",
    "refresh_token",
    "id_token",
    "subject_token",
    "api_key",
    "apikey",
    "openai_api_key",
    "client_key",
    "seal_key",
    "client_secret",
    "code_verifier",
    "device_auth_id",
    "password",
)
_SECRET_HEADERS: Final = (
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
)
_SECRET_KEYS: Final = frozenset(
    name.replace("-", "_") for name in (*_SECRET_NAMES, *_SECRET_HEADERS, "token", "bearer", "secret")
)

# Each alternative has at most one group: what stays before the mask.
_PATTERN: Final = re.compile(
    "|".join(
        (
            # API keys and client keys; the second kind also where they are glued to other text.
            r"(?<![A-Za-z0-9])sk-[\w-]{8,}",
            r"sk-(?:proj|side|svcacct|admin|None)-[\w-]{8,}",
            # JSON web tokens, whole or cut off (RFC 7519): the first part always begins with eyJ.
            r"eyJ[\w-]{12,}(?:\.[\w-]*)*",
            # Refresh tokens and authorization codes of the issuer.
            r"(?<![A-Za-z0-9])(?:rt[_.]|ac_)[\w.-]{8,}",
            # Bearer values (RFC 6750 section 2.1); in prose the word stands in small letters, before a word.
            r"""((?:Bearer|BEARER)(?:\s+|%20))[^\s"',;)}\]]+""",
            r"(bearer\s+)(?:(?=[\w.~+/=-]*[0-9])[\w.~+/=-]{6,}|[\w.~+/=-]{20,})",
            # Headers, as HTTP or Python writes them.
            rf"""((?<![\w-])(?i:{"|".join(_SECRET_HEADERS)})["']?\s*(?::|=|(?<=["']),)\s*b?["']?)[^\s"'][^\r\n"']*""",
            # Query and form parameters, also in a URL that is a parameter itself.
            r"((?:[?&#]|%3[Ff]|%26|%23)(?i:code|state|token|key|user_code)(?:=|%3[Dd]))(?:(?!%26)[^&#\s\"'<>)])+",
            # Named values in forms, JSON and Python's reprs.
            (
                rf"""((?<![A-Za-z0-9])(?i:{"|".join(_SECRET_NAMES)})(?:["']\s*:\s*b?["']|["']?\s*=\s*b?["']?|%3[Dd]))"""
                r"""(?:(?!%26)[^\s"'&,;}<>)])+"""
            ),
            # The user's part of a URL, such as a proxy's.
            r"(://)[^/\s@?#\"']+(?=@)",
        )
    )
)
_HINTS: Final = (
    "sk-",
    "eyj",
    "rt_",
    "rt.",
    "ac_",
    "earer",
    "token",
    "key",
    "secret",
    "verifier",
    "password",
    "authoriz",
    "device_auth",
    "cookie",
    "code",
    "state",
    "@",
)


def redact(text: str) -> str:
    """Return the text with everything that looks like a secret masked."""
    lower = text.lower()
    for hint in _HINTS:
        if hint in lower:
            return _PATTERN.sub(_masked, text)
    return text


def _masked(match: re.Match[str]) -> str:
    index = match.lastindex
    return (match[index] if index else "") + MASK


class Redactor:
    """Masks what looks like a secret, and the very values that it was told to watch.

    It remembers the last 1,000 of them.
    """

    def __init__(self) -> None:
        self._watched: dict[Secret, tuple[str, ...]] = {}

    def watch(self, *secrets: Secret) -> None:
        """Mask these values from now on, whatever they look like, in plain, URL and JSON spelling."""
        for secret in secrets:
            value = secret.reveal()
            if len(value) >= SHORTEST_WATCHED:
                self._watched.pop(secret, None)
                self._watched[secret] = _spellings(value)
        while len(self._watched) > MOST_WATCHED:
            self._watched.pop(next(iter(self._watched)))

    def text(self, text: str) -> str:
        """Return the text with all secrets masked."""
        for spellings in self._watched.values():
            for value in spellings:
                if value in text:
                    text = text.replace(value, MASK)
        return redact(text)

    def value(self, value: object, depth: int = _DEEPEST) -> Any:
        """Return the value in plain types, with all secrets in it masked.

        Args:
            value: anything; objects of unknown types become their masked repr.
            depth: how many levels of containers are looked into; what is deeper is left out.
        """
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Secret):
            return MASK
        if isinstance(value, Mapping | list | tuple | AbstractSet) and not depth:
            return "…"
        if isinstance(value, Mapping):
            return {self.text(str(key)): self.named(key, item, depth - 1) for key, item in value.items()}
        if isinstance(value, list | tuple | AbstractSet):
            return [self.value(item, depth - 1) for item in value]
        return self.text(_shown(value))

    def named(self, name: object, value: object, depth: int = _DEEPEST) -> Any:
        """Return a value that has a name: where the name says that it is secret, nothing of it is shown.

        Args:
            name: the value's key in a mapping, or of a log line.
            value: anything.
            depth: as for ``value``.
        """
        if value is None or isinstance(value, bool | int | float):
            return value
        secret = isinstance(name, str) and name.lower().replace("-", "_") in _SECRET_KEYS
        return MASK if secret else self.value(value, depth)


def _spellings(value: str) -> tuple[str, ...]:
    in_urls = (quote(value, safe="", errors="surrogatepass"), quote_plus(value, errors="surrogatepass"))
    spelled = (value, *in_urls, json.dumps(value)[1:-1], repr(value)[1:-1])
    return tuple(dict.fromkeys(sorted(spelled, key=len, reverse=True)))


def _shown(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return bytes(value).decode("utf-8", "backslashreplace")
    try:
        return str(value) if isinstance(value, BaseException) else repr(value)
    except Exception:  # noqa: BLE001 - a log line must not fail for what it shows
        return f"<{type(value).__name__}>"
