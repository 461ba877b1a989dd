"""What a file would be put over: told before, and never a spent token over a live one."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from sidekey_auth.codex import CodexAuth, parse_auth, without_refresh_token
from sidekey_auth.codex_import import imported
from sidekey_auth.codex_stored import cautions, refreshed_since
from sidekey_auth.credential import Credential, Failure, RefreshNote, TokenSet, signed_out, with_tokens
from sidekey_auth.secret import Secret

ISSUER = "https://auth.openai.com"
NOW = 1_790_000_000.0
HOUR = 3600.0


def id_token(*, issued: float | None = NOW - HOUR, sub: str = "ada") -> str:
    said: dict[str, Any] = {"iss": ISSUER, "sub": sub, "aud": ["app_codex"], "exp": int(NOW + HOUR)}
    return jwt.encode(said | ({} if issued is None else {"iat": int(issued)}), "k" * 32)


def file(token: str = "rt-canary-0123456789", last_refresh: str | None = None, **claims: Any) -> CodexAuth:
    """Return what an auth.json with this refresh token holds."""
    document = {
        "tokens": {"id_token": id_token(**claims), "refresh_token": token},
        "last_refresh": last_refresh,
    }
    return parse_auth(json.dumps(document), lambda issuer: issuer == ISSUER)


def refreshed(credential: Credential, token: str = "rt-canary-rotated-0123456789") -> Credential:
    return with_tokens(credential, TokenSet(refresh_token=Secret(token)), NOW + 10)


def test_an_import_remembers_which_token_it_brought_through_refreshes_and_a_sign_out() -> None:
    auth = file()
    credential = imported(Credential(), auth, NOW)
    assert auth.refresh_token is not None
    assert credential.imported_token == auth.refresh_token.fingerprint()
    assert refreshed(credential).imported_token == credential.imported_token
    assert signed_out(refreshed(credential), NOW).imported_token == credential.imported_token
    assert (
        imported(credential, file("rt-canary-other-0123456789"), NOW).imported_token
        != credential.imported_token
    )
    assert imported(credential, without_refresh_token(auth), NOW).imported_token is None


@pytest.mark.parametrize("leave_out", [False, True], ids=["whole", "without its refresh token"])
def test_the_same_file_after_a_refresh_brings_nothing(leave_out: bool) -> None:
    auth = file()
    stored = refreshed(imported(Credential(), auth, NOW))
    auth = without_refresh_token(auth) if leave_out else auth
    assert refreshed_since(stored, auth)
    (caution,) = cautions(stored, auth)
    assert "is spent" in caution
    assert "what is stored stays" in caution


@pytest.mark.parametrize(
    "stored",
    [
        Credential(),
        imported(Credential(), file(), NOW),
        refreshed(imported(Credential(), file("rt-canary-another-0123456789"), NOW)),
        refreshed(Credential(mode="chatgpt", refresh_token=Secret("rt-canary-0123456789"))),
        signed_out(refreshed(imported(Credential(), file(), NOW)), NOW),
        imported(Credential(), without_refresh_token(file()), NOW),
    ],
    ids=["nothing", "the same, unused", "another file", "a sign-in", "signed out", "imported without token"],
)
def test_any_other_file_is_imported(stored: Credential) -> None:
    assert not refreshed_since(stored, file())


def test_a_file_that_was_signed_out_says_that_its_token_was_revoked() -> None:
    stored = signed_out(refreshed(imported(Credential(), file(), NOW)), NOW)
    (caution,) = cautions(stored, file())
    assert "was imported before and signed out" in caution
    assert "`codex login`" in caution


def test_an_older_file_of_the_same_account_says_so() -> None:
    stored = imported(Credential(), file("rt-canary-new-0123456789", issued=NOW - HOUR), NOW)
    (caution,) = cautions(stored, file(issued=NOW - 2 * HOUR))
    assert "is older (2026-09-21 12:13 UTC)" in caution
    assert "(2026-09-21 13:13 UTC)" in caution
    assert cautions(stored, file(issued=NOW - 2 * HOUR, sub="bob")) == (), "another account's"
    assert cautions(stored, file(issued=NOW - HOUR / 2)) == (), "a newer one"
    assert cautions(Credential(), file(issued=NOW - 2 * HOUR)) == (), "nothing is stored"


def test_without_a_time_of_issue_the_last_refresh_counts_where_it_was_one() -> None:
    stored = replace(
        imported(Credential(), file("rt-canary-new-0123456789", issued=None), NOW),
        received_at=NOW,
        last_refresh=datetime.fromtimestamp(NOW, UTC),
    )
    older = file(issued=None, last_refresh="2026-01-01T00:00:00.123456789Z")
    assert "is older (2026-01-01 00:00 UTC)" in cautions(stored, older)[0]
    assert cautions(replace(stored, received_at=None), older) == (), "that was the time of an import"
    for unknown in (None, "soon", "0001-01-01T00:00:00+23:59"):
        assert cautions(stored, file(issued=None, last_refresh=unknown)) == ()


def test_what_is_stored_and_cannot_be_read_compares_with_nothing() -> None:
    assert cautions(Credential(mode="chatgpt", id_token=Secret("canary.not.a.jwt")), file()) == ()


def test_the_same_unused_token_keeps_what_is_remembered_of_it() -> None:
    auth = file()
    before = imported(Credential(), auth, NOW)
    fingerprint = before.imported_token or ""
    marked = replace(
        before,
        note=RefreshNote(fingerprint, 1, NOW),
        refresh_failure=Failure(fingerprint, "refresh_token_expired", "expired", NOW),
    )
    again = imported(marked, auth, NOW + 1)
    assert (again.note, again.refresh_failure) == (marked.note, marked.refresh_failure)
    other = imported(marked, file("rt-canary-other-0123456789"), NOW + 1)
    assert (other.note, other.refresh_failure) == (None, None)
