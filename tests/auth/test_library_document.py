"""The examples in docs/library.md run as they stand."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from canary import Canary
from house import House, furnished

DOCUMENT = Path(__file__).parents[2] / "docs" / "library.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    async with furnished(canary) as house:
        yield house


@pytest.mark.parametrize("number", range(3))
async def test_an_example_runs_and_prints_one_line(house: House, number: int) -> None:
    credential = await house.signed_in(age=4000)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        EXAMPLES[number],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **house.environment},
    )
    out, err = await process.communicate()
    stored = await house.stored()
    assert stored.api_key is not None
    assert stored.api_key != credential.api_key, "what was due has been refreshed"
    assert (process.returncode, err.decode()) == (0, "")
    assert out.decode() == ("200\n", f"{stored.api_key.last_four()}\n", "True\n")[number]


async def test_there_are_three_examples() -> None:
    assert len(EXAMPLES) == 3
