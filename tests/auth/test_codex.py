from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import Canary
from sidekey_auth.codex import (
    LARGEST,
    CodexAuth,
    auth_path,
    parse_auth,
    read_auth_file,
    without_refresh_token,
)
from sidekey_auth.codex_preview import NOTICE, preview
from sidekey_auth.errors import ImportRefused
from sidekey_auth.secret import LONGEST_TOKEN, Secret

ISSUER = "https://auth.openai.com"
CLIENT = "app_EMoamEEZ73f0CkXaXp7hrann"
KEY = "sk-proj-canary-0123456789abcd"


def id_token(**changes: Any) -> str:
    said = {
        "iss": ISSUER,
        "aud": [CLIENT],
        "exp": 2_000_000_000,
        "email": "ada@example.com",
        "https://api.openai.com/auth": {"chatgpt_plan_type": "plus", "chatgpt_account_id": "account-1"},
        **changes,
    }
    return jwt.encode({k: v for k, v in said.items() if v is not None}, "k" * 32, algorithm="HS256")


def whole() -> dict[str, Any]:
    return {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": KEY,
        "tokens": {
            "id_token": id_token(),
            "access_token": "at-canary-0123456789",
            "refresh_token": "rt-canary-0123456789",
            "account_id": "account-2",
            "oauth_provenance": {"issuer": ISSUER, "client_id": "app_other"},
            "login_owner_id": "x",
        },
        "last_refresh": "2026-11-24T00:00:00.123456789Z",
    }


def allows(issuer: str) -> bool:
    return issuer.rstrip("/") == ISSUER


def parse(document: Any) -> CodexAuth:
    return parse_auth(document if isinstance(document, str) else json.dumps(document), allows)


def test_a_whole_file_is_read() -> None:
    auth = parse(whole())
    assert auth.auth_mode == "chatgpt"
    assert auth.api_key == Secret(KEY)
    assert auth.id_token == Secret(whole()["tokens"]["id_token"])
    assert auth.access_token == Secret("at-canary-0123456789")
    assert auth.refresh_token == Secret("rt-canary-0123456789")
    assert (auth.issuer, auth.client_id, auth.account_id) == (ISSUER, "app_other", "account-2")
    assert auth.last_refresh == "2026-11-24T00:00:00.123456789Z"


def test_a_file_with_only_some_fields_is_read() -> None:
    assert parse({"OPENAI_API_KEY": KEY}).api_key == Secret(KEY)
    auth = parse({"OPENAI_API_KEY": None, "tokens": {"id_token": id_token()}})
    assert (auth.api_key, auth.refresh_token) == (None, None)
    assert (auth.issuer, auth.client_id, auth.account_id) == (ISSUER, CLIENT, "account-1")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"OPENAI_API_KEY": None},
        {"OPENAI_API_KEY": ""},
        {"OPENAI_API_KEY": " ", "tokens": None},
        {"tokens": {}},
        {"tokens": {"refresh_token": "rt-canary-0123456789"}},
        {"tokens": {"id_token": None, "access_token": "at-canary-0123456789"}},
    ],
)
def test_without_a_key_and_an_id_token_there_is_nothing_to_import(document: Any) -> None:
    with pytest.raises(ImportRefused, match=r"^missing OPENAI_API_KEY or tokens\.id_token$"):
        parse(document)


def put(document: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    *parents, last = name.split(".")
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    return document


@pytest.mark.parametrize(
    "name",
    [
        "auth_mode",
        "OPENAI_API_KEY",
        "tokens.id_token",
        "tokens.access_token",
        "tokens.refresh_token",
        "tokens.account_id",
        "tokens.oauth_provenance.issuer",
        "tokens.oauth_provenance.client_id",
        "last_refresh",
    ],
)
@pytest.mark.parametrize("value", [5, True, [], {"a": 1}])
def test_a_field_of_a_wrong_type_is_named_with_its_path(name: str, value: object) -> None:
    with pytest.raises(ImportRefused, match=rf"^{name} must be a string$"):
        parse(put(whole(), name, value))


@pytest.mark.parametrize("name", ["tokens", "tokens.oauth_provenance"])
@pytest.mark.parametrize("value", [5, "x", []])
def test_an_object_of_a_wrong_type_is_named_with_its_path(name: str, value: object) -> None:
    with pytest.raises(ImportRefused, match=rf"^{name} must be an object$"):
        parse(put(whole(), name, value))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "tokens.refresh_token"])
@pytest.mark.parametrize("value", ["a b", "a\nb", "ä", "a\x00"])
def test_a_secret_with_characters_it_cannot_have_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(ImportRefused, match=rf"^{name} has characters"):
        parse(put(whole(), name, value))


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "tokens.access_token", "tokens.refresh_token"])
def test_a_secret_longer_than_any_is_refused_by_name(name: str) -> None:
    assert parse(put(whole(), name, "a" * LONGEST_TOKEN))
    with pytest.raises(ImportRefused, match=rf"^{name} is longer than 64 KiB: that is no token$"):
        parse(put(whole(), name, "a" * (LONGEST_TOKEN + 1)))


@pytest.mark.parametrize("value", ["app other", "app_\ud800", "a" * 257])
def test_a_client_that_cannot_be_one_is_refused_by_name(value: str) -> None:
    with pytest.raises(ImportRefused, match=r"^tokens\.oauth_provenance\.client_id cannot be a client's id$"):
        parse(put(whole(), "tokens.oauth_provenance.client_id", value))


def test_an_audience_that_cannot_be_a_client_is_passed_over() -> None:
    document = put(whole(), "tokens.oauth_provenance", None)
    for audience in (["a b"], ["a" * 257], "\ud800", []):
        document["tokens"]["id_token"] = id_token(aud=audience)
        assert parse(document).client_id is None


def test_an_id_token_that_is_no_jwt_is_refused_by_name() -> None:
    with pytest.raises(ImportRefused, match=r"^tokens\.id_token is not a JWT$"):
        parse(put(whole(), "tokens.id_token", "canary-not-a-jwt"))


@pytest.mark.parametrize("mode", ["apikey", "chatgpt", "chatgptAuthTokens", "ApiKey", None])
def test_known_modes_are_taken(mode: str | None) -> None:
    assert parse({**whole(), "auth_mode": mode}).auth_mode == mode


def test_an_unknown_mode_is_refused_by_name() -> None:
    with pytest.raises(ImportRefused, match="'quantum'") as caught:
        parse({**whole(), "auth_mode": "quantum"})
    assert "apikey, chatgpt, chatgptAuthTokens" in caught.value.remedy


@pytest.mark.parametrize("issuer", ["https://auth.openai.com.evil", "http://auth.openai.com", "x"])
def test_a_foreign_issuer_is_refused(issuer: str) -> None:
    with pytest.raises(ImportRefused, match=r"tokens\.oauth_provenance\.issuer is"):
        parse(put(whole(), "tokens.oauth_provenance.issuer", issuer))
    with pytest.raises(ImportRefused, match=r"tokens\.id_token's issuer is"):
        parse({"tokens": {"id_token": id_token(iss=issuer), "refresh_token": "rt-canary-0123456789"}})


def test_an_issuers_slash_does_not_matter() -> None:
    assert parse(put(whole(), "tokens.oauth_provenance.issuer", ISSUER + "/")).issuer == ISSUER + "/"


@pytest.mark.parametrize("text", ["", "  \n"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    with pytest.raises(ImportRefused, match="empty"):
        parse(text)


@pytest.mark.parametrize("text", ["{", "not json", '{"a": }', "[" * 100_000, "\x00"])
def test_what_is_not_json_is_said_not_to_be(text: str) -> None:
    with pytest.raises(ImportRefused, match="not JSON"):
        parse(text)


@pytest.mark.parametrize("text", ["[]", "5", "null", '"sk-canary-0123456789"'])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(ImportRefused, match="not a JSON object"):
        parse(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)
names = ["id_token", "access_token", "refresh_token", "account_id", "oauth_provenance"]
tokens = st.dictionaries(st.sampled_from(names), anything) | anything


@given(
    st.fixed_dictionaries({}, optional={"auth_mode": anything, "OPENAI_API_KEY": anything, "tokens": tokens})
)
def test_no_document_breaks_it(document: dict[str, Any]) -> None:
    try:
        auth = parse(document)
    except ImportRefused as error:
        assert str(error).isprintable()  # noqa: PT017
    else:
        assert auth.api_key or auth.id_token


def test_without_the_refresh_token_key_and_id_token_are_left() -> None:
    auth = without_refresh_token(parse(whole()))
    assert (auth.refresh_token, auth.access_token) == (None, None)
    assert auth.api_key == Secret(KEY)
    assert auth.id_token is not None


# --- the file ---------------------------------------------------------------------------------------------


def test_codex_keeps_its_file_in_codex_home() -> None:
    home = Path("/home/ada")
    assert auth_path({}, home) == home / ".codex" / "auth.json"
    assert auth_path({"CODEX_HOME": ""}, home) == home / ".codex" / "auth.json"
    assert auth_path({"CODEX_HOME": "/srv/codex"}, home) == Path("/srv/codex/auth.json")


def test_a_file_is_read_as_it_is_with_or_without_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text('{"ä": 1}', encoding="utf-8-sig")
    assert read_auth_file(path) == '{"ä": 1}'


def test_an_absent_file_is_named_with_the_other_ways(tmp_path: Path) -> None:
    path = tmp_path / "nowhere" / "auth.json"
    with pytest.raises(ImportRefused) as caught:
        read_auth_file(path)
    assert str(caught.value) == f"Codex auth.json not found at {path}"
    assert "--file" in caught.value.remedy
    assert "`sidekey import codex -`" in caught.value.remedy


def test_a_folder_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="is a folder"):
        read_auth_file(tmp_path)


def test_a_file_without_permission_says_so(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_text("{}")
    path.chmod(0)
    if os.geteuid() == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(ImportRefused, match="no permission"):
            read_auth_file(path)
    finally:
        if os.getuid() == 0:
            os.seteuid(0)


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    with path.open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    with pytest.raises(ImportRefused, match="larger than 1024 KiB"):
        read_auth_file(path)


def test_the_largest_file_is_read_and_one_byte_more_is_not(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_bytes(b" " * LARGEST)
    assert len(read_auth_file(path)) == LARGEST
    path.write_bytes(b" " * (LARGEST + 1))
    with pytest.raises(ImportRefused):
        read_auth_file(path)


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    path.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(ImportRefused, match="UTF-8"):
        read_auth_file(path)


def test_a_pipe_does_not_make_it_wait(tmp_path: Path) -> None:
    path = tmp_path / "auth.json"
    os.mkfifo(path)
    reading = ThreadPoolExecutor().submit(read_auth_file, path)
    try:
        error = reading.exception(timeout=5)
    finally:
        os.close(os.open(path, os.O_RDWR))  # lets go of whoever waits there
    assert isinstance(error, ImportRefused)
    assert "is not a file" in str(error)


def test_a_path_that_cannot_be_one_is_refused() -> None:
    with pytest.raises(ImportRefused, match="not a path"):
        read_auth_file(Path("a\0b"))


# --- the preview ------------------------------------------------------------------------------------------


def test_a_preview_masks_everything(canary: Canary) -> None:
    shown = preview(parse(whole()), now=1_900_000_000.0)
    assert shown.api_key == "sk-…abcd"
    assert (shown.id_token, shown.access_token, shown.refresh_token) == (True, True, True)
    assert (shown.account, shown.plan) == ("ada@example.com", "plus")
    assert (shown.expires_at, shown.expired) == (2_000_000_000, False)
    canary.check(repr(shown))


def test_a_preview_tells_what_is_absent_and_expired() -> None:
    shown = preview(parse({"tokens": {"id_token": id_token(exp=1000, email=None)}}), now=1000.0)
    assert (shown.api_key, shown.access_token, shown.refresh_token) == (None, False, False)
    assert (shown.account, shown.expired) == ("account-1", True)


def test_it_says_what_a_refresh_token_does_to_codex_and_only_then() -> None:
    auth = parse(whole())
    assert preview(auth, now=0).notice == NOTICE
    assert "--no-refresh-token" in NOTICE
    assert preview(without_refresh_token(auth), now=0).notice == ""


def test_what_others_wrote_cannot_move_the_cursor() -> None:
    auth = parse({"tokens": {"id_token": id_token(email="a\x1b[2J@example.com")}})
    assert preview(auth, now=0).account == "a [2J@example.com"
