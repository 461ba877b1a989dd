"""Signing in at a terminal, in every way there is."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from house import House
from sidekey_proxy.sandbox import AuthorizeRefused, ExchangeRefused, RedeemRefused

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
