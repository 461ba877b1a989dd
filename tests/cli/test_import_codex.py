"""Taking over what the Codex CLI has, from a file, a pipe and a paste."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from house import House

from .conftest import Person, files


def auth(house: House, *, lifetime: float = 3600.0, key: bool = False, **tokens: Any) -> str:
    """Return an auth.json as Codex writes it."""
    signed_in = house.sandbox.sign_in()
    assert signed_in.refresh_token is not None
    assert signed_in.access_token is not None
    document = {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": house.sandbox.issue_key().reveal() if key else None,
        "tokens": {
            "id_token": house.sandbox.id_token(lifetime=lifetime).reveal(),
            "access_token": signed_in.access_token.reveal(),
            "refresh_token": signed_in.refresh_token.reveal(),
            "account_id": house.sandbox.account.account_id,
            **tokens,
        },
        "last_refresh": "2026-01-01T00:00:00Z",
    }
    return json.dumps(document, indent=2)


@pytest.fixture
def auth_file(house: House, tmp_path: Path) -> Path:
    """Return Codex's own file; the test itself has written its secrets."""
    path = tmp_path / "user" / ".codex" / "auth.json"
    path.parent.mkdir()
    path.write_text(auth(house))
    house.canary.allow_file(path)
    return path


@pytest.mark.usefixtures("auth_file")
async def test_codexs_own_file_is_previewed_masked_confirmed_and_made_whole(house: House) -> None:
    person = Person(house, "import", "codex")
    await person.sees("Import this\\? \\[y/N\\] ")
    await person.types("y\r")
    assert await person.ends() == 0
    for words in ("id_token       present", "ada@example.com", "plus", "UTC", "Codex is signed out"):
        assert words in person.seen
    assert "--no-refresh-token" in person.seen
    assert "Imported Codex's sign-in of ada@example.com." in person.seen
    stored = await house.stored()
    assert (stored.mode, stored.refresh_token is not None) == ("chatgpt", True)
    assert stored.imported_from == "codex"
    assert [made.last_four for made in stored.made_keys] == [stored.api_key and stored.api_key.last_four()]
    assert stored.api_key in house.sandbox.issued_secrets()
    assert house.count("key_exchange") == 1


@pytest.mark.usefixtures("auth_file")
async def test_saying_no_changes_nothing(house: House) -> None:
    await house.signed_in()
    before = files(house)
    for answer in ("n\r", "\x03"):
        person = Person(house, "import", "codex")
        await person.sees("Import this\\? \\[y/N\\] ")
        await person.types(answer)
        assert await person.ends() == 130
        assert "Imported" not in person.seen
    assert files(house) == before


async def test_a_file_elsewhere_without_its_refresh_token_leaves_codex_signed_in(
    house: House, tmp_path: Path
) -> None:
    file = tmp_path / "backup.json"
    file.write_text(auth(house, key=True))
    answer = await house.run("import", "codex", "--file", str(file), "--no-refresh-token", "--yes")
    assert answer.code == 0
    assert answer.out == "Imported Codex's sign-in of ada@example.com.\n"
    assert "Refresh token  absent" in answer.err
    assert "signed out" not in answer.err
    stored = await house.stored()
    assert (stored.refresh_token, stored.api_key is not None) == (None, True)
    assert house.count("key_exchange") == 0


async def test_a_pipe_and_a_file_with_a_key_only_give_mode_chatgpt(house: House) -> None:
    key = house.sandbox.issue_key()
    text = json.dumps({"OPENAI_API_KEY": key.reveal(), "tokens": None}).encode()
    unasked = await house.run("import", "codex", "-", stdin=text)
    assert (unasked.code, unasked.out) == (2, "")
    assert "Add --yes." in unasked.err
    assert files(house) == {}
    answer = await house.run("import", "codex", "-", "--yes", stdin=text)
    assert answer.code == 0
    assert key.masked() in answer.err
    stored = await house.stored()
    assert (stored.mode, stored.api_key) == ("chatgpt", key)


async def test_a_paste_of_many_lines_and_one_of_20_kb_is_hidden_and_taken(house: House) -> None:
    text = auth(house, access_token="eyJ" + "a" * 20_000)
    house.canary.add("a" * 200)
    person = Person(house, "import", "codex", "-")
    await person.sees("Paste the auth.json \\(hidden; Ctrl-D ends\\):")
    await person.types(text.replace("\n", "\r") + "\r")
    await person.sees("Import this\\? \\[y/N\\] ")
    await person.types("yes\r")
    assert await person.ends() == 0
    stored = await house.stored()
    assert stored.access_token is not None
    assert len(stored.access_token.reveal()) == 20_003


async def test_an_empty_paste_cancels(house: House) -> None:
    person = Person(house, "import", "codex", "-")
    await person.sees("Ctrl-D ends")
    await person.types("\x04")
    assert await person.ends() == 130
    assert "Nothing was entered; nothing was changed." in person.seen
    assert files(house) == {}


async def test_the_same_file_again_after_a_refresh_loses_nothing_and_says_so(house: House) -> None:
    text = auth(house).encode()
    assert (await house.run("import", "codex", "-", "--yes", stdin=text)).code == 0
    assert (await house.run("refresh")).code == 0
    before = await house.stored()
    answer = await house.run("import", "codex", "-", "--yes", stdin=text)
    assert answer.code == 0
    assert answer.out.startswith("Nothing was imported: this sign-in is stored already")
    assert "run `codex login` first" in answer.out
    assert "refresh token is spent" in " ".join(answer.err.split())
    assert await house.stored() == before
    assert (await house.run("refresh")).code == 0


async def test_the_same_file_again_after_its_sign_in_has_ended_says_so(house: House) -> None:
    text = auth(house).encode()
    assert (await house.run("import", "codex", "-", "--yes", stdin=text)).code == 0
    assert (await house.run("refresh")).code == 0
    live = (await house.stored()).refresh_token
    assert live is not None
    house.sandbox.revoke_refresh_token(live)
    assert (await house.run("refresh")).code == 1
    answer = await house.run("import", "codex", "-", "--yes", stdin=text)
    assert (answer.code, answer.out) == (1, "")
    assert "is stored already, and has ended" in answer.err
    assert "Run `codex login` and import again, or run `sidekey login`." in answer.err
    assert (await house.stored()).refresh_token == live


async def test_the_same_file_again_after_a_sign_out_is_imported_and_its_end_is_told(house: House) -> None:
    text = auth(house).encode()
    assert (await house.run("import", "codex", "-", "--yes", stdin=text)).code == 0
    assert (await house.run("logout", "--revoke")).code == 0
    answer = await house.run("import", "codex", "-", "--yes", stdin=text)
    assert (answer.code, answer.out) == (0, "Imported Codex's sign-in of ada@example.com.\n")
    assert "was imported before and signed out: its refresh token was revoked" in " ".join(answer.err.split())
    assert (await house.stored()).api_key is not None
    answer = await house.run("refresh")
    assert answer.code == 1
    assert "The sign-in has ended" in answer.err


async def test_an_older_file_says_so_before_it_is_confirmed(house: House) -> None:
    older = auth(house, id_token=house.sandbox.id_token(iat=int(time.time()) - 7200).reveal()).encode()
    assert (await house.run("import", "codex", "-", "--yes", stdin=auth(house).encode())).code == 0
    before = await house.stored()
    answer = await house.run("import", "codex", "-", stdin=older)
    assert answer.code == 2, "nobody is there to confirm it"
    assert "This file is older (" in " ".join(answer.err.split())
    assert await house.stored() == before


async def test_an_expired_id_token_is_refreshed_before_it_is_exchanged(house: House) -> None:
    answer = await house.run("import", "codex", "-", "--yes", stdin=auth(house, lifetime=-60).encode())
    assert (answer.code, answer.out) == (0, "Imported Codex's sign-in of ada@example.com.\n")
    assert "(expired)" in answer.err
    assert (house.count("refresh"), house.count("key_exchange")) == (1, 1)
    hopeless = auth(house, lifetime=-60, refresh_token=None).encode()
    answer = await house.run("import", "codex", "-", "--yes", "--profile", "other", stdin=hopeless)
    assert (answer.code, answer.out) == (1, "")
    assert "No refresh token available: run `sidekey login`" in answer.err


@pytest.mark.parametrize("stuck", [True, False], ids=["refused", "not JSON"])
async def test_what_cannot_be_imported_is_refused_with_its_field_and_nothing_stored(
    house: House, stuck: bool
) -> None:
    foreign = {"oauth_provenance": {"issuer": "https://login.example.net", "client_id": "app_other"}}
    text = auth(house, **foreign) if stuck else '{"tokens": '
    answer = await house.run("import", "codex", "-", "--yes", stdin=text.encode())
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("The import failed: ")
    assert ("tokens.oauth_provenance.issuer is 'https://login.example.net'" in answer.err) is stuck
    assert ("auth.json is not JSON" in answer.err) is not stuck
    assert files(house) == {}


async def test_an_absent_file_is_named_with_the_other_ways(house: House, tmp_path: Path) -> None:
    answer = await house.run("import", "codex", CODEX_HOME=str(tmp_path))
    assert answer.code == 1
    assert f"The import failed: Codex auth.json not found at {tmp_path}/auth.json\n" in answer.err
    assert "--file" in answer.err
    assert "sidekey import codex -" in answer.err
