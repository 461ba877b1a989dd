"""The sandbox's API as the real openai SDK sees it, and its answers to those who may not."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import re
import tempfile
import wave
from collections.abc import AsyncIterator
from typing import IO

import aiohttp
import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam

from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import RedeemRefused, Sandbox, SandboxAccount, SandboxSettings

from .conftest import Hand

ASKED: list[ChatCompletionMessageParam] = [{"role": "user", "content": "good morning"}]


@pytest.fixture
async def sdk(sandbox: Sandbox) -> AsyncIterator[openai.AsyncOpenAI]:
    key = sandbox.issue_key().reveal()
    async with openai.AsyncOpenAI(api_key=key, base_url=sandbox.upstream, max_retries=0) as client:
        yield client


# --- what the SDK can do ----------------------------------------------------------------------------------


async def test_models_are_listed_and_found(sdk: openai.AsyncOpenAI) -> None:
    names = [model.id async for model in await sdk.models.list()]
    assert "gpt-5" in names
    assert (await sdk.models.retrieve("gpt-5")).owned_by == "sandbox"
    with pytest.raises(openai.NotFoundError) as caught:
        await sdk.models.retrieve("gpt-none")
    assert caught.value.code == "model_not_found"


async def test_a_chat_is_answered_with_usage(sdk: openai.AsyncOpenAI) -> None:
    done = await sdk.chat.completions.create(model="gpt-5", messages=ASKED)
    assert "good morning" in (done.choices[0].message.content or "")
    assert done.usage
    assert done.usage.total_tokens == done.usage.prompt_tokens + done.usage.completion_tokens > 2


async def test_a_streamed_chat_is_the_same_answer_in_pieces(sdk: openai.AsyncOpenAI) -> None:
    whole = await sdk.chat.completions.create(model="gpt-5", messages=ASKED)
    stream = await sdk.chat.completions.create(model="gpt-5", messages=ASKED, stream=True)
    chunks = [chunk async for chunk in stream]
    said = [chunk.choices[0].delta.content or "" for chunk in chunks]
    assert "".join(said) == whole.choices[0].message.content
    assert len([piece for piece in said if piece]) > 3
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


async def test_a_streamed_chat_ends_with_its_usage_where_asked(sdk: openai.AsyncOpenAI) -> None:
    stream = await sdk.chat.completions.create(
        model="gpt-5", messages=ASKED, stream=True, stream_options={"include_usage": True}
    )
    *others, last = [chunk async for chunk in stream]
    assert last.choices == []
    assert last.usage
    assert last.usage.total_tokens > 0
    assert all(chunk.usage is None for chunk in others)


async def test_a_response_is_answered_with_usage(sdk: openai.AsyncOpenAI) -> None:
    done = await sdk.responses.create(model="gpt-5", input="good evening")
    assert "good evening" in done.output_text
    assert done.status == "completed"
    assert done.usage
    assert done.usage.total_tokens == done.usage.input_tokens + done.usage.output_tokens > 2


async def test_a_streamed_response_has_the_events_in_their_order(sdk: openai.AsyncOpenAI) -> None:
    async with sdk.responses.stream(
        model="gpt-5", input=[{"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
    ) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    kinds = list(dict.fromkeys(event.type for event in events))
    assert kinds == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert "hello" in final.output_text


async def test_embeddings_come_as_floats_and_as_base64_and_are_the_same(sdk: openai.AsyncOpenAI) -> None:
    by_default = await sdk.embeddings.create(model="text-embedding-3-small", input=["one", "two"])
    floats = await sdk.embeddings.create(
        model="text-embedding-3-small", input="one", encoding_format="float", dimensions=64
    )
    assert [len(item.embedding) for item in by_default.data] == [1536, 1536]
    assert by_default.data[0].embedding != by_default.data[1].embedding
    assert len(floats.data[0].embedding) == 64
    assert sum(value * value for value in floats.data[0].embedding) == pytest.approx(1.0)
    packed = await sdk.embeddings.create(model="text-embedding-3-small", input="one", dimensions=64)
    assert packed.data[0].embedding == pytest.approx(floats.data[0].embedding, abs=1e-6)


async def test_a_file_is_uploaded_listed_read_and_deleted(sdk: openai.AsyncOpenAI, sandbox: Sandbox) -> None:
    content = bytes(range(256)) * 12_000
    made = await sdk.files.create(file=("réport.bin", content), purpose="assistants")
    assert (made.bytes, made.filename, made.purpose) == (len(content), "réport.bin", "assistants")
    assert (await sandbox.wait_for("api")).received == len(content)
    assert [file.id async for file in await sdk.files.list()] == [made.id]
    assert (await sdk.files.retrieve(made.id)).bytes == len(content)
    assert (await sdk.files.content(made.id)).content == content
    assert (await sdk.files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError):
        await sdk.files.retrieve(made.id)


async def test_files_are_listed_newest_first_in_pages(sdk: openai.AsyncOpenAI) -> None:
    one = await sdk.files.create(file=("1", b"x"), purpose="assistants")
    others = [await sdk.files.create(file=("2", b"x"), purpose="batch") for _ in range(2)]
    ids = [file.id for file in (one, *others)]
    page = await sdk.files.list(limit=2)
    assert ([file.id for file in page.data], page.has_more) == (ids[:0:-1], True)
    assert [file.id async for file in await sdk.files.list(limit=1)] == ids[::-1]
    assert [file.id async for file in await sdk.files.list(purpose="batch", order="asc")] == ids[1:]


async def test_a_file_too_large_to_keep_is_counted_all_the_same() -> None:
    async with Sandbox(SandboxSettings(stored_file_bytes=1000)) as sandbox:
        key = sandbox.issue_key().reveal()
        async with openai.AsyncOpenAI(api_key=key, base_url=sandbox.upstream, max_retries=0) as sdk:
            made = await sdk.files.create(file=("large", bytes(2_000_000)), purpose="batch")
            assert made.bytes == 2_000_000
            with pytest.raises(openai.BadRequestError):
                await sdk.files.content(made.id)


async def test_an_upload_that_is_refused_keeps_no_file_open(
    hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[IO[bytes]] = []
    original = tempfile.SpooledTemporaryFile

    def remembered(**settings: int) -> IO[bytes]:
        opened.append(original(**settings))  # type: ignore[call-overload]
        return opened[-1]

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", remembered)
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    form = aiohttp.FormData()
    form.add_field("file", b"x" * 1000, filename="x")
    async with hand.http.post(f"{hand.sandbox.upstream}/files", data=form, headers=headers) as answer:
        assert answer.status == 400
        assert "'purpose'" in (await answer.json())["error"]["message"]
    assert [file.closed for file in opened] == [True]


async def test_speech_is_sound(sdk: openai.AsyncOpenAI) -> None:
    spoken = await sdk.audio.speech.create(model="gpt-4o-mini-tts", voice="alloy", input="one two three")
    assert spoken.content.startswith(b"\xff\xfb")
    assert spoken.response.headers["content-type"] == "audio/mpeg"
    assert spoken.response.headers["transfer-encoding"] == "chunked"
    recorded = await sdk.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="one two", response_format="wav"
    )
    with wave.open(io.BytesIO(recorded.content)) as sound:
        assert (sound.getframerate(), sound.getnframes()) == (24_000, 12_000)


async def test_a_recording_is_transcribed(sdk: openai.AsyncOpenAI) -> None:
    heard = await sdk.audio.transcriptions.create(model="whisper-1", file=("a.wav", bytes(5000)))
    assert heard.text == "A recording of 5000 bytes."
    plain = await sdk.audio.transcriptions.create(
        model="whisper-1", file=("a.wav", b"123"), response_format="text"
    )
    assert plain == "A recording of 3 bytes.\n"


async def test_pictures_are_pngs(sdk: openai.AsyncOpenAI) -> None:
    drawn = await sdk.images.generate(model="gpt-image-1", prompt="a tree", n=2)
    assert drawn.data
    assert [picture.b64_json and picture.b64_json[:4] for picture in drawn.data] == ["iVBO", "iVBO"]


async def test_the_synchronous_sdk_works_as_well(sandbox: Sandbox) -> None:
    key = sandbox.issue_key().reveal()

    def talk() -> tuple[str, str, str, int]:
        with openai.OpenAI(api_key=key, base_url=sandbox.upstream, max_retries=0) as sdk:
            chat = sdk.chat.completions.create(model="gpt-5", messages=ASKED)
            stream = sdk.chat.completions.create(model="gpt-5", messages=ASKED, stream=True)
            pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
            answer = sdk.responses.create(model="gpt-5", input="good morning")
            made = sdk.files.create(file=("a", b"abc"), purpose="batch")
        return chat.choices[0].message.content or "", "".join(pieces), answer.output_text, made.bytes

    said, streamed, answered, size = await asyncio.to_thread(talk)
    assert said == streamed == answered
    assert size == 3


async def test_what_the_models_say_is_a_setting() -> None:
    async with Sandbox(SandboxSettings(answer="Forty two.")) as sandbox:
        key = sandbox.issue_key().reveal()
        async with openai.AsyncOpenAI(api_key=key, base_url=sandbox.upstream) as sdk:
            assert (await sdk.responses.create(model="gpt-5", input="?")).output_text == "Forty two."


# --- who may not ------------------------------------------------------------------------------------------


async def test_a_wrong_key_is_refused_as_openai_does_and_is_not_repeated(sandbox: Sandbox) -> None:
    async with openai.AsyncOpenAI(
        api_key="sk-proj-wrong-0123456789", base_url=sandbox.upstream, max_retries=0
    ) as sdk:
        with pytest.raises(openai.AuthenticationError) as caught:
            await sdk.models.list()
    assert caught.value.code == "invalid_api_key"
    assert "sk-proj-wrong" not in str(caught.value)


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic abc"}, {"Authorization": "Bearer"}])
async def test_no_key_is_refused(hand: Hand, header: dict[str, str]) -> None:
    async with hand.http.get(f"{hand.sandbox.upstream}/models", headers=header) as answer:
        assert answer.status == 401
        assert (await answer.json())["error"]["code"] is None


async def test_a_chatgpt_access_token_lacks_the_scopes(hand: Hand) -> None:
    token = hand.sandbox.sign_in().access_token
    assert token
    headers = {"Authorization": f"Bearer {token.reveal()}"}
    async with hand.http.post(f"{hand.sandbox.upstream}/responses", headers=headers, json={}) as answer:
        error = (await answer.json())["error"]
        assert (answer.status, error["code"]) == (401, "missing_scope")
        assert "Missing scopes: api.responses.write" in error["message"]


async def test_a_revoked_key_stops_working_at_once_and_others_do_not(hand: Hand) -> None:
    one, other = hand.sandbox.issue_key(), hand.sandbox.issue_key()
    hand.sandbox.revoke_key(one)
    assert [await hand.models(key) for key in (one, other)] == [401, 200]
    hand.sandbox.revoke_all_keys()
    assert await hand.models(other) == 401
    assert await hand.models(hand.sandbox.issue_key()) == 200


async def test_preset_keys_are_honoured(http: aiohttp.ClientSession) -> None:
    preset = Secret("sk-preset-0123456789abcdef")
    async with Sandbox(SandboxSettings(api_keys=(preset,))) as sandbox:
        assert await Hand(http, sandbox).models(preset) == 200


async def test_an_event_tells_which_key_was_used(hand: Hand) -> None:
    key = hand.sandbox.issue_key()
    await hand.models(key)
    event = await hand.sandbox.wait_for("api")
    assert event.bearer == key.fingerprint()
    assert event.header("Authorization") == f"Bearer {key.fingerprint()}"
    assert key.reveal() not in repr(event)


# --- how it answers ---------------------------------------------------------------------------------------


async def test_every_answer_has_openais_headers(hand: Hand) -> None:
    key = hand.sandbox.issue_key().reveal()
    ids = set()
    for bearer in (key, "sk-wrong-key-0123456789"):
        url = f"{hand.sandbox.upstream}/models"
        async with hand.http.get(url, headers={"Authorization": f"Bearer {bearer}"}) as answer:
            assert re.fullmatch(r"req_[0-9a-f]{32}", answer.headers["x-request-id"])
            assert answer.headers["openai-processing-ms"].isdecimal()
            assert {"x-ratelimit-limit-requests", "x-ratelimit-remaining-tokens"} <= {
                name.lower() for name in answer.headers
            }
            ids.add(answer.headers["x-request-id"])
    assert len(ids) == 2


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing/here?x=%2F", 404, "unknown_url"),
        ("POST", "/files/file-x/content/more", 404, "unknown_url"),
        ("GET", "/", 404, "unknown_url"),
        ("DELETE", "/models", 405, "method_not_supported"),
        ("GET", "/chat/completions", 405, "method_not_supported"),
    ],
)
async def test_unknown_paths_and_methods_are_refused_as_openai_does(
    hand: Hand, method: str, path: str, status: int, code: str
) -> None:
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    async with hand.http.request(method, f"{hand.sandbox.upstream}{path}", headers=headers) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (status, code)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/chat/completions", b"not json"),
        ("/chat/completions", b"[]"),
        ("/chat/completions", b'{"messages":[]}'),
        ("/chat/completions", b'{"model":"gpt-5"}'),
        ("/chat/completions", b'{"model":"gpt-5","messages":["x"]}'),
        ("/responses", b'{"input":"x"}'),
        ("/embeddings", b'{"model":"m"}'),
        ("/embeddings", b'{"model":"m","input":"x","dimensions":-1}'),
        ("/audio/speech", b'{"model":"m","input":"x"}'),
        ("/images/generations", b'{"n":1}'),
        ("/images/generations", b'{"prompt":"x","n":99}'),
        ("/files", b"{}"),
    ],
)
async def test_a_bad_request_is_named_as_one(hand: Hand, path: str, body: bytes) -> None:
    headers = {
        "Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}",
        "Content-Type": "application/json",
    }
    async with hand.http.post(f"{hand.sandbox.upstream}{path}", headers=headers, data=body) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_a_compressed_body_is_understood_and_a_damaged_or_unknown_one_refused(hand: Hand) -> None:
    packed = gzip.compress(json.dumps({"model": "gpt-5", "input": "squeezed"}).encode())
    statuses = []
    for encoding, body in (("gzip", packed), ("gzip", packed[:20]), ("rot13", b"{}")):
        headers = {
            "Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}",
            "Content-Encoding": encoding,
        }
        url = f"{hand.sandbox.upstream}/responses"
        async with hand.http.post(url, headers=headers, data=body) as answer:
            statuses.append(answer.status)
            if answer.status == 200:
                assert "squeezed" in await answer.text()
    assert statuses == [200, 400, 415]


# --- credits ----------------------------------------------------------------------------------------------


async def test_credits_are_granted_for_an_id_token_in_the_body_alone(hand: Hand) -> None:
    id_token = hand.sandbox.id_token().reveal()
    status, fields = await hand.json("/v1/billing/redeem_credits", id_token=id_token)
    assert (status, fields["granted_chatgpt_subscriber_api_credits"]) == (200, 5)
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    url = f"{hand.sandbox.upstream}/billing/redeem_credits"
    async with hand.http.post(url, headers=headers, json={"id_token": id_token}) as answer:
        assert answer.status == 400
    assert hand.sandbox.events.seen("redeem") == 2


async def test_credits_are_refused_to_who_is_not_eligible_and_on_demand(hand: Hand) -> None:
    free = hand.sandbox.id_token(account=SandboxAccount(plan="free")).reveal()
    assert (await hand.json("/v1/billing/redeem_credits", id_token=free))[0] == 403
    forged = hand.sandbox.id_token(forged=True).reveal()
    assert (await hand.json("/v1/billing/redeem_credits", id_token=forged))[0] == 401
    hand.sandbox.faults.put(RedeemRefused(status=500))
    good = hand.sandbox.id_token().reveal()
    assert (await hand.json("/v1/billing/redeem_credits", id_token=good))[0] == 500
