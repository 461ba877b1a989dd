"""The whole product on real sockets: each test has a house."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from canary import Canary
from house import CLIENT_KEY, House, furnished

__all__ = ["CLIENT_KEY", "House", "house"]


@pytest.fixture
async def house(canary: Canary) -> AsyncIterator[House]:
    """Give the test a house of its own."""
    async with furnished(canary) as house:
        yield house
