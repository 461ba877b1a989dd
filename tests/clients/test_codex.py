"""The real Codex CLI, `codex exec`: its WebSocket, its plain HTTP, and README's lines word for word."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from canary import Canary
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import SocketRefused

from .closed_door import ClosedDoor
from .programs import CODEX, PATH, program

if TYPE_CHECKING:
    from house import House
    from processes import Server

README = Path(__file__).parents[2] / "README.md"
ANSWER = "Hello from the sidekey sandbox. You said: Say hello."
# What else Codex would look for in the network: updates, metrics, plugins.
CONFIG = """
check_for_update_on_startup = false
analytics.enabled = false
features.plugins = false
"""


@dataclass
class Codex:
    """Codex on a machine of its own: a home, a repository, and no way to the network but sidekey's.

    Attributes:
        home: its HOME; CODEX_HOME is the usual folder in it.
        door: the proxy server that it takes for all that is not on this machine.
        environment: what it is run with.
    """

    home: Path
    door: ClosedDoor
    environment: dict[str, str]
    canary: Canary

    async def runs(self, *command: str | Path, **changes: str) -> str:
        """Run a command in the repository and return what it printed."""
        environment = {**self.environment, **changes}
        repository = self.home / "repository"
        async with program(
            *command, canary=self.canary, environment=environment, folder=repository
        ) as running:
            code, out, errors = await running.ends()
        assert code == 0, out + errors
        return out

    async def answers(self, *options: str, **changes: str) -> str:
        """Ask `codex exec`, and return what the model said."""
        base_url = self.environment["OPENAI_BASE_URL"]
        out = await self.runs(
            *(CODEX, "-c", f"openai_base_url={base_url}", *options, "exec", "--json", "Say hello."), **changes
        )
        events = [json.loads(line) for line in out.splitlines()]
        assert "error" not in {event["type"] for event in events}, "Codex met an error on its way"
        return "".join(event["item"]["text"] for event in events if event["type"] == "item.completed")

    def sign_in(self, document: dict[str, Any]) -> None:
        """Write Codex's auth.json."""
        (self.home / ".codex" / "auth.json").write_text(json.dumps(document))


@pytest.fixture
async def codex(
    tmp_path: Path, canary: Canary, house: House, environment: dict[str, str]
) -> AsyncIterator[Codex]:
    home = tmp_path / "codex"
    (home / ".codex").mkdir(parents=True)
    (home / ".codex" / "config.toml").write_text(CONFIG)
    (home / "repository" / ".git").mkdir(parents=True)
    (home / "repository" / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
    canary.watch(home)
    canary.allow(house.client_key)
    async with ClosedDoor() as door:
        away = {"HTTP_PROXY": door.url, "HTTPS_PROXY": door.url, "ALL_PROXY": door.url}
        yield Codex(home, door, {**environment, **away, "HOME": str(home)}, canary)


def requests(server: Server) -> list[tuple[str, str, int]]:
    """Return what the access log has."""
    lines = (line for line in server.lines if line["event"] == "request")
    return [(line["method"], line["path"], line["status"]) for line in lines]


@pytest.mark.parametrize("block", [0, 1], ids=["key in the environment", "signed in with the key"])
async def test_the_readmes_lines_do_word_for_word_and_codex_speaks_over_a_websocket(
    house: House, server: Server, codex: Codex, block: int
) -> None:
    section = README.read_text().partition("**With Codex**")[2].partition("\n**")[0]
    lines = re.findall(r"(?:^    .+\n)+", section, re.MULTILINE)[block]
    address = (await server.url()).removeprefix("http://").removesuffix("/v1")
    out = await codex.runs(
        *("bash", "-c", f'set -eu\neval "$(sidekey env)"\n{lines}'),
        **house.environment,
        SIDEKEY_LISTEN=address,
        PATH=f"{Path(sys.executable).parent}:{PATH}",
    )
    assert out.splitlines()[-1] == ANSWER
    await server.logged("request")
    assert requests(server) == [("GET", "/v1/responses", 101)]
    stored = await house.stored()
    assert stored.api_key is not None
    assert house.sandbox.events.of("api")[0].bearer == stored.api_key.fingerprint()
    assert (codex.home / ".codex" / "auth.json").exists() == ("login" in lines)
    assert codex.door.knocked == []


async def test_codex_falls_back_to_http_where_upstream_has_no_websocket(
    house: House, server: Server, codex: Codex
) -> None:
    house.sandbox.faults.put(SocketRefused(times=None))
    assert await codex.answers(CODEX_API_KEY=house.client_key) == ANSWER
    await server.logged("request", 2)
    assert requests(server) == [("GET", "/v1/responses", 426), ("POST", "/v1/responses", 200)]
    assert codex.door.knocked == []


@pytest.mark.parametrize("fault", [None, SocketRefused(times=None)], ids=["WebSocket", "HTTP"])
async def test_a_bearer_that_expired_is_replaced_and_codex_sees_nothing(
    house: House, server: Server, codex: Codex, fault: SocketRefused | None
) -> None:
    if fault:
        house.sandbox.faults.put(fault)
    house.sandbox.revoke_all_keys()
    assert await codex.answers(CODEX_API_KEY=house.client_key) == ANSWER
    assert (await server.logged("request"))["replayed"] == "done"
    assert 401 not in {status for _, _, status in requests(server)}
    assert house.count("refresh") == 1


async def test_codex_with_a_sign_in_of_its_own_compresses_its_bodies_which_pass_unchanged(
    house: House, canary: Canary, codex: Codex
) -> None:
    """Codex compresses where it is signed in with ChatGPT; the sandbox reads what it gets with zstd."""
    tokens = house.sandbox.sign_in()
    codex.sign_in(
        {
            "auth_mode": "chatgpt",
            "OPENAI_API_KEY": None,
            "tokens": {
                "id_token": revealed(tokens.id_token),
                "access_token": revealed(tokens.access_token),
                "refresh_token": revealed(tokens.refresh_token),
                "account_id": house.sandbox.account.account_id,
            },
            "last_refresh": "2999-01-01T00:00:00Z",
        }
    )
    canary.allow_file(codex.home / ".codex" / "auth.json")
    house.sandbox.faults.put(SocketRefused(times=None))
    async with house.serving("--no-client-key") as server:
        codex.environment["OPENAI_BASE_URL"] = await server.url()
        assert await codex.answers() == ANSWER
    [asked] = [event for event in house.sandbox.events.of("api") if event.method == "POST"]
    assert asked.header("Content-Encoding") == "zstd"
    assert asked.header("Content-Length") == str(asked.received)
    stored = await house.stored()
    assert stored.api_key is not None
    assert asked.bearer == stored.api_key.fingerprint()


def revealed(secret: Secret | None) -> str:
    assert secret is not None
    return secret.reveal()
