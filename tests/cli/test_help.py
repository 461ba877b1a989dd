"""What each command says about itself, and to whom it does not understand."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from house import House
from sidekey_proxy.cli.app import build

COMMANDS = {
    "serve": "--config --listen --admin-listen --upstream --profile --sandbox --no-client-key",
    "login": "--no-browser --paste --device --choose-organization --redeem-credits "
    "--profile --sandbox --config",
    "logout": "--revoke --no-revoke --json --profile --sandbox --config",
    "refresh": "--profile --sandbox --config",
    "mode": "chatgpt|api_key --profile --sandbox --config",
    "status": "--json --profile --sandbox --config",
    "doctor": "--json --profile --sandbox --config",
    "env": "--shell --listen --profile --sandbox --config",
    "run": "COMMAND --profile --sandbox --config",
    "demo": "--listen --admin-listen --profile --sandbox",
    "import codex": "--file --no-refresh-token --yes --profile --sandbox --config",
    "key set": "--profile --sandbox --config",
    "key clear": "--profile --sandbox --config",
    "seal new": "SIDEKEY_SEAL_KEY --profile --sandbox",
    "seal rotate": "--profile --sandbox --config",
    "vault reset": "--yes --profile --sandbox --config",
    "config show": "--json --profile --sandbox --config",
}
GROUPS = ("import", "key", "seal", "vault", "config")


def told(*arguments: str) -> str:
    """Return what a command answers in this very process, which is quicker than one of its own for each."""
    answer = CliRunner().invoke(build(), [*arguments], prog_name="sidekey", env={"COLUMNS": "80"})
    assert answer.exit_code == 0, answer.output
    return answer.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_examples_and_names_its_options(name: str) -> None:
    answer = told(*name.split(), "--help")
    assert answer.startswith(f"Usage: sidekey {name} ")
    assert f"sidekey {name}" in answer.partition("Examples:")[2]
    assert [word for word in COMMANDS[name].split() if word not in answer] == []
    assert max(map(len, answer.splitlines())) <= 80
    assert told(*name.split(), "-h") == answer


@pytest.mark.parametrize("group", ["", *GROUPS])
def test_the_lists_of_commands_hold_each_and_cut_no_summary_short(group: str) -> None:
    commands = told(*group.split(), "--help").partition("Commands:")[2]
    assert "..." not in commands
    listed = set(re.findall(r"^  (\w+) ", commands, re.MULTILINE))
    names = [name.removeprefix(group).split() for name in COMMANDS if name.startswith(group)]
    assert listed == {name[0] for name in names}


def test_no_argument_takes_a_secret_since_every_user_can_read_arguments() -> None:
    def parameters(command: Any, *path: str) -> Iterator[tuple[str, ...]]:
        for parameter in command.params:
            if not getattr(parameter, "is_flag", False):
                yield (*path, parameter.name)
        for name, inner in getattr(command, "commands", {}).items():
            yield from parameters(inner, *path, name)

    found = list(parameters(get_command(build())))
    assert ("serve", "upstream") in found
    words = ("key", "token", "secret", "seal", "password", "code")
    assert [path for path in found if any(word in path[-1] for word in words)] == []


async def test_help_asks_for_no_vault_and_no_settings(house: House) -> None:
    answer = await house.run("login", "--help", SIDEKEY_SEAL_KEY="none", SIDEKEY_LISTEN="nowhere")
    assert (answer.code, answer.err) == (0, "")
    assert "sidekey login --device" in answer.out


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        ("stauts", "No such command 'stauts'", "Try 'sidekey -h'"),
        ("login --devise", "No such option: --devise", "--device"),
        ("key sett", "No such command 'sett'", "Try 'sidekey key -h'"),
        ("mode", "Missing argument 'chatgpt|api_key'", "Try 'sidekey mode -h'"),
        ("mode chat", "there is no mode 'chat'", "It is chatgpt or api_key."),
        ("login --paste --device", "choose one", ""),
        ("login --device --choose-organization", "no page to choose", "Use --no-browser or --paste."),
        ("env --shell csh", "--shell cannot be 'csh'", "bash, fish, powershell"),
        ("import codex auth.json", "name a file with --file", ""),
        ("run", "there is no command", "Name it behind `--`."),
    ],
)
def test_what_is_not_understood_ends_with_2_and_a_hint(arguments: str, says: str, hint: str) -> None:
    answer = CliRunner().invoke(build(), arguments.split(), prog_name="sidekey")
    assert (answer.exit_code, answer.stdout) == (2, "")
    assert says in answer.stderr
    assert hint in answer.stderr


async def test_a_slip_of_the_pen_ends_the_process_with_2(house: House) -> None:
    answer = await house.run("stauts")
    assert (answer.code, answer.out) == (2, "")
    assert "No such command 'stauts'" in answer.err


async def test_the_version_is_told(house: House) -> None:
    answer = await house.run("--version")
    assert answer.code == 0
    assert re.fullmatch(r"sidekey \d+\.\d+\S*\n", answer.out)
