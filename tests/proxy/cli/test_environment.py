"""The variables that send a program to sidekey, in each shell's words."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidekey_auth.secret import Secret
from sidekey_proxy.addresses import base_url, parse_address
from sidekey_proxy.cli.environment import (
    child_environment,
    detect_shell,
    exports,
    extended_no_proxy,
    proxy_variables,
    without_secrets,
)

KEY = "sk-side-canary-0123456789abcdefghijkl"
NASTY = [
    "",
    "plain",
    "a b",
    "it's",
    '"$(id)`id`\\',
    "a\nb",
    "tab\t;|&<>*?[]{}!#~=%^",
    "\u2018\u2019\u201a\u201bé",
    "\\'",
]
values = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


@pytest.mark.parametrize(
    ("listener", "url"),
    [
        ("127.0.0.1:8484", "http://127.0.0.1:8484/v1"),
        ("[::1]:8484", "http://[::1]:8484/v1"),
        ("0.0.0.0:80", "http://127.0.0.1:80/v1"),
        ("[::]:80", "http://[::1]:80/v1"),
        ("10.0.0.5:8484", "http://10.0.0.5:8484/v1"),
    ],
)
def test_a_listener_has_a_base_url_that_this_machine_can_reach(listener: str, url: str) -> None:
    assert base_url(parse_address(listener)) == url


def test_the_variables_name_the_proxy_and_keep_its_key_from_other_proxies() -> None:
    variables = proxy_variables("http://10.0.0.5:8484/v1", Secret(KEY), {"NO_PROXY": "intra.example"})

    assert variables == {
        "OPENAI_BASE_URL": "http://10.0.0.5:8484/v1",
        "OPENAI_API_KEY": KEY,
        "NO_PROXY": "intra.example,localhost,127.0.0.1,::1,10.0.0.5",
        "no_proxy": "intra.example,localhost,127.0.0.1,::1,10.0.0.5",
    }


@pytest.mark.parametrize(
    ("present", "extended"),
    [
        ([], "localhost,127.0.0.1,::1"),
        (["", ""], "localhost,127.0.0.1,::1"),
        (["LOCALHOST"], "LOCALHOST,127.0.0.1,::1"),
        (["a, b ,,a", "B,c"], "a,b,c,localhost,127.0.0.1,::1"),
        (["::1,127.0.0.1,localhost"], "::1,127.0.0.1,localhost"),
        (["*"], "*"),
        (["a", " * "], "*"),
    ],
)
def test_no_proxy_keeps_what_was_there_and_names_each_host_once(present: list[str], extended: str) -> None:
    assert extended_no_proxy(present, ("localhost", "127.0.0.1", "::1")) == extended


@given(st.lists(st.text("ab,* ", max_size=8), max_size=2))
def test_extending_no_proxy_twice_adds_nothing(present: list[str]) -> None:
    once = extended_no_proxy(present, ("localhost",))

    assert extended_no_proxy([once], ("localhost",)) == once


@given(values)
@settings(max_examples=25, deadline=None)
def test_a_posix_shell_gets_any_value_as_it_is(value: str) -> None:
    check_in_a_shell(value)


@pytest.mark.parametrize("value", NASTY)
def test_a_posix_shell_gets_an_odd_value_as_it_is(value: str) -> None:
    check_in_a_shell(value)


def check_in_a_shell(value: str) -> None:
    script = exports({"SOME_VALUE": value, "OTHER": "x"}, "bash") + 'printf "%s|%s" "$SOME_VALUE" "$OTHER"'
    done = subprocess.run(["sh", "-c", script], capture_output=True, check=True, timeout=20)
    assert done.stdout == f"{value}|x".encode()


@given(values)
def test_fish_gets_any_value_as_it_is(value: str) -> None:
    line = exports({"SOME_VALUE": value}, "fish")

    quoted = re.fullmatch(r"set -gx SOME_VALUE '((?:[^'\\]|\\['\\])*)'\n", line)
    assert quoted is not None
    assert re.sub(r"\\(['\\])", r"\1", quoted[1]) == value


@given(values | st.sampled_from(NASTY))
def test_powershell_gets_any_value_as_it_is_whatever_quotes_it_holds(value: str) -> None:
    line = exports({"SOME_VALUE": value}, "powershell")

    quote = "['\u2018\u2019\u201a\u201b]"
    quoted = re.fullmatch(rf"\$env:SOME_VALUE = '((?:[^'\u2018\u2019\u201a\u201b]|({quote})\2)*)'\n", line)
    assert quoted is not None
    assert re.sub(rf"({quote})\1", r"\1", quoted[1]) == value


def test_a_value_that_no_environment_can_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        exports({"A": "a\0b"}, "bash")


@pytest.mark.parametrize(
    ("shell", "platform", "detected"),
    [
        ("/bin/bash", "linux", "bash"),
        ("/usr/bin/zsh", "darwin", "bash"),
        ("/bin/dash", "linux", "bash"),
        ("/usr/bin/fish", "linux", "fish"),
        ("/usr/bin/pwsh", "linux", "powershell"),
        ("C:\\Program Files\\PowerShell\\7\\pwsh.exe", "win32", "powershell"),
        ("", "win32", "powershell"),
        ("/usr/bin/bash.exe", "win32", "bash"),
        ("", "linux", "bash"),
    ],
)
def test_the_shell_is_told_by_its_variable(shell: str, platform: str, detected: str) -> None:
    assert detect_shell({"SHELL": shell}, platform) == detected


def test_what_opens_the_vault_or_the_proxy_is_not_handed_on() -> None:
    environ = {
        "SIDEKEY_SEAL_KEY": "canary-seal",
        "SIDEKEY_SEAL_KEY_FILE": "/run/seal",
        "SIDEKEY_CLIENT_KEY": "canary-client",
        "SIDEKEY_CLIENT_KEY_FILE": "/run/key",
        "SIDEKEY_HOME": "/home",
        "PATH": "/bin",
    }

    assert without_secrets(environ) == {"SIDEKEY_HOME": "/home", "PATH": "/bin"}


def test_a_command_runs_with_its_own_key_and_ours_removed() -> None:
    environ = {
        **os.environ,
        "OPENAI_API_KEY": "sk-canary-of-the-person",
        "SIDEKEY_CLIENT_KEY": "canary-client",
    }

    child = child_environment("http://127.0.0.1:1/v1", Secret(KEY), environ)

    assert child["OPENAI_API_KEY"] == KEY
    assert child["OPENAI_BASE_URL"] == "http://127.0.0.1:1/v1"
    assert child["PATH"] == os.environ["PATH"]
    assert "SIDEKEY_CLIENT_KEY" not in child
