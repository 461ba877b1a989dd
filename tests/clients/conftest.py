"""A house with somebody signed in, a running proxy, and the environment that sends programs to it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

import pytest

from canary import Canary
from house import CLIENT_KEY, House, furnished
from processes import Server
from sidekey_auth.secret import Secret
from sidekey_proxy.cli.environment import proxy_variables

from .programs import HERE, NODE, program

Said = list[Any]
Node = Callable[..., Awaitable[Said]]


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    async with furnished(canary) as house:
        await house.signed_in()
        yield house


@pytest.fixture
async def server(house: House) -> AsyncIterator[Server]:
    async with house.serving() as running:
        yield running


@pytest.fixture
async def environment(server: Server) -> dict[str, str]:
    return variables(await server.url())


@pytest.fixture
def node(environment: dict[str, str], canary: Canary) -> Node:
    """Return a function that runs a script through the running proxy."""

    async def run(script: str, *arguments: str, **changes: str) -> Said:
        return await run_script(script, *arguments, canary=canary, environment={**environment, **changes})

    return run


def variables(url: str) -> dict[str, str]:
    """Return what `sidekey env` prints for a proxy at this base URL."""
    return proxy_variables(url, Secret(CLIENT_KEY), os.environ)


async def run_script(script: str, *arguments: str, canary: Canary, environment: Mapping[str, str]) -> Said:
    """Run one of the scripts to its end, and return the JSON values that it said."""
    command = (NODE, HERE / "sdk" / f"{script}.mjs", *arguments)
    async with program(*command, canary=canary, environment=environment) as running:
        said = []
        while (value := await running.says()) is not None:
            said.append(value)
        code, _, errors = await running.ends()
    assert (code, errors) == (0, "")
    return said
