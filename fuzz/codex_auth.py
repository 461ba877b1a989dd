"""An auth.json of any bytes: it is imported or refused in words, and nothing secret is in them."""

from __future__ import annotations

import json
from typing import Any, Final

from sidekey_auth.codex import LARGEST, CodexAuth, decode_auth, parse_auth, without_refresh_token
from sidekey_auth.codex_preview import preview
from sidekey_auth.errors import ImportRefused
from sidekey_auth.issuer_settings import IssuerSettings

from .fault import demand

_NAME: Final = "auth.json"
_NOW: Final = 1_790_000_000.0
_SHORTEST: Final = 12
"""Characters; a shorter value stands in other words by accident."""
_TOKENS: Final = ("id_token", "access_token", "refresh_token")


def fuzz(data: bytes) -> None:
    """Read the bytes as an auth.json."""
    secrets = _secrets(data)
    try:
        auth = parse_auth(decode_auth(data, _NAME), IssuerSettings().allows)
    except ImportRefused as refused:
        _check_words(f"{refused} {refused.remedy or ''}", secrets)
        return
    demand(len(data) <= LARGEST, "it is larger than one may be")
    demand(auth.api_key or auth.id_token, "there is nothing in it")
    for one in (auth, without_refresh_token(auth)):
        _check_preview(one, secrets)


def _check_preview(auth: CodexAuth, secrets: list[str]) -> None:
    seen = preview(auth, _NOW)
    _check_words(repr(seen), secrets)
    for text in (seen.account, seen.plan, seen.issuer, seen.client_id, seen.api_key, seen.notice):
        demand(text is None or text.isprintable(), f"it would move a terminal's cursor: {text!r}")
    for secret in (auth.api_key, auth.id_token, auth.access_token, auth.refresh_token):
        if secret is not None:
            demand(f"{secret!r}{secret}" == "***" * 2, "a Secret shows itself")


def _check_words(words: str, secrets: list[str]) -> None:
    for secret in secrets:
        demand(secret not in words, "a secret is told")


def _secrets(data: bytes) -> list[str]:
    """Return what stands where secrets stand, and nowhere else."""
    try:
        document: Any = json.loads(data)
    except (ValueError, RecursionError):
        return []
    if not isinstance(document, dict):
        return []
    tokens = document.get("tokens")
    found = [document.get("OPENAI_API_KEY")]
    if isinstance(tokens, dict):
        found += [tokens.get(name) for name in _TOKENS]
    others = _texts_elsewhere(document)
    return [
        value
        for value in found
        if isinstance(value, str)
        and len(value) >= _SHORTEST
        and not any(value.strip() in text for text in others)
    ]


def _texts_elsewhere(value: Any, name: str = "", depth: int = 50) -> list[str]:
    if not depth:
        return []
    if isinstance(value, dict):
        return [
            text
            for key, item in value.items()
            if key not in {"OPENAI_API_KEY", *_TOKENS}
            for text in (key, *_texts_elsewhere(item, key, depth - 1))
        ]
    return [value] if isinstance(value, str) and name else []
