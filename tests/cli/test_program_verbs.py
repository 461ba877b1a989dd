"""Sending programs to the proxy: env, run, config show, and the sandbox in place of the real thing."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys

import aiohttp
import pytest

from house import House

from .conftest import Person, files

ASK = """
import json, os, sys, urllib.request
request = urllib.request.Request(
    os.environ["OPENAI_BASE_URL"] + "/models",
    headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"]},
)
with urllib.request.urlopen(request) as answer:
    status = answer.status
hidden = sorted(name for name in os.environ if name.startswith(("SIDEKEY_SEAL", "SIDEKEY_CLIENT")))
print(json.dumps([status, hidden, os.environ["NO_PROXY"], os.environ["OPENAI_BASE_URL"], sys.argv[1:]]))
sys.exit(7)
"""

WAITS = """
import signal, sys
signal.signal(signal.SIGINT, lambda *_: sys.exit(5))
print("up", flush=True)
signal.pause()
"""


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "export OPENAI_API_KEY={}"),
        ("fish", "set -gx OPENAI_API_KEY '{}'"),
        ("powershell", "$env:OPENAI_API_KEY = '{}'"),
    ],
)
async def test_the_environment_is_printed_for_each_shell(house: House, shell: str, line: str) -> None:
    house.canary.allow(house.client_key)
    answer = await house.run("env", "--shell", shell, "--listen", "127.0.0.1:9999", NO_PROXY="intra.example")
    assert (answer.code, answer.err) == (0, "")
    assert line.format(house.client_key) in answer.out.splitlines()
    assert "http://127.0.0.1:9999/v1" in answer.out
    assert "intra.example,localhost,127.0.0.1,::1" in answer.out


async def test_a_command_keeps_its_own_umask_and_core_limit(house: House) -> None:
    script = "import os, resource; print(oct(os.umask(0)), resource.getrlimit(resource.RLIMIT_CORE)[0])"
    answer = await house.run("run", "--", "sh", "-c", f"exec {sys.executable} -c '{script}'")
    umask = os.umask(0o077)
    os.umask(umask)
    assert umask != 0o077
    assert answer.out.split() == [oct(umask), str(resource.getrlimit(resource.RLIMIT_CORE)[0])]


async def test_the_printed_base_url_is_the_listeners_that_suits_this_machine_best(house: House) -> None:
    house.canary.allow(house.client_key)
    listen = "unix:/run/s,https://0.0.0.0:8443"
    environment = {"SIDEKEY_TLS_CERTIFICATE": "cert.pem", "SIDEKEY_HOSTS": "dev.example"}
    only_tls = await house.run("env", "--shell", "bash", "--listen", listen, **environment)
    assert "OPENAI_BASE_URL=https://dev.example:8443/v1" in only_tls.out
    with_plain = await house.run("env", "--shell", "bash", "--listen", f"{listen},8484", **environment)
    assert "OPENAI_BASE_URL=http://127.0.0.1:8484/v1" in with_plain.out
    none = await house.run("env", "--listen", "unix:/run/s")
    assert (none.code, none.out) == (2, "")
    assert "Unix sockets only" in none.err


async def test_a_shell_that_evaluates_it_reaches_the_proxy(house: House) -> None:
    await house.signed_in()
    house.canary.allow(house.client_key)
    async with house.serving() as server:
        listen = (await server.url()).removeprefix("http://").removesuffix("/v1")
        answer = await house.run("env", "--shell", "bash", "--listen", listen)
        shell = await asyncio.create_subprocess_exec(
            "sh",
            "-c",
            f'eval "$(cat)"; exec {sys.executable} -c "$ASK"',
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**os.environ, "ASK": ASK},
        )
        out, _ = await shell.communicate(answer.out.encode())
    assert shell.returncode == 7
    assert json.loads(out)[0] == 200


async def test_a_command_is_run_with_a_proxy_and_a_key_of_its_own_and_no_secret_of_ours(
    house: House,
) -> None:
    await house.signed_in()
    answer = await house.run(
        "run", "--", sys.executable, "-c", ASK, "--profile", "x", HTTP_PROXY="http://127.0.0.1:1"
    )
    assert (answer.code, answer.err) == (7, "")
    status, hidden, no_proxy, url, arguments = json.loads(answer.out)
    assert (status, hidden, arguments) == (200, [], ["--profile", "x"])
    assert no_proxy == "localhost,127.0.0.1,::1"
    assert url.startswith("http://127.0.0.1:")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


@pytest.mark.parametrize(
    ("command", "code", "says"),
    [
        (["sh", "-c", "kill -TERM $$"], 128 + 15, ""),
        (["no-such-command-here"], 127, "sidekey: no-such-command-here: command not found\n"),
        (["/"], 126, "sidekey: /: Permission denied\n"),
    ],
)
async def test_a_commands_end_is_passed_on_as_a_shell_would(
    house: House, command: list[str], code: int, says: str
) -> None:
    await house.signed_in()
    answer = await house.run("run", *command)
    assert (answer.code, answer.out, answer.err) == (code, "", says)


async def test_ctrl_c_reaches_the_command_which_decides(house: House) -> None:
    await house.signed_in()
    person = Person(house, "run", "--", sys.executable, "-c", WAITS)
    await person.sees("up")
    await person.types("\x03")
    assert await person.ends() == 5


async def test_the_settings_are_shown_with_who_decided_them(house: House) -> None:
    answer = await house.run("config", "show", SIDEKEY_REFRESH_MARGIN="60")
    assert answer.code == 0
    [row] = [line.split() for line in answer.out.splitlines() if line.startswith("refresh_margin ")]
    assert row == ["refresh_margin", "60", "environment", "SIDEKEY_REFRESH_MARGIN"]
    document = json.loads((await house.run("config", "show", "--json", SIDEKEY_REFRESH_MARGIN="60")).out)
    assert "SIDEKEY_REFRESH_MARGIN" in json.dumps(document)
    wrong = await house.run("config", "show", SIDEKEY_REFRESH_MARGN="60")
    assert (wrong.code, wrong.out) == (2, "")
    assert "SIDEKEY_REFRESH_MARGIN" in wrong.err


async def test_without_a_running_sandbox_each_command_says_how_to_start_one(house: House) -> None:
    commands = ("status --sandbox", "env --sandbox", "run --sandbox -- true")
    for answer in await asyncio.gather(*(house.run(*command.split()) for command in commands)):
        assert (answer.code, answer.out) == (2, "")
        assert answer.err.endswith("no sandbox is running\nStart one with `sidekey serve --sandbox`.\n")


async def test_with_the_sandbox_commands_touch_nothing_real(house: House) -> None:
    await house.signed_in()
    before = files(house)
    house.canary.allow(house.client_key)
    async with house.serving("--sandbox", "--sandbox-port", "0") as server:
        await server.url()
        for seal in house.home.parent.rglob("seal"):
            house.canary.allow_file(seal)
        assert (await house.run("logout", "--sandbox")).out.startswith("Signed out.")
        assert (await house.run("status", "--sandbox")).code == 3
        status = json.loads((await house.run("status", "--sandbox", "--json")).out)
        assert (status["sandbox"], status["vault"] != str(house.home)) == (True, True)
        assert (await house.run("env", "--sandbox")).code == 0
    sandboxs = {name for name in files(house) if name.startswith("sandbox/")}
    assert {name: text for name, text in files(house).items() if name not in sandboxs} == before
    assert house.sandbox.events.seen("revoke") == 0
    assert (await house.run("status")).code == 0


async def test_a_command_has_its_own_proxy_also_beside_a_running_server(house: House) -> None:
    await house.signed_in()
    async with house.serving() as server:
        admin = (await server.admin()).removeprefix("http://")
        result = await house.run(
            "run", "--", sys.executable, "-c", "print('done')", SIDEKEY_ADMIN_LISTEN=admin
        )
    assert (result.code, result.out) == (0, "done\n"), result.err
