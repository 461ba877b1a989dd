"""Signing in at a terminal, in every way there is."""

from __future__ import annotations

import json
import re
import socket
import sys
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from house import House
from sidekey_proxy.sandbox import (
    AuthorizeRefused,
    DeviceUnavailable,
    ExchangeForbidden,
    ExchangeRefused,
    KeyNameRefused,
    RedeemRefused,
    SandboxAccount,
)

from .conftest import AUTHORIZE, Person, click, files, landing

BROWSER = """#!{python}
import json, os, sys, urllib.request
with open({record!r}, "w") as file:
    json.dump([sys.argv[1:], dict(os.environ)], file)
if os.fork() == 0:
    urllib.request.urlopen(sys.argv[1]).read()
"""


@pytest.fixture
def browser(tmp_path: Path) -> Path:
    """Return a program that notes what it is given, and clicks."""
    program = tmp_path / "browser"
    program.write_text(BROWSER.format(python=sys.executable, record=str(tmp_path / "opened.json")))
    program.chmod(0o755)
    return program


async def test_the_browser_gets_the_authorize_url_alone_and_none_of_the_secrets(
    house: House, browser: Path
) -> None:
    answer = await house.run("login", BROWSER=str(browser), DISPLAY=":7")
    assert answer.code == 0
    assert answer.out == "Signed in as ada@example.com (plus).\n"
    arguments, environment = json.loads(browser.with_name("opened.json").read_text())
    shown = re.search(AUTHORIZE, answer.err)
    assert shown is not None
    assert arguments == [shown[0]]
    assert environment["DISPLAY"] == ":7"
    assert not {"SIDEKEY_SEAL_KEY", "SIDEKEY_CLIENT_KEY"} & set(environment)
    assert "ssh -L" not in answer.err
    status = await house.run("status", "--json")
    assert status.code == 0
    assert json.loads(status.out)["state"] == "ready"
    stored = await house.stored()
    assert (stored.mode, stored.api_key in house.sandbox.issued_secrets()) == ("chatgpt", True)


@pytest.mark.parametrize("over_ssh", [False, True], ids=["--no-browser", "SSH session"])
async def test_without_a_browser_the_address_and_the_tunnel_to_the_bound_port_are_printed(
    house: House, over_ssh: bool
) -> None:
    person = (
        Person(house, "login", SSH_CONNECTION="203.0.113.1 5 198.51.100.2 22")
        if over_ssh
        else Person(house, "login", "--no-browser")
    )
    url = (await person.sees(AUTHORIZE))[0]
    redirect = urlsplit(parse_qs(urlsplit(url).query)["redirect_uri"][0])
    await person.sees(f"ssh -L {redirect.port}:localhost:{redirect.port} <host>")
    await person.sees("sidekey login --paste")
    page = await click(url)
    assert "You can close this tab and return to the terminal" in page
    assert await person.ends() == 0
    assert "Signed in as ada@example.com (plus)." in person.seen
    assert ("This is an SSH session" in person.seen) is over_ssh


async def test_a_browser_that_fails_is_told_and_the_sign_in_goes_on(house: House) -> None:
    person = Person(house, "login", BROWSER="/bin/false")
    await person.sees("could not be opened")
    await click((await person.sees(AUTHORIZE))[0])
    assert await person.ends() == 0


async def test_a_pasted_address_of_another_sign_in_is_refused_and_asked_for_again(house: House) -> None:
    person = Person(house, "login", "--paste", SIDEKEY_CALLBACK_PORTS="1455")  # which nobody binds
    url = (await person.sees(AUTHORIZE))[0]
    await person.sees("Address: $")
    address = await landing(house, url)
    state = parse_qs(urlsplit(address).query)["state"][0]
    await person.types(address.replace(state, "x" * len(state)) + "\r")
    await person.sees("Invalid OAuth state - possible CSRF attack")
    await person.sees("Address: $")
    assert house.count("code_exchange") == 0
    await person.types(address + "\r")
    assert await person.ends() == 0
    assert "Signed in as ada@example.com (plus)." in person.seen
    assert (house.count("code_exchange"), (await house.stored()).mode) == (1, "chatgpt")


async def test_the_device_code_is_shown_with_a_qr_code_and_waited_for(house: House) -> None:
    object.__setattr__(house.sandbox.settings, "auto_approve", False)
    person = Person(house, "login", "--device")
    await person.sees(re.escape(f"{house.sandbox.issuer}/codex/device"))
    code = (await person.sees(r"\n\s+([A-Z0-9]{4,}-[A-Z0-9]{4,})\s"))[1]
    await person.sees("▀")
    await person.sees("If the page says that device codes are off")
    await person.sees("Waiting for you there")
    await house.sandbox.wait_for("device_token", 2)
    assert house.sandbox.approve_device(code)
    assert await person.ends() == 0
    assert "Signed in as ada@example.com (plus)." in person.seen


async def test_with_both_ports_busy_they_are_named_with_the_ways_around(house: House) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        first, second = one.getsockname()[1], two.getsockname()[1]
        answer = await house.run("login", "--no-browser", SIDEKEY_CALLBACK_PORTS=f"{first},{second}")
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith(f"The sign-in failed: the callback ports {first} and {second} are in use\n")
    assert f"ssh -L {first}:localhost:{first} <host>" in answer.err
    assert house.sandbox.events.seen("authorize") == 0


@pytest.mark.parametrize("way", ["--no-browser", "--paste", "--device"])
async def test_ctrl_c_ends_a_sign_in_and_changes_nothing(house: House, way: str) -> None:
    object.__setattr__(house.sandbox.settings, "auto_approve", False)
    await house.signed_in()
    before = files(house)
    person = Person(house, "login", way)
    await person.sees({"--paste": "Address: $", "--device": "Ctrl-C cancels"}.get(way, "login --paste"))
    await person.types("\x03")
    assert await person.ends() == 130
    assert person.seen.rstrip().endswith("Cancelled.")
    assert files(house) == before


async def test_an_empty_paste_cancels_and_changes_nothing(house: House) -> None:
    await house.signed_in()
    before = files(house)
    person = Person(house, "login", "--paste")
    await person.sees("Address: $")
    await person.types("\r")
    assert await person.ends() == 130
    assert "Nothing was entered; nothing was changed." in person.seen
    assert files(house) == before


async def test_a_refusal_at_the_issuer_is_told_with_its_words(house: House, browser: Path) -> None:
    house.sandbox.faults.put(AuthorizeRefused(description="Not you\x1b[31m."))
    answer = await house.run("login", BROWSER=str(browser))
    assert (answer.code, answer.out) == (1, "")
    assert "The sign-in failed: OAuth error: " in answer.err
    assert "Not you" in answer.err
    assert "\x1b" not in answer.err
    assert answer.err.endswith("Run `sidekey login` again.\n")
    assert (await house.stored()).mode == "api_key"


async def test_an_account_without_an_organisation_keeps_its_tokens_and_is_told_where_to_go(
    house: House, browser: Path
) -> None:
    house.sandbox.faults.put(ExchangeRefused(times=None))
    answer = await house.run("login", BROWSER=str(browser))
    assert (answer.code, answer.out) == (1, "")
    assert "signed in as ada@example.com, but without an API key" in answer.err
    assert "https://platform.openai.com/" in answer.err
    assert "sidekey key set" in answer.err
    status = await house.run("status", "--json")
    document = json.loads(status.out)
    assert (status.code, document["state"], document["mode"]) == (3, "no_platform_key", "chatgpt")
    assert (await house.stored()).refresh_token is not None
    house.sandbox.faults.clear()
    assert (await house.run("refresh")).code == 0
    assert (await house.run("status")).code == 0


async def test_an_unlikely_key_is_foretold_tried_all_the_same_and_the_three_ways_are_named(
    house: House, browser: Path
) -> None:
    house.sandbox.account = SandboxAccount(organization_id=None, project_id=None, onboarded=False)
    answer = await house.run("login", BROWSER=str(browser))
    assert (answer.code, answer.out) == (1, "")
    foretold, told = answer.err.split(
        "An API key is unlikely: the id_token names no Platform organisation. It is tried all the same.\n"
    )
    assert "without an API key" not in foretold
    assert "signed in as ada@example.com, but without an API key: the account has no Platform" in told
    for way in ("https://platform.openai.com/", "sidekey login --choose-organization", "sidekey key set"):
        assert way in told
    assert house.count("key_exchange") == 1
    status = await house.run("status")
    assert "no_platform_key: Signed in, but without an API key" in status.out
    assert "refused with no_platform_key at " in status.out
    assert "sidekey login --choose-organization" in status.out


async def test_where_a_key_is_likely_nothing_is_foretold(house: House, browser: Path) -> None:
    answer = await house.run("login", BROWSER=str(browser))
    assert (answer.code, "likely" in answer.err) == (0, False)


async def test_choosing_an_organisation_opens_the_older_page_and_ends_in_a_key(
    house: House, browser: Path
) -> None:
    house.sandbox.account = SandboxAccount(organization_id=None, project_id=None)
    assert (await house.run("login", BROWSER=str(browser))).code == 1
    answer = await house.run("login", "--choose-organization", BROWSER=str(browser))
    assert (answer.code, answer.out) == (0, "Signed in as ada@example.com (plus).\n")
    assert "codex_cli_simplified_flow" not in house.sandbox.events.of("authorize")[-1].target
    assert "id_token_add_organizations=true" in house.sandbox.events.of("authorize")[-1].target
    assert (await house.run("status")).code == 0


async def test_where_the_device_code_would_be_proposed_choosing_an_organisation_pastes(house: House) -> None:
    person = Person(house, "login", "--choose-organization", container="docker")
    url = (await person.sees(AUTHORIZE))[0]
    assert "codex_cli_simplified_flow" not in url
    await person.sees("Address: $")
    await person.types("\x03")
    assert await person.ends() == 130
    assert house.count("device_usercode") == 0


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("service_account_keys_only", "the organisation allows keys of service accounts only"),
        ("key_creation_disabled", "the organisation forbids new keys"),
        ("key_expiry_required", "the organisation wants every key to expire"),
    ],
)
async def test_an_organisations_policy_is_told_with_the_issuers_words_and_what_to_do(
    house: House, browser: Path, policy: Any, words: str
) -> None:
    house.sandbox.faults.put(ExchangeForbidden(policy=policy))
    answer = await house.run("login", BROWSER=str(browser))
    assert (answer.code, answer.out) == (1, "")
    assert f"but without an API key: {words}" in answer.err
    assert "(the issuer answered 403: " in answer.err
    assert "Ask the organisation's administrator to allow" in answer.err
    assert (await house.stored()).refresh_token is not None
    status = await house.run("status", "--json")
    document = json.loads(status.out)
    assert (status.code, document["state"], document["code"]) == (3, "no_platform_key", policy)
    assert document["key_exchange"]["refused"]["code"] == policy
    assert words in document["key_exchange"]["refused"]["message"]
    doctor = json.loads((await house.run("doctor", "--json", SIDEKEY_ADMIN_LISTEN=",")).out)
    told = [check for check in doctor["checks"] if "the issuer answered 403" in check["says"]]
    assert [(check["check"], check["verdict"]) for check in told] == [("credential", "problem")]
    assert "administrator" in told[0]["remedy"]
    assert (await house.run("refresh")).code == 0


async def test_a_refusal_that_nobody_knows_keeps_its_code_and_words_in_the_status(
    house: House, browser: Path
) -> None:
    fault = ExchangeRefused(status=403, code="shoe_size_unknown", message="We do not know your shoe size.")
    house.sandbox.faults.put(fault)
    answer = await house.run("login", BROWSER=str(browser))
    assert (answer.code, answer.out) == (1, "")
    assert "We do not know your shoe size." in answer.err
    document = json.loads((await house.run("status", "--json")).out)
    assert (document["state"], document["code"]) == ("no_platform_key", "shoe_size_unknown")
    assert "the issuer answered 403: We do not know your shoe size" in document["sentence"]
    table = (await house.run("status")).out
    assert "refused with shoe_size_unknown at " in table
    assert table.count("We do not know your shoe size") == 1


# --- the key's name -----------------------------------------------------------------------------------------


async def test_the_key_is_named_by_the_setting_and_told_in_the_status(house: House, browser: Path) -> None:
    host = socket.gethostname().partition(".")[0]
    await house.run("login", BROWSER=str(browser))
    name = house.sandbox.events.of("key_exchange")[-1].field("name")
    assert name is not None
    assert re.fullmatch(rf"sidekey {re.escape(host[:40])} default \d{{4}}-\d\d-\d\d", name)
    chosen = {"SIDEKEY_KEY_NAME": "{profile} at home", "SIDEKEY_PROFILE": "work"}
    await house.run("login", BROWSER=str(browser), **chosen)
    assert house.sandbox.events.of("key_exchange")[-1].field("name") == "work at home"
    last_four = await last_four_of(house, "work")
    table = (await house.run("status", **chosen)).out
    assert "This profile has made 1 API key. It stays valid until you delete it at" in table
    assert "https://platform.openai.com/api-keys" in table
    assert re.search(rf"UTC\s+…{re.escape(last_four)}\s+work at home\n", table)
    document = json.loads((await house.run("status", "--json", **chosen)).out)
    assert document["keys_made"] == 1
    (made,) = document["made_keys"]
    assert (made["name"], made["last_four"]) == ("work at home", last_four)
    assert datetime.fromisoformat(made["at"]).tzinfo is not None
    assert document["keys_page"] == "https://platform.openai.com/api-keys"


async def last_four_of(house: House, profile: str) -> str:
    key = (await house.stored(profile)).api_key
    assert key is not None
    return key.last_four()


async def test_without_a_name_none_is_sent_and_a_refused_one_is_left_out_once(
    house: House, browser: Path, tmp_path: Path
) -> None:
    file = tmp_path / "config.toml"
    file.write_text('key_name = ""\n')
    assert (await house.run("login", "--config", str(file), BROWSER=str(browser))).code == 0
    house.sandbox.faults.put(KeyNameRefused())
    assert (await house.run("login", BROWSER=str(browser))).code == 0
    exchanges = house.sandbox.events.of("key_exchange")
    assert [event.status for event in exchanges] == [200, 400, 200]
    assert [event.field("name") is None for event in exchanges] == [True, False, True]
    assert (await house.run("status")).out.count("(chosen by OpenAI)") == 2


async def test_a_name_that_cannot_be_made_is_refused_before_anything_else(house: House) -> None:
    answer = await house.run("login", "--no-browser", SIDEKEY_KEY_NAME="sidekey {user}")
    assert (answer.code, answer.out) == (2, "")
    assert "SIDEKEY_KEY_NAME" in answer.err
    assert "{host}, {profile}" in answer.err


# --- a device code that is switched off ---------------------------------------------------------------------


async def test_a_device_code_that_is_off_names_the_setting_and_goes_on_by_pasting(house: House) -> None:
    house.sandbox.faults.put(DeviceUnavailable())
    person = Person(house, "login", "--device", SIDEKEY_CALLBACK_PORTS="1455")  # which nobody binds
    await person.sees("Enable device code authorization for Codex")
    await person.sees("goes on as with --paste")
    url = (await person.sees(AUTHORIZE))[0]
    await person.sees("Address: $")
    await person.types(await landing(house, url) + "\r")
    assert await person.ends() == 0
    assert "Signed in as ada@example.com (plus)." in person.seen


async def test_without_a_terminal_a_device_code_that_is_off_is_an_error_with_the_setting(
    house: House,
) -> None:
    house.sandbox.faults.put(DeviceUnavailable())
    answer = await house.run("login", "--device")
    assert (answer.code, answer.out) == (1, "")
    assert "the device code is not enabled for this account" in answer.err
    assert "Enable device code authorization for Codex" in answer.err
    assert "sidekey login --paste" in answer.err
    assert house.count("authorize") == 0


@pytest.mark.parametrize("refused", [False, True], ids=["granted", "refused"])
async def test_credits_are_asked_for_afterwards_and_never_fail_a_sign_in(
    house: House, browser: Path, refused: bool
) -> None:
    if refused:
        house.sandbox.faults.put(RedeemRefused())
    answer = await house.run("login", "--redeem-credits", BROWSER=str(browser))
    assert answer.code == 0
    assert answer.out.startswith("Signed in as ada@example.com (plus).\n")
    assert ("Redeemed API credits: " in answer.out) is not refused
    warnings = [line for line in answer.err.splitlines() if line.startswith("Warning: ")]
    assert len(warnings) == refused
    assert all(line.startswith("Warning: the API credits were not redeemed: 403 ") for line in warnings)
    assert (await house.stored()).api_key is not None


async def test_no_credits_are_asked_for_where_the_sign_in_may_not_go(house: House, browser: Path) -> None:
    answer = await house.run(
        "login", "--redeem-credits", BROWSER=str(browser), SIDEKEY_ALLOW_UPSTREAM="gateway.example"
    )
    assert (answer.code, answer.out) == (0, "Signed in as ada@example.com (plus).\n")
    assert (
        "Warning: the API credits were not redeemed: no token of a sign-in may go to 127.0.0.1" in answer.err
    )
    assert house.count("redeem") == 0
