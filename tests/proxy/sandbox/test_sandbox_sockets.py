"""The sandbox's WebSockets: realtime and responses."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from sidekey_proxy.sandbox import ApiCut, ApiStatus, Sandbox, SocketRefused

from .conftest import Hand


def authorised(sandbox: Sandbox) -> dict[str, str]:
    return {"Authorization": f"Bearer {sandbox.issue_key().reveal()}"}


async def until(socket: aiohttp.ClientWebSocketResponse, last: str) -> list[dict[str, Any]]:
    messages = []
    while True:
        message = await socket.receive_json()
        messages.append(message)
        if message["type"] == last:
            return messages


async def test_a_realtime_session_answers_what_it_was_told(hand: Hand) -> None:
    url = f"{hand.sandbox.upstream}/realtime?model=gpt-realtime"
    headers = authorised(hand.sandbox)
    async with hand.http.ws_connect(url, headers=headers, protocols=("realtime",), compress=15) as socket:
        assert socket.protocol == "realtime"
        assert socket.compress
        created = await socket.receive_json()
        assert (created["type"], created["session"]["model"]) == ("session.created", "gpt-realtime")
        await socket.send_json({"type": "session.update", "session": {"instructions": "be brief"}})
        assert (await socket.receive_json())["session"]["instructions"] == "be brief"
        content = [{"type": "input_text", "text": "are you there"}]
        item = {"type": "message", "role": "user", "content": content}
        await socket.send_json({"type": "conversation.item.create", "item": item})
        await until(socket, "conversation.item.done")
        await socket.send_json({"type": "response.create"})
        events = await until(socket, "response.done")
    assert events[0]["type"] == "response.created"
    said = "".join(event["delta"] for event in events if event["type"] == "response.output_text.delta")
    assert "are you there" in said
    assert events[-1]["response"]["status"] == "completed"


async def test_responses_over_a_socket_have_the_events_of_the_stream(hand: Hand) -> None:
    url = f"{hand.sandbox.upstream}/responses"
    async with hand.http.ws_connect(url, headers=authorised(hand.sandbox)) as socket:
        for text in ("first", "second"):
            await socket.send_json({"type": "response.create", "model": "gpt-5", "input": text})
            events = await until(socket, "response.completed")
            assert events[0]["type"] == "response.created"
            assert [event["sequence_number"] for event in events] == list(range(len(events)))
            assert text in events[-1]["response"]["output"][0]["content"][0]["text"]


@pytest.mark.parametrize("path", ["/realtime", "/responses"])
@pytest.mark.parametrize("sent", ['{"type":"dance"}', "[]", "not json", '{"type":"response.create"}'])
async def test_a_wrong_message_gets_an_error_and_the_session_goes_on(
    hand: Hand, path: str, sent: str
) -> None:
    if path == "/realtime" and "response.create" in sent:
        sent = "{}"
    url = f"{hand.sandbox.upstream}{path}"
    async with hand.http.ws_connect(url, headers=authorised(hand.sandbox)) as socket:
        for _ in range(2):
            await socket.send_str(sent)
            assert (await until(socket, "error"))[-1]["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["/realtime", "/responses"])
async def test_the_handshake_asks_for_a_key(hand: Hand, path: str) -> None:
    wrong = {"Authorization": "Bearer sk-wrong-0123456789"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await hand.http.ws_connect(f"{hand.sandbox.upstream}{path}", headers=wrong)
    assert caught.value.status == 401


async def test_a_browsers_key_in_the_subprotocol_is_honoured_and_not_recorded(hand: Hand) -> None:
    key = hand.sandbox.issue_key()
    protocols = ("realtime", f"openai-insecure-api-key.{key.reveal()}")
    async with hand.http.ws_connect(f"{hand.sandbox.upstream}/realtime", protocols=protocols) as socket:
        assert socket.protocol == "realtime"
    event = await hand.sandbox.wait_for("api")
    assert event.header("Sec-WebSocket-Protocol") == f"realtime,openai-insecure-api-key.{key.fingerprint()}"
    assert (event.status, event.bearer) == (101, key.fingerprint())


async def test_the_handshake_can_be_refused_on_demand(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiStatus(status=429))
    with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
        await hand.http.ws_connect(f"{hand.sandbox.upstream}/realtime", headers=authorised(hand.sandbox))
    assert caught.value.status == 429


async def test_sockets_can_be_refused_while_plain_requests_go_on(hand: Hand) -> None:
    hand.sandbox.faults.put(SocketRefused(path="/v1/responses", times=2))
    url, headers = f"{hand.sandbox.upstream}/responses", authorised(hand.sandbox)
    wish = {"model": "gpt-5", "input": "x"}
    for _ in range(2):
        async with hand.http.post(url, headers=headers, json=wish) as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await hand.http.ws_connect(url, headers=headers)
        assert caught.value.status == 426
        async with hand.http.ws_connect(f"{hand.sandbox.upstream}/realtime", headers=headers) as socket:
            assert (await socket.receive_json())["type"] == "session.created"
    async with hand.http.ws_connect(url, headers=headers):
        pass


async def test_a_session_can_be_cut_after_some_messages(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiCut(after_chunks=3))
    url = f"{hand.sandbox.upstream}/responses"
    async with hand.http.ws_connect(url, headers=authorised(hand.sandbox)) as socket:
        await socket.send_json({"type": "response.create", "model": "gpt-5", "input": "x"})
        kinds = [(await socket.receive()).type for _ in range(4)]
    assert kinds[:3] == [WSMsgType.TEXT] * 3
    assert kinds[3] in {WSMsgType.CLOSED, WSMsgType.CLOSE, WSMsgType.ERROR}
    assert socket.close_code != 1000


async def test_the_server_closes_with_the_code_and_reason_it_was_asked_for(hand: Hand) -> None:
    url = f"{hand.sandbox.upstream}/realtime"
    async with hand.http.ws_connect(url, headers=authorised(hand.sandbox), autoclose=False) as socket:
        await socket.receive_json()
        await socket.send_json({"type": "sandbox.close", "code": 4321, "reason": "enough"})
        closed = await socket.receive()
    assert (closed.type, closed.data, closed.extra) == (WSMsgType.CLOSE, 4321, "enough")


async def test_the_end_of_a_session_is_recorded(hand: Hand) -> None:
    async with hand.http.ws_connect(
        f"{hand.sandbox.upstream}/realtime", headers=authorised(hand.sandbox)
    ) as socket:
        await socket.receive_json()
    assert (await hand.sandbox.wait_for("api_end")).outcome == "answered"
