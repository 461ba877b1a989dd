"""The API's WebSockets: realtime and responses, a question in, an answer out in OpenAI's events."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from aiohttp import WSMsgType, web

from . import answers
from .call import Call
from .delivery import Conduct
from .refusal import Refusal

Says = Callable[[str], str]
Message = dict[str, Any]

_LARGEST_MESSAGE: Final = 16 * 1024 * 1024


class RealtimeTalk:
    """One realtime session.

    Args:
        says: what the model says to a text.
        query: of the handshake, which names the model.
    """

    def __init__(self, says: Says, query: Mapping[str, str]) -> None:
        self._says = says
        self._heard = ""
        self._session = {
            "id": _id("sess"),
            "object": "realtime.session",
            "type": "realtime",
            "model": query.get("model", "gpt-realtime"),
            "output_modalities": ["text"],
            "instructions": "",
        }

    def greeting(self) -> Iterator[Message]:
        """Yield what is said before the client says anything."""
        yield _event("session.created", session=self._session)

    def reply(self, asked: Message) -> Iterator[Message]:
        """Yield what a message of the client brings about."""
        match asked.get("type"):
            case "session.update":
                self._session = {**self._session, **_object(asked.get("session"))}
                yield _event("session.updated", session=self._session)
            case "conversation.item.create":
                item = {"id": _id("item"), "status": "completed", **_object(asked.get("item"))}
                self._heard = answers.text_of(item.get("content"))
                yield _event("conversation.item.added", previous_item_id=None, item=item)
                yield _event("conversation.item.done", previous_item_id=None, item=item)
            case "response.create":
                yield from self._response(self._says(self._heard))
            case "input_audio_buffer.append":
                return
            case other:
                yield _error(f"Invalid value: '{other}'.", asked.get("event_id"))

    def _response(self, text: str) -> Iterator[Message]:
        about = {"id": _id("resp"), "object": "realtime.response", "status": "in_progress", "output": []}
        item: Message = {"id": _id("item"), "type": "message", "role": "assistant", "content": []}
        where = {"response_id": about["id"], "item_id": item["id"], "output_index": 0, "content_index": 0}
        yield _event("response.created", response=about)
        yield _event("response.output_item.added", response_id=about["id"], output_index=0, item=item)
        for word in answers.words(text):
            yield _event("response.output_text.delta", **where, delta=word)
        yield _event("response.output_text.done", **where, text=text)
        item = {**item, "status": "completed", "content": [{"type": "output_text", "text": text}]}
        yield _event("response.output_item.done", response_id=about["id"], output_index=0, item=item)
        said = len(answers.words(text))
        usage = {"total_tokens": said, "input_tokens": 0, "output_tokens": said}
        yield _event(
            "response.done", response={**about, "status": "completed", "output": [item], "usage": usage}
        )


class ResponsesTalk:
    """The responses API over one WebSocket: each ``response.create`` is a request.

    Args:
        says: what the model says to a text.
        query: of the handshake; nothing in it matters.
    """

    def __init__(self, says: Says, query: Mapping[str, str]) -> None:
        del query
        self._says = says

    def greeting(self) -> Iterator[Message]:
        """Yield nothing: here the client speaks first."""
        return iter(())

    def reply(self, asked: Message) -> Iterator[Message]:
        """Yield the events of the response that a message asks for."""
        if asked.get("type") != "response.create":
            yield _error(f"Invalid value: '{asked.get('type')}'.", asked.get("event_id"))
            return
        fields = {**asked, **_object(asked.get("response"))}
        try:
            text = self._says(answers.response_question(fields))
            yield from answers.response_events(fields, text, now=time.time())
        except Refusal as refusal:
            yield _error(refusal.message, asked.get("event_id"), status=refusal.status, code=refusal.code)


Talk = RealtimeTalk | ResponsesTalk
SOCKETS: Final[Mapping[str, type[RealtimeTalk | ResponsesTalk]]] = {
    "/v1/realtime": RealtimeTalk,
    "/v1/responses": ResponsesTalk,
}


async def converse(
    call: Call,
    kind: type[RealtimeTalk | ResponsesTalk],
    conduct: Conduct,
    says: Says,
    headers: Mapping[str, str],
) -> web.StreamResponse:
    """Hold one conversation until the client ends it, or asks for the end.

    The message ``{"type": "sandbox.close", "code": 4000, "reason": "…"}`` asks for it with a close code.

    Args:
        call: the handshake, already authorised.
        kind: of conversation.
        conduct: the faults that strike it; a chunk is a message here.
        says: what the model says to a text.
        headers: of the answer to the handshake.

    Raises:
        Cut: the connection must go.
    """
    socket = web.WebSocketResponse(protocols=("realtime",), max_msg_size=_LARGEST_MESSAGE)
    socket.headers.update(headers)
    await socket.prepare(call.request)
    talk = kind(says, call.request.query)
    sent = await _say(socket, talk.greeting(), conduct, 0)
    async for message in socket:
        if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
            continue
        call.count(len(message.data))
        asked = _asked(message.data)
        if asked.get("type") == "sandbox.close":
            reason = str(asked.get("reason", ""))
            await socket.close(code=int(asked.get("code", 1000)), message=reason.encode())
            break
        sent = await _say(socket, talk.reply(asked), conduct, sent)
    return socket


async def _say(
    socket: web.WebSocketResponse, messages: Iterator[Message], conduct: Conduct, sent: int
) -> int:
    for message in messages:
        if not conduct.smooth:
            await conduct.before_chunk(sent)
        await socket.send_str(json.dumps(message, separators=(",", ":")))
        sent += 1
    return sent


def _asked(data: str | bytes) -> Message:
    try:
        return _object(json.loads(data))
    except ValueError:
        return {}


def _object(value: object) -> Message:
    return value if isinstance(value, dict) else {}


def _id(prefix: str) -> str:
    return f"{prefix}_{secrets.token_hex(12)}"


def _event(kind: str, **fields: Any) -> Message:
    return {"type": kind, "event_id": _id("event"), **fields}


def _error(
    message: str, event_id: object, *, status: int = 400, code: str | None = "invalid_value"
) -> Message:
    error = {"type": "invalid_request_error", "code": code, "message": message, "param": None}
    return _event("error", status=status, error={**error, "event_id": event_id})
