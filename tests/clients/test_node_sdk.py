"""The real openai SDK for Node: it knows what `sidekey env` prints, and nothing of sidekey."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from canary import Canary
from sidekey_proxy.sandbox import ApiCut, ApiHang, ApiStatus

from .conftest import Node, run_script, variables
from .programs import HERE, NODE, program

if TYPE_CHECKING:
    from house import House
    from processes import Server

ANSWER = "Hello from the sidekey sandbox. You said: one two three"


async def test_chat_and_a_list_of_models(house: House, node: Node) -> None:
    chat, models = await node("chat")
    assert chat["content"] == ANSWER
    assert chat["usage"] > 0
    assert chat["request_id"].startswith("req_")
    assert chat["limit"] == "10000"
    assert "gpt-5-mini" in models
    stored = await house.stored()
    assert stored.api_key is not None
    assert {event.bearer for event in house.sandbox.events.of("api")} == {stored.api_key.fingerprint()}


async def test_a_streamed_chat_arrives_word_by_word(node: Node) -> None:
    *pieces, end = await node("stream")
    assert "".join(said["piece"] for said in pieces) == ANSWER
    assert len(pieces) > len(ANSWER.split())
    assert end == {"end": "whole"}


async def test_a_stream_that_upstream_cuts_is_an_error_to_the_sdk(house: House, node: Node) -> None:
    house.sandbox.faults.put(ApiCut(after_chunks=4))
    *pieces, end = await node("stream")
    assert len(pieces) == 4
    assert end["end"] == "error", "a cut stream was dressed up as a whole one"


async def test_a_streamed_response(node: Node) -> None:
    said = await node("responses")
    assert said == [{"first": "response.created", "last": "response.completed", "text": ANSWER}]


async def test_an_aborted_stream_is_cancelled_upstream(
    house: House, environment: dict[str, str], canary: Canary
) -> None:
    house.sandbox.faults.put(ApiHang(after_chunks=4))
    async with program(NODE, HERE / "sdk" / "aborted.mjs", canary=canary, environment=environment) as running:
        assert await running.says() == "aborted"
        ended = await house.sandbox.wait_for("api_end", timeout=1.0)
        assert ended.outcome == "gone"
        assert (await running.ends())[0] == 0


async def test_a_file_of_some_mebibytes_goes_up_and_comes_down_unchanged(node: Node, tmp_path: Path) -> None:
    content = os.urandom(5 * 1024 * 1024)
    (tmp_path / "five mebibytes.bin").write_bytes(content)
    said = await node("upload", str(tmp_path / "five mebibytes.bin"))
    digest = hashlib.sha256(content).hexdigest()
    assert said == [{"bytes": len(content), "filename": "five mebibytes.bin", "digest": digest}]


async def test_speech_comes_down_and_goes_up(node: Node) -> None:
    [said] = await node("audio")
    assert said["type"] == "audio/mpeg"
    assert said["heard"] == f"A recording of {said['size']} bytes."


async def test_upstreams_errors_are_the_sdks_own(house: House, node: Node) -> None:
    [missing] = await node("error")
    assert (missing["error"], missing["status"], missing["code"]) == ("NotFoundError", 404, "model_not_found")
    assert missing["request_id"].startswith("req_")
    house.sandbox.faults.put(ApiStatus(status=429, retry_after=7))
    [limited] = await node("error")
    assert (limited["error"], limited["status"]) == ("RateLimitError", 429)
    assert (limited["code"], limited["retry_after"]) == ("rate_limit_exceeded", "7")


async def test_sidekeys_errors_are_the_sdks_own_and_are_not_retried(house: House, node: Node) -> None:
    [wrong] = await node("error", "2", OPENAI_API_KEY="sk-not-the-client-key")
    assert (wrong["error"], wrong["status"]) == ("AuthenticationError", 401)
    assert wrong["code"] == "sidekey_client_key_invalid"
    assert "sidekey env" in wrong["message"]
    assert house.count("api") == 0


@pytest.mark.parametrize("script", ["chat", "stream", "responses"])
async def test_a_bearer_that_expired_is_replaced_and_the_sdk_sees_nothing(
    house: House, node: Node, script: str
) -> None:
    house.sandbox.revoke_all_keys()
    said = await node(script)
    assert "error" not in str(said)
    assert [event.status for event in house.sandbox.events.of("api")][:2] == [401, 200]
    assert house.count("refresh") == 1


async def test_an_upload_with_an_expired_bearer_goes_up_again_unchanged(
    house: House, node: Node, tmp_path: Path
) -> None:
    house.sandbox.revoke_all_keys()
    content = os.urandom(3 * 1024 * 1024)
    (tmp_path / "up.bin").write_bytes(content)
    [said] = await node("upload", str(tmp_path / "up.bin"))
    assert said["digest"] == hashlib.sha256(content).hexdigest()
    assert house.count("refresh") == 1


@pytest.mark.parametrize("expired", [False, True], ids=["good bearer", "expired bearer"])
@pytest.mark.parametrize("kind", ["ws", "websocket"])
async def test_realtime_with_either_of_its_sockets(
    house: House, canary: Canary, tmp_path: Path, kind: str, expired: bool
) -> None:
    """The SDK speaks realtime over TLS only, whatever the base URL says."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "own.pem")
    if expired:
        house.sandbox.revoke_all_keys()
    listen = ("--listen", "https://127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    async with house.serving(*listen, SIDEKEY_TLS_CERTIFICATE=str(tmp_path / "own.pem")) as server:
        environment = variables(await server.url())
        trusting = {**environment, "NODE_EXTRA_CA_CERTS": str(tmp_path / "authority.pem")}
        opened, done, closed = await run_script(f"realtime_{kind}", canary=canary, environment=trusting)
    assert opened == {"model": "gpt-realtime"}
    assert done == {"status": "completed", "text": ANSWER}
    assert closed["closed"] == {"code": 4321, "reason": "enough"}
    assert closed["protocol"] == ("realtime" if kind == "websocket" else "")
    handshake = house.sandbox.events.of("api")[-1]
    assert handshake.status == 101
    assert "insecure-api-key" not in str(handshake.header("Sec-WebSocket-Protocol"))
    assert house.count("refresh") == int(expired)


async def test_responses_over_a_websocket(server: Server, node: Node) -> None:
    assert await node("responses_ws") == [{"text": ANSWER}]
    line = await server.logged("request")
    assert (line["path"], line["status"]) == ("/v1/responses", 101)
