"""The real openai SDK through the proxy: it knows a base URL and a client key, and nothing of sidekey."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import openai
import pytest

if TYPE_CHECKING:
    from processes import Server

    from .conftest import House

MODEL = "gpt-5-mini"
ASKED = [{"role": "user", "content": "one two three"}]


@pytest.fixture
async def server(house: House) -> AsyncIterator[Server]:
    await house.signed_in()
    async with house.serving() as running:
        yield running


async def test_the_async_sdk_works_on_every_endpoint(house: House, server: Server) -> None:
    base_url = await server.url()
    async with openai.AsyncOpenAI(base_url=base_url, api_key=house.client_key, max_retries=0) as client:
        assert [model.id async for model in client.models.list()]
        chat = await client.chat.completions.create(model=MODEL, messages=ASKED)  # type: ignore[call-overload]
        assert "one two three" in chat.choices[0].message.content
        stream = await client.chat.completions.create(model=MODEL, messages=ASKED, stream=True)  # type: ignore[call-overload]
        pieces = [chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices]
        assert "".join(pieces) == chat.choices[0].message.content
        assert len(pieces) > 3
        answer = await client.responses.create(model=MODEL, input="one two three")
        assert "one two three" in answer.output_text
        events = [
            event.type async for event in await client.responses.create(model=MODEL, input="x", stream=True)
        ]
        assert (events[0], events[-1]) == ("response.created", "response.completed")
        embedded = await client.embeddings.create(model="text-embedding-3-small", input=["a", "b"])
        assert len(embedded.data) == 2
        file = await client.files.create(file=("data.jsonl", b'{"a": 1}\n' * 1000), purpose="batch")
        assert file.bytes == 9000
        speech = await client.audio.speech.create(model="tts-1", voice="alloy", input="hello")
        assert len(speech.content) > 100
        heard = await client.audio.transcriptions.create(model="whisper-1", file=("a.wav", speech.content))
        assert isinstance(heard.text, str)
        image = await client.images.generate(model="gpt-image-1", prompt="a key")
        assert image.data


async def test_the_sync_sdk_works_and_its_key_never_reaches_upstream(house: House, server: Server) -> None:
    base_url = await server.url()

    def use() -> str:
        with openai.OpenAI(base_url=base_url, api_key=house.client_key, max_retries=0) as client:
            list(client.chat.completions.create(model=MODEL, messages=ASKED, stream=True))  # type: ignore[call-overload]
            client.files.create(file=("up.bin", io.BytesIO(b"x" * 100_000)), purpose="user_data")
            client.embeddings.create(model="text-embedding-3-small", input="a")
            client.audio.speech.create(model="tts-1", voice="alloy", input="hello").read()
            return client.responses.create(model=MODEL, input="hello").output_text

    assert "hello" in await asyncio.to_thread(use)
    stored = await house.stored()
    assert stored.api_key is not None
    assert {event.bearer for event in house.sandbox.events.of("api")} == {stored.api_key.fingerprint()}


async def test_without_a_bearer_the_sdk_stops_at_once_and_says_what_to_run(house: House) -> None:
    async with house.serving() as server:
        base_url = await server.url()
        async with openai.AsyncOpenAI(base_url=base_url, api_key=house.client_key) as client:
            with pytest.raises(openai.AuthenticationError) as caught:
                await client.models.list()
        assert caught.value.code == "sidekey_login_required"
        assert "sidekey login" in caught.value.message
        async with aiohttp.ClientSession() as session, session.get(f"{base_url}/marker"):
            await server.logged("request", 2)
        paths = [line["path"] for line in server.lines if line["event"] == "request"]
        assert paths == ["/v1/models", "/v1/marker"], "no retries"


async def test_a_wrong_client_key_is_refused_before_anything_else(house: House, server: Server) -> None:
    base_url = await server.url()
    async with openai.AsyncOpenAI(base_url=base_url, api_key="sk-not-the-client-key") as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.models.list()
    assert caught.value.code == "sidekey_client_key_invalid"
    assert house.count("api") == 0


async def test_realtime_goes_through_as_a_websocket(house: House, server: Server) -> None:
    base_url = await server.url()
    async with (
        openai.AsyncOpenAI(base_url=base_url, api_key=house.client_key) as client,
        client.realtime.connect(model="gpt-realtime") as connection,
    ):
        event = await connection.recv()
        assert event.type == "session.created"
