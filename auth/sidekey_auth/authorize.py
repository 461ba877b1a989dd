"""The authorize URL, and what comes back through the callback (RFC 6749 section 4.1, RFC 7636). Pure."""

from __future__ import annotations

import hmac
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from .errors import NoAuthorizationCode, SignInRefused, StateMismatch
from .foreign_text import shown
from .issuer_settings import AUTHORIZE_PATH, CALLBACK_PATH, IssuerSettings
from .secret import Secret
from .unchained import unchained

MOST_FIELDS: Final = 50
LONGEST_CALLBACK: Final = 64 * 1024


def redirect_uri(settings: IssuerSettings, port: int) -> str:
    """Return where the issuer sends the browser back to (RFC 8252 section 7.3)."""
    return f"http://{settings.redirect_host}:{port}{CALLBACK_PATH}"


def authorize_url(
    settings: IssuerSettings, *, redirect_uri: str, challenge: str, state: str, simplified: bool = True
) -> str:
    """Return the address that the browser is sent to.

    Args:
        settings: issuer, client, scope and the like.
        redirect_uri: where the browser is sent back to.
        challenge: of PKCE, method S256.
        state: must come back.
        simplified: ask for Codex's simplified page. The older one let people choose the API organisation
            and the project (openai/codex#2000, August 2025); that it still exists is not verified.
    """
    query = {
        "response_type": "code",
        "client_id": settings.client_id,
        "redirect_uri": redirect_uri,
        "scope": settings.scope,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "state": state,
        "id_token_add_organizations": "true",
    }
    if simplified:
        query["codex_cli_simplified_flow"] = "true"
    if settings.originator:
        query["originator"] = settings.originator
    if settings.allowed_workspace_id:
        query["allowed_workspace_id"] = ",".join(settings.allowed_workspace_id)
    return f"{settings.url(AUTHORIZE_PATH)}?{urlencode(query, quote_via=quote)}"


@unchained
def parse_callback(callback: str, expected_state: str) -> Secret:
    """Return the authorization code of a callback (RFC 6749 section 4.1.2).

    The state is compared first, in constant time; where it is wrong nothing else is looked at.

    Args:
        callback: the callback's URL, or its query with or without the question mark. White space and
            quotation marks from pasting, and a fragment, do not matter.
        expected_state: the one that this sign-in sent.

    Raises:
        StateMismatch: the state is not there, there twice, or another one.
        SignInRefused: the issuer says no; its text is fit to be shown, but not escaped.
        NoAuthorizationCode: there is none, or there are several.
    """
    fields = _fields(callback)
    if not _same_state(fields.get("state", []), expected_state):
        raise StateMismatch
    if any(fields.get("error", [])):
        raise SignInRefused(*_refusal(fields))
    codes = [code for code in fields.get("code", []) if code]
    if len(codes) != 1:
        raise NoAuthorizationCode
    return Secret(codes[0])


def _fields(callback: str) -> dict[str, list[str]]:
    text = "".join(callback.split()).strip("\"'<>")
    query = text.partition("#")[0]
    if "?" in query:
        query = query.partition("?")[2]
    fields: dict[str, list[str]] = {}
    if len(query) > LONGEST_CALLBACK:
        return fields
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        return fields
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def _same_state(found: list[str], expected: str) -> bool:
    if len(found) != 1 or not expected:
        return False
    return hmac.compare_digest(_bytes(found[0]), _bytes(expected))


def _bytes(text: str) -> bytes:
    # A terminal may hand over half characters; compare_digest takes ASCII or bytes only.
    return text.encode("utf-8", "surrogatepass")


def _refusal(fields: dict[str, list[str]]) -> tuple[str, str]:
    error = shown(next(value for value in fields["error"] if value), longest=100)
    description = shown(next(iter(fields.get("error_description", [])), ""))
    return error, f"{error}: {description}" if description else error
