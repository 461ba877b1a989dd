"""Looking after what is stored: key, mode, refresh, logout, status."""

from __future__ import annotations

import asyncio
import json

import pytest

from house import House
from sidekey_auth.issuer import Issuer
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.made_keys import MadeKey
from sidekey_auth.secret import LONGEST_TOKEN, Secret
from sidekey_proxy.sandbox import RevokeFails, SandboxAccount, TokenAnswer

from .conftest import Person, files

KEYS_STAY = "Exchanged API keys stay valid until you delete them at https://platform.openai.com/api-keys.\n"


async def test_a_static_key_is_typed_hidden_used_and_removed(house: House) -> None:
    key = house.sandbox.issue_key()
    person = Person(house, "key", "set")
    await person.sees("API key \\(hidden\\): ")
    await person.types(key.reveal() + "\r")
    assert await person.ends() == 0
    assert f"Stored the API key {key.masked()}: it is what requests are sent with." in person.seen
    status = await house.run("status", "--json")
    document = json.loads(status.out)
    assert (status.code, document["mode"], document["state"]) == (0, "api_key", "ready")
    assert document["static_key_last_four"] == key.reveal()[-4:]
    cleared = await house.run("key", "clear")
    assert (cleared.code, cleared.out) == (0, f"Removed the API key {key.masked()}.\n")
    assert (await house.run("status")).code == 3
    assert (await house.run("key", "clear")).out == "There was no API key to remove.\n"


async def test_a_piped_key_becomes_the_fallback_of_a_sign_in_and_switches_nothing(house: House) -> None:
    await house.signed_in()
    key = house.sandbox.issue_key()
    answer = await house.run("key", "set", stdin=f"{key.reveal()}\n".encode())
    assert answer.code == 0
    assert answer.out == f"Stored the API key {key.masked()}: it is the fallback of the sign-in.\n"
    stored = await house.stored()
    assert (stored.mode, stored.static_key) == ("chatgpt", key)


async def test_what_is_no_key_is_not_stored_nor_shown(house: House) -> None:
    house.canary.add("not a key at all")
    answer = await house.run("key", "set", stdin=b"not a key at all\n")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("Storing the API key failed: this is not an API key\n")
    endless = "sk-" + "a" * LONGEST_TOKEN
    house.canary.add(endless)
    answer = await house.run("key", "set", stdin=endless.encode())
    assert (answer.code, answer.out) == (1, "")
    assert "this is not an API key" in answer.err
    assert (await house.run("key", "set")).code == 130
    assert files(house) == {}


async def test_the_mode_is_switched_by_hand_and_deletes_nothing(house: House) -> None:
    before = await house.signed_in()
    answer = await house.run("mode", "api_key")
    assert answer.code == 0
    assert answer.out == (
        "Profile default is in mode api_key now.\nNo API key is stored yet: run `sidekey key set`.\n"
    )
    refused = await house.run("refresh")
    assert (refused.code, refused.out) == (1, "")
    assert "Run `sidekey mode chatgpt` first." in refused.err
    answer = await house.run("mode", "chatgpt")
    assert answer.out == "Profile default is in mode chatgpt now.\n"
    after = await house.stored()
    assert (after.mode, after.refresh_token, after.api_key) == (
        "chatgpt",
        before.refresh_token,
        before.api_key,
    )
    assert after.generation > before.generation


async def test_a_refresh_brings_another_key_and_without_a_token_says_to_sign_in(house: House) -> None:
    empty = await house.run("refresh")
    assert (empty.code, empty.out) == (1, "")
    assert empty.err == "The refresh failed: No refresh token available: run `sidekey login`\n"
    before = await house.signed_in()
    answer = await house.run("refresh")
    after = await house.stored()
    assert after.api_key is not None
    assert answer.code == 0
    assert answer.out == f"Refreshed: the API key in use is now {after.api_key.masked()}.\n"
    assert after.api_key != before.api_key
    assert (house.count("refresh"), house.count("key_exchange")) == (1, 1)
    await house.signed_in(refresh_token=None)
    answer = await house.run("refresh")
    assert answer.code == 0, "a valid id_token is traded"
    assert (house.count("refresh"), house.count("key_exchange")) == (1, 2)
    await house.signed_in(refresh_token=None, age=7200)
    answer = await house.run("refresh")
    assert (answer.code, answer.out) == (1, "")
    assert "No refresh token available: run `sidekey login`" in answer.err


async def test_a_refresh_that_the_issuer_refuses_says_why_and_keeps_everything(house: House) -> None:
    before = await house.signed_in()
    body = '{"error":"invalid_grant","error_description":"Gone."}'
    house.sandbox.faults.put(TokenAnswer(status=400, body=body, times=None))
    answer = await house.run("refresh")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("The refresh failed: ")
    assert "sidekey login" in answer.err
    after = await house.stored()
    assert (after.refresh_token, after.api_key) == (before.refresh_token, before.api_key)


@pytest.mark.parametrize(("status", "code"), [(504, "refresh_answer_lost"), (429, "refresh_token_reused")])
async def test_a_token_that_was_spent_behind_a_gateways_answer_ends_as_a_lost_answer(
    house: House, status: int, code: str
) -> None:
    stored = await house.signed_in()
    house.sandbox.faults.put(TokenAnswer(status=status))
    assert (await house.run("refresh")).code == 1
    assert stored.refresh_token is not None
    settings = IssuerSettings(issuer=house.sandbox.issuer, client_id=house.sandbox.client_id)
    async with Issuer(settings) as issuer:
        await issuer.refresh(stored.refresh_token, house.sandbox.client_id)
    assert (await house.run("refresh")).code == 1
    told = json.loads((await house.run("status", "--json")).out)
    assert (told["state"], told["code"]) == ("reauth_required", code)


async def test_signing_out_revokes_deletes_and_leaves_the_static_key(house: House) -> None:
    key = house.sandbox.issue_key()
    before = await house.signed_in(static_key=key)
    assert before.refresh_token is not None
    answer = await house.run("logout")
    assert (answer.code, answer.out) == (0, f"Signed out. The sign-in is revoked.\n{KEYS_STAY}")
    assert not house.sandbox.knows(before.refresh_token)
    after = await house.stored()
    assert (after.mode, after.static_key, after.last_refresh) == ("api_key", key, None)
    assert (after.api_key, after.id_token, after.access_token, after.refresh_token) == (None,) * 4
    assert (await house.run("logout")).out == "Nobody was signed in.\n"


async def test_a_sign_out_that_the_issuer_does_not_hear_says_so_and_deletes_all_the_same(
    house: House,
) -> None:
    await house.signed_in()
    house.sandbox.faults.put(RevokeFails(status=400, times=None))
    answer = await house.run("logout")
    assert answer.code == 0
    assert answer.out.startswith("Signed out. It could not be revoked at the issuer (")
    assert answer.out.endswith(f"and is deleted here.\n{KEYS_STAY}")
    assert not (await house.stored()).signed_in


async def test_a_sign_out_tells_which_keys_stay_and_so_does_the_status_afterwards(house: House) -> None:
    made = tuple(MadeKey(f"key number {n}", f"{n:04}", 1_795_521_600.0 + n) for n in range(12))
    await house.signed_in(keys_made=40, made_keys=made)
    answer = await house.run("logout")
    assert answer.code == 0
    first, *lines = answer.out.splitlines()
    assert first == "Signed out. The sign-in is revoked."
    assert lines[0].split() == ["API", "key", "made", "ends", "in", "name"]
    assert [line.split()[-1] for line in lines[1:11]] == [str(n) for n in range(11, 1, -1)]
    assert "2026-11-24 12:00:11 UTC  …0011    key number 11" in lines[1]
    note, more = lines[11:]
    assert note.startswith("This profile has made 40 API keys. They stay valid until you delete them at ")
    assert note.endswith(" https://platform.openai.com/api-keys.")
    assert more == "The newest 10 are shown; `sidekey status --json` has the last 12."
    status = await house.run("status")
    assert status.out.splitlines()[-len(lines) :] == lines
    document = json.loads((await house.run("status", "--json")).out)
    assert (document["state"], document["keys_made"]) == ("signed_out", 40)
    assert document["made_keys"][-1] == {
        "name": "key number 11",
        "last_four": "0011",
        "at": "2026-11-24T12:00:11+00:00",
    }
    again = await house.run("logout", "--json")
    told = json.loads(again.out)
    assert (again.code, told["was_signed_in"], told["revoked"]) == (0, False, None)
    assert (told["keys_made"], told["made_keys"]) == (40, document["made_keys"])


async def test_a_sign_in_of_ones_own_is_revoked_unless_one_says_otherwise(house: House) -> None:
    before = await house.signed_in()
    assert before.refresh_token is not None
    answer = await house.run("logout", "--no-revoke")
    assert answer.out == f"Signed out. The sign-in is not revoked at the issuer.\n{KEYS_STAY}"
    assert house.sandbox.knows(before.refresh_token)
    person = Person(house, "logout")
    assert await person.ends() == 0
    assert "Nobody was signed in." in person.seen, "nobody is asked either"


@pytest.mark.parametrize(
    ("typed", "revoked"), [("\r", False), ("n\r", False), ("y\r", True)], ids=["Enter", "no", "yes"]
)
async def test_an_imported_sign_in_is_revoked_only_by_a_yes(house: House, typed: str, revoked: bool) -> None:
    before = await house.signed_in(imported_from="codex")
    assert before.refresh_token is not None
    person = Person(house, "logout")
    await person.sees("imported from the Codex CLI, which may still use it. Revoke it, too\\? \\[y/N\\] ")
    assert house.count("revoke") == 0
    await person.types(typed)
    assert await person.ends() == 0
    assert ("The sign-in is revoked." in person.seen) is revoked
    assert ("is not revoked, as the Codex CLI may still use it" in person.seen) is not revoked
    assert house.sandbox.knows(before.refresh_token) is not revoked
    assert not (await house.stored()).signed_in


async def test_ctrl_c_at_the_question_signs_nobody_out(house: House) -> None:
    await house.signed_in(imported_from="codex")
    before = files(house)
    person = Person(house, "logout")
    await person.sees("Revoke it, too")
    await person.types("\x03")
    assert await person.ends() == 130
    assert files(house) == before
    assert house.count("revoke") == 0


@pytest.mark.parametrize(
    ("flags", "revoked"), [((), False), (("--revoke",), True), (("--no-revoke",), False)]
)
async def test_without_a_terminal_an_imported_sign_in_is_revoked_only_by_the_flag(
    house: House, flags: tuple[str, ...], revoked: bool
) -> None:
    before = await house.signed_in(imported_from="codex")
    assert before.refresh_token is not None
    answer = await house.run("logout", *flags)
    assert answer.code == 0
    kept = "The sign-in is not revoked, as the Codex CLI may still use it; --revoke does that, too."
    assert answer.out.startswith(f"Signed out. {'The sign-in is revoked.' if revoked else kept}\n")
    assert house.sandbox.knows(before.refresh_token) is not revoked


async def test_an_import_without_its_refresh_token_leaves_nothing_to_ask(house: House) -> None:
    await house.signed_in(imported_from="codex", refresh_token=None)
    person = Person(house, "logout")
    assert await person.ends() == 0
    assert "There was no refresh token to revoke." in person.seen


async def test_the_status_says_beforehand_whether_a_key_can_be_had(house: House) -> None:
    await house.signed_in(api_key=None, key_source=None)
    table = (await house.run("status")).out
    assert "An API key is likely: the id_token names a Platform organisation and a project." in table
    assert "--choose-organization" not in table
    house.sandbox.account = SandboxAccount(organization_id=None, project_id=None, onboarded=False)
    await house.signed_in(api_key=None, key_source=None)
    table = (await house.run("status")).out
    assert "An API key is unlikely: the id_token names no Platform organisation." in table
    for way in ("https://platform.openai.com/", "sidekey login --choose-organization", "sidekey key set"):
        assert way in table
    exchange = json.loads((await house.run("status", "--json")).out)["key_exchange"]
    assert exchange == {
        "likely": False,
        "reason": "the id_token names no Platform organisation",
        "done": False,
        "refused": None,
    }
    checks = json.loads((await house.run("doctor", "--json", SIDEKEY_ADMIN_LISTEN=",")).out)["checks"]
    (finding,) = [check for check in checks if check["check"] == "key exchange"]
    assert (finding["verdict"], "unlikely" in finding["says"]) == ("warning", True)
    assert "--choose-organization" in finding["remedy"]
    await house.signed_in(key_source="of another one", static_key=house.sandbox.issue_key())
    assert "key set" not in (await house.run("status")).out


async def test_the_status_tells_all_and_no_secret(house: House) -> None:
    credential = await house.signed_in()
    assert credential.api_key is not None
    table = await house.run("status")
    assert table.code == 0
    for words in (
        "default",
        "chatgpt",
        "ready",
        "ada@example.com",
        "plus",
        str(house.home),
        "SIDEKEY_SEAL_KEY",
    ):
        assert words in table.out
    last_four = credential.api_key.reveal()[-4:]
    assert last_four in table.out
    document = json.loads((await house.run("status", "--json")).out)
    expected = {
        "profile": "default",
        "mode": "chatgpt",
        "state": "ready",
        "ready": True,
        "account": "ada@example.com",
        "plan": "plus",
        "key_last_four": last_four,
        "vault": str(house.home),
        "sealed_by": "SIDEKEY_SEAL_KEY",
        "sandbox": False,
    }
    assert expected.items() <= document.items()
    assert 3500 < document["id_token_expires_in"] <= 3600
    assert document["last_refresh"]
    assert document["sentence"]


async def test_profiles_do_not_see_each_other(house: House) -> None:
    key = house.sandbox.issue_key()
    await house.run("key", "set", "--profile", "work", stdin=key.reveal().encode())
    answers = await asyncio.gather(
        house.run("status"),
        house.run("status", "--profile", "work"),
        house.run("status", SIDEKEY_PROFILE="work"),
        house.run("status", "--profile", "../work"),
    )
    assert [answer.code for answer in answers] == [3, 0, 0, 2]
    assert "profile" in answers[-1].err
    await house.run("logout")
    assert (await house.stored("work")).static_key == Secret(key.reveal())
