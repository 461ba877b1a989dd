"""Reading the Codex CLI's auth.json: from its file with care, from a text purely.

Messages name the field, never its value.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .claims import Claims, read_claims
from .errors import IdTokenInvalid, ImportRefused
from .foreign_text import shown
from .secret import LONGEST_TOKEN, Secret, is_token
from .unchained import unchained

LARGEST: Final = 1024 * 1024
AUTH_MODES: Final = ("apikey", "chatgpt", "chatgptAuthTokens")
OTHER_WAYS: Final = "Name another file with `--file`, or paste its content with `sidekey import codex -`."
_LONGEST_CLIENT: Final = 256
_MISSING: Final = "missing OPENAI_API_KEY or tokens.id_token"


@dataclass(frozen=True, slots=True, kw_only=True)
class CodexAuth:
    """What an auth.json holds.

    Attributes:
        auth_mode: as it stands there.
        api_key: ``OPENAI_API_KEY``.
        id_token, access_token, refresh_token: of ``tokens``.
        claims: what the id_token says; read, not checked.
        account_id: ``tokens.account_id``, else the id_token's.
        issuer: whom the tokens came from, where the file or its id_token says so; an allowed one.
        client_id: whom they are for: ``oauth_provenance``'s, else the id_token's audience.
        last_refresh: as it stands there.
        token_id: fingerprint of the file's refresh token, also where that is left out of the import.
    """

    auth_mode: str | None = None
    api_key: Secret | None = None
    id_token: Secret | None = None
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    claims: Claims | None = None
    account_id: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    last_refresh: str | None = None
    token_id: str | None = None


def auth_path(environ: Mapping[str, str], home: Path) -> Path:
    """Return where Codex keeps its auth.json: ``$CODEX_HOME``, else ``~/.codex``. Pure."""
    folder = environ.get("CODEX_HOME")
    return (Path(folder) if folder else home / ".codex") / "auth.json"


@unchained
def read_auth_file(path: Path) -> str:
    """Return the text of an auth.json; at most ``LARGEST`` bytes are ever read.

    Raises:
        ImportRefused: it is not there, or not a readable text file of a sane size.
    """
    try:
        # Opening a pipe must not wait for somebody who writes.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        with os.fdopen(descriptor, "rb") as file:
            _check_kind(path, os.fstat(descriptor))
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise ImportRefused(f"Codex auth.json not found at {path}", remedy=OTHER_WAYS) from None
    except IsADirectoryError:
        raise _is_folder(path) from None
    except PermissionError:
        # Windows says so of folders; Path.is_dir would raise where one may not look.
        if os.path.isdir(path):  # noqa: PTH112
            raise _is_folder(path) from None
        raise ImportRefused(
            f"{path} cannot be read: no permission", remedy="Run this as the user whose Codex sign-in it is."
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a path"
        raise ImportRefused(f"{path} cannot be read: {reason}", remedy=OTHER_WAYS) from None
    return decode_auth(data, str(path))


@unchained
def decode_auth(data: bytes, name: str) -> str:
    """Return the text of an auth.json's bytes. Pure.

    Args:
        data: all of it.
        name: what it is called in messages.

    Raises:
        ImportRefused: there is too much of it, or it is not UTF-8.
    """
    if len(data) > LARGEST:
        raise ImportRefused(f"{name} is larger than {LARGEST // 1024} KiB: that is no auth.json")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ImportRefused(f"{name} is not a text in UTF-8") from None


@unchained
def parse_auth(text: str, allows: Callable[[str], bool]) -> CodexAuth:
    """Return what an auth.json holds. Pure.

    Args:
        text: its content.
        allows: tells whether tokens may be sent to an issuer (``IssuerSettings.allows``).

    Raises:
        ImportRefused: it cannot be imported; the message names the field.
    """
    document = _document(text)
    auth_mode = _checked_mode(_text(document, "auth_mode"))
    tokens = _object(document, "tokens")
    provenance = _object(tokens, "tokens.oauth_provenance")
    api_key = _secret(document, "OPENAI_API_KEY")
    id_token = _secret(tokens, "tokens.id_token")
    access_token, refresh_token = (
        _secret(tokens, "tokens.access_token"),
        _secret(tokens, "tokens.refresh_token"),
    )
    named_issuer = _text(provenance, "tokens.oauth_provenance.issuer")
    named_client = _client(provenance, "tokens.oauth_provenance.client_id")
    account_id, last_refresh = _text(tokens, "tokens.account_id"), _text(document, "last_refresh")
    if api_key is None and id_token is None:
        raise ImportRefused(_MISSING, remedy="Sign in with `codex login` first, or run `sidekey login`.")
    claims = _claims(id_token) if id_token else None
    _check_issuer("tokens.oauth_provenance.issuer", named_issuer, allows)
    if named_issuer is None and claims is not None:
        _check_issuer("tokens.id_token's issuer", claims.iss, allows)
    return CodexAuth(
        auth_mode=auth_mode,
        api_key=api_key,
        id_token=id_token,
        access_token=access_token,
        refresh_token=refresh_token,
        claims=claims,
        account_id=account_id or (claims.account_id if claims else None),
        issuer=named_issuer or (claims.iss if claims else None),
        client_id=named_client or (next(filter(_is_client, claims.aud), None) if claims else None),
        last_refresh=shown(last_refresh, longest=40) if last_refresh else None,
        token_id=refresh_token.fingerprint() if refresh_token else None,
    )


def without_refresh_token(auth: CodexAuth) -> CodexAuth:
    """Return the key and the id_token only, so that the Codex CLI keeps its sign-in. Pure."""
    return replace(auth, refresh_token=None, access_token=None)


# --- reading what may be of any type ----------------------------------------------------------------------


def _check_kind(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise _is_folder(path)
    if not stat.S_ISREG(found.st_mode):
        raise ImportRefused(f"{path} is not a file", remedy=OTHER_WAYS)
    if found.st_size > LARGEST:
        raise ImportRefused(f"{path} is larger than {LARGEST // 1024} KiB: that is no auth.json")


def _is_folder(path: Path) -> ImportRefused:
    return ImportRefused(f"{path} is a folder", remedy=f"The file in it is meant: {path / 'auth.json'}")


def _document(text: str) -> Mapping[str, Any]:
    if not text.strip():
        raise ImportRefused("auth.json is empty")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise ImportRefused(f"auth.json is not JSON: {error.msg}, at {where}") from None
    except (ValueError, RecursionError):
        raise ImportRefused("auth.json is not JSON that can be read") from None
    if not isinstance(document, dict):
        raise ImportRefused("auth.json is not a JSON object")
    return document


def _checked_mode(auth_mode: str | None) -> str | None:
    if auth_mode is not None and auth_mode.lower() not in {mode.lower() for mode in AUTH_MODES}:
        raise ImportRefused(
            f"auth_mode {shown(auth_mode, longest=40)!r} is not one that can be imported",
            remedy=f"Known are {', '.join(AUTH_MODES)}; for another one run `sidekey login`.",
        )
    return auth_mode


def _check_issuer(field: str, issuer: str | None, allows: Callable[[str], bool]) -> None:
    if issuer is not None and not allows(issuer):
        raise ImportRefused(
            f"{field} is {shown(issuer, longest=100)!r}, where tokens may not be sent",
            remedy="If you trust it, name it in the setting allowed_issuers.",
        )


def _claims(id_token: Secret) -> Claims:
    try:
        return read_claims(id_token)
    except IdTokenInvalid:
        raise ImportRefused("tokens.id_token is not a JWT") from None


def _field(parent: Mapping[str, Any], name: str) -> Any:
    return parent.get(name.rpartition(".")[2])


def _object(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = _field(parent, name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ImportRefused(f"{name} must be an object")
    return value


def _text(parent: Mapping[str, Any], name: str) -> str | None:
    value = _field(parent, name)
    if value is not None and not isinstance(value, str):
        raise ImportRefused(f"{name} must be a string")
    return (value or "").strip() or None


def _secret(parent: Mapping[str, Any], name: str) -> Secret | None:
    value = _text(parent, name)
    if value is None:
        return None
    if len(value) > LONGEST_TOKEN:
        raise ImportRefused(f"{name} is longer than {LONGEST_TOKEN // 1024} KiB: that is no token")
    if not is_token(value):
        raise ImportRefused(f"{name} has characters that it cannot have")
    return Secret(value)


def _client(parent: Mapping[str, Any], name: str) -> str | None:
    value = _text(parent, name)
    if value is not None and not _is_client(value):
        raise ImportRefused(f"{name} cannot be a client's id")
    return value


def _is_client(value: str) -> bool:
    return len(value) <= _LONGEST_CLIENT and is_token(value)
