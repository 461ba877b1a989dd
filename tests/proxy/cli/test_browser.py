"""Which way of signing in suits a machine, and how the browser is opened."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path

import pytest

from sidekey_proxy.cli.browser import (
    Machine,
    browser_commands,
    open_browser,
    propose,
    this_machine,
)

URL = "https://auth.openai.com/oauth/authorize?state=a%20b&code_challenge=c;d$(e)'\"&x=%s"
SCREEN = {"DISPLAY": ":0"}


def machine(
    environ: dict[str, str], platform: str = "linux", programs: str = "xdg-open", *, container: bool = False
) -> Machine:
    installed = programs.split()
    return Machine(environ, platform, container, lambda name: f"/bin/{name}" if name in installed else None)


@pytest.mark.parametrize(
    ("where", "way"),
    [
        (machine(SCREEN), "browser"),
        (machine({"WAYLAND_DISPLAY": "wayland-0"}), "browser"),
        (machine({}), "device"),
        (machine(SCREEN, programs=""), "device"),
        (machine({**SCREEN, "SSH_CONNECTION": "10.0.0.1 1 10.0.0.2 22"}), "no-browser"),
        (machine({"SSH_TTY": "/dev/pts/1"}), "no-browser"),
        (machine({"SSH_TTY": "/dev/ttys1"}, "darwin", "open"), "no-browser"),
        (machine({}, "darwin", "open"), "browser"),
        (machine({}, "win32", "rundll32"), "browser"),
        (machine({}, container=True), "device"),
        (machine(SCREEN, container=True), "browser"),
        (machine({"WSL_DISTRO_NAME": "Debian"}, programs="wslview"), "browser"),
        (machine({"WSL_DISTRO_NAME": "Debian"}), "device"),
        (machine({"BROWSER": "helper"}, programs="helper"), "browser"),
        (machine({"BROWSER": "w3m"}, programs="w3m"), "device"),
        (machine({"BROWSER": "missing"}), "device"),
        (machine(SCREEN, programs="w3m lynx www-browser"), "device"),
    ],
)
def test_the_way_that_works_here_is_proposed(where: Machine, way: str) -> None:
    proposal = propose(where)

    assert proposal.way == way
    assert bool(proposal.reason) == (way != "browser")


def test_the_reason_names_the_other_ways() -> None:
    assert "--paste" in propose(machine({"SSH_TTY": "x"})).reason
    assert "container" in propose(machine({}, container=True)).reason
    assert "--paste" in propose(machine({})).reason


@pytest.mark.parametrize(
    ("browser", "commands"),
    [
        ("firefox", [("firefox", "%s")]),
        ("firefox:chromium", [("firefox", "%s"), ("chromium", "%s")]),
        ("firefox --new-window %s &", [("firefox", "--new-window", "%s")]),
        ("firefox '--open=%s'", [("firefox", "--open=%s")]),
        ("lynx:firefox", [("firefox", "%s")]),
        ("/usr/bin/w3m", []),
        ("'unfinished:", []),
        (":&:", []),
    ],
)
def test_the_persons_own_browser_comes_first(browser: str, commands: list[tuple[str, ...]]) -> None:
    programs = "firefox chromium lynx w3m /usr/bin/w3m xdg-open"

    found = browser_commands(machine({"BROWSER": browser, **SCREEN}, programs=programs))

    assert [*found[: len(commands)]] == commands
    assert found[len(commands)] == ("xdg-open", "%s")


# --- opening --------------------------------------------------------------------------------------------


@pytest.fixture
def recorder(tmp_path: Path) -> tuple[Path, Path]:
    """A browser that writes down how it was started, and then what it wrote."""
    program, told = tmp_path / "a browser", tmp_path / "told.json"
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, os, sys\n"
        "told = [sys.argv[1:], dict(os.environ), os.getsid(0) == os.getpid(), os.isatty(0)]\n"
        f"open({str(told)!r}, 'w').write(json.dumps(told))\n"
    )
    program.chmod(0o755)
    return program, told


def test_the_browser_gets_exactly_the_url_and_none_of_our_secrets(recorder: tuple[Path, Path]) -> None:
    program, told = recorder
    environ = {
        **os.environ,
        "BROWSER": f"'{program}'",
        "SIDEKEY_SEAL_KEY": "canary-seal-key",
        "SIDEKEY_CLIENT_KEY": "canary-client-key",
    }

    opened = open_browser(URL, this_machine(environ), patience=20)

    arguments, inherited, leads_a_session, has_a_terminal = json.loads(told.read_text())
    assert opened.program == str(program)
    assert arguments == [URL]
    assert inherited["PATH"] == os.environ["PATH"]
    assert not {name for name in inherited if "SEAL_KEY" in name or "CLIENT_KEY" in name}
    assert leads_a_session
    assert not has_a_terminal


def test_a_place_for_the_url_is_filled_once_and_not_looked_into(recorder: tuple[Path, Path]) -> None:
    program, told = recorder

    open_browser(URL, this_machine({**os.environ, "BROWSER": f"'{program}' --url=%s -x"}), patience=20)

    assert json.loads(told.read_text())[0] == [f"--url={URL}", "-x"]


def test_a_browser_that_fails_makes_way_for_the_next(recorder: tuple[Path, Path]) -> None:
    program, told = recorder

    opened = open_browser(URL, this_machine({**os.environ, "BROWSER": f"false:'{program}'"}), patience=20)

    assert opened.program == str(program)
    assert told.exists()


def test_a_failure_is_reported_and_not_raised(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/does/not/exist\n")
    broken.chmod(0o755)

    failed = open_browser(URL, this_machine({"PATH": os.environ["PATH"], "BROWSER": "false"}), patience=20)
    unstartable = open_browser(URL, this_machine({"BROWSER": str(broken)}))
    missing = open_browser(URL, this_machine({}))

    assert (failed.program, failed.problem) == (None, "false failed with exit code 1")
    assert unstartable.problem == f"{broken} could not be started: No such file or directory"
    assert missing.problem == "no browser was found"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "-version", "javascript:alert(1)", ""])
def test_only_web_addresses_are_opened(url: str, recorder: tuple[Path, Path]) -> None:
    program, told = recorder

    opened = open_browser(url, this_machine({**os.environ, "BROWSER": f"'{program}'"}))

    assert opened.program is None
    assert not told.exists()


def test_a_browser_that_stays_is_not_waited_for(tmp_path: Path) -> None:
    gate, program = tmp_path / "gate", tmp_path / "stays"
    os.mkfifo(gate)
    program.write_text(f"#!/bin/sh\nread line < '{gate}'\n")
    program.chmod(0o755)

    opened = open_browser(URL, this_machine({**os.environ, "BROWSER": str(program)}), patience=0.05)

    assert opened.program == str(program)
    gate.write_text("go\n")
    for thread in threading.enumerate():
        if thread.name == "browser":
            thread.join(20)
            assert not thread.is_alive()
