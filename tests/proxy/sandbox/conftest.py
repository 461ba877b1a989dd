"""A running sandbox, and a plain HTTP client that speaks its protocol by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import Sandbox

TOKEN_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"

Reply = tuple[int, dict[str, Any]]


class Hand:
    """Speaks to a sandbox word by word, as the protocol page has it.

    Args:
        http: the client.
        sandbox: the server.
    """

    def __init__(self, http: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.http = http
        self.sandbox = sandbox

    async def form(self, **fields: str) -> Reply:
        async with self.http.post(f"{self.sandbox.issuer}/oauth/token", data=fields) as answer:
            return answer.status, await answer.json()

    async def json(self, path: str, **fields: object) -> Reply:
        async with self.http.post(f"{self.sandbox.issuer}{path}", json=fields) as answer:
            return answer.status, await answer.json()

    async def refresh(self, token: Secret, **other: str) -> Reply:
        fields = {
            "client_id": self.sandbox.client_id,
            "grant_type": "refresh_token",
            "refresh_token": token.reveal(),
        }
        return await self.json("/oauth/token", **{**fields, **other})

    async def exchange(self, id_token: Secret, **other: str) -> Reply:
        fields = {
            "grant_type": TOKEN_EXCHANGE,
            "client_id": self.sandbox.client_id,
            "requested_token": "openai-api-key",
            "subject_token": id_token.reveal(),
            "subject_token_type": ID_TOKEN,
        }
        return await self.form(**{**fields, **other})

    async def control(self, action: str, **fields: object) -> Reply:
        headers = {"Authorization": f"Bearer {self.sandbox.control_token.reveal()}"}
        url = f"{self.sandbox.base_url}/sandbox/control/{action}"
        async with self.http.post(url, json=fields, headers=headers) as answer:
            return answer.status, await answer.json()

    async def models(self, key: Secret) -> int:
        headers = {"Authorization": f"Bearer {key.reveal()}"}
        async with self.http.get(f"{self.sandbox.upstream}/models", headers=headers) as answer:
            await answer.read()
            return answer.status


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox() as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
        yield session


@pytest.fixture
def hand(http: aiohttp.ClientSession, sandbox: Sandbox) -> Hand:
    return Hand(http, sandbox)
