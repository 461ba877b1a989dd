"""What the sandbox's models answer: chat completions, responses, embeddings, in OpenAI's JSON. Pure."""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import struct
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from .refusal import Refusal

Fields = Mapping[str, Any]

MODELS: Final = (
    "gpt-5",
    "gpt-5-mini",
    "gpt-4o",
    "gpt-4o-mini",
    "gpt-4o-mini-tts",
    "gpt-image-1",
    "gpt-realtime",
    "text-embedding-3-small",
    "whisper-1",
)
_BORN: Final = 1_735_689_600  # 1 January 2025
_QUOTED_AT_MOST: Final = 200
_DIMENSIONS: Final = 1536
_DIMENSIONS_AT_MOST: Final = 3072
_WORD = re.compile(r"\S+\s*")


def required(fields: Fields, name: str) -> Any:
    """Return a field that must be there.

    Raises:
        Refusal: it is not, as the API says it.
    """
    value = fields.get(name)
    if value is None or value == "":
        raise Refusal(400, "missing_required_parameter", f"Missing required parameter: '{name}'.")
    return value


def compact(value: object) -> bytes:
    """Return JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def server_sent(value: object, event: str = "") -> bytes:
    """Return one server-sent event."""
    name = f"event: {event}\n".encode() if event else b""
    return name + b"data: " + compact(value) + b"\n\n"


def words(text: str) -> list[str]:
    """Return a text in the pieces in which it is streamed: words, with the space that follows them."""
    return _WORD.findall(text)


def reply_to(question: str) -> str:
    """Return what a model says when nothing else was settled."""
    short = question if len(question) <= _QUOTED_AT_MOST else f"{question[:_QUOTED_AT_MOST]}…"
    return (
        f"Hello from the sidekey sandbox. You said: {short}" if short else "Hello from the sidekey sandbox."
    )


def model(name: str) -> dict[str, Any]:
    """Return a model's description."""
    return {"id": name, "object": "model", "created": _BORN, "owned_by": "sandbox"}


def text_of(content: object) -> str:
    """Return the text of a message's content: a string, or parts that have a text."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return " ".join(part for part in parts if isinstance(part, str))
    return ""


# --- chat completions -------------------------------------------------------------------------------------


def chat_question(fields: Fields) -> str:
    """Return what the last message of a chat says.

    Raises:
        Refusal: there are no messages.
    """
    messages = required(fields, "messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise Refusal(400, "invalid_type", "Invalid type for 'messages': expected an array of objects.")
    return text_of(messages[-1].get("content")) if messages else ""


def chat_completion(fields: Fields, text: str, *, now: float) -> dict[str, Any]:
    """Return a whole chat completion.

    Args:
        fields: the request.
        text: what the model says.
        now: Unix time in seconds.
    """
    message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    return {
        **_chat_head(fields, "chat.completion", now),
        "choices": [choice],
        "usage": _chat_usage(fields, text),
    }


def chat_stream(fields: Fields, text: str, *, now: float) -> Iterator[bytes]:
    """Yield a chat completion as server-sent events, with usage at the end where it was asked for."""
    head = _chat_head(fields, "chat.completion.chunk", now)
    options = fields.get("stream_options")
    with_usage = isinstance(options, dict) and options.get("include_usage") is True
    if with_usage:
        head["usage"] = None

    def chunk(delta: Fields, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return server_sent({**head, "choices": [choice]})

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for word in words(text):
        yield chunk({"content": word})
    yield chunk({}, "stop")
    if with_usage:
        yield server_sent({**head, "choices": [], "usage": _chat_usage(fields, text)})
    yield b"data: [DONE]\n\n"


def _chat_head(fields: Fields, kind: str, now: float) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": kind,
        "created": int(now),
        "model": required(fields, "model"),
        "service_tier": "default",
        "system_fingerprint": "fp_sandbox",
    }


def _chat_usage(fields: Fields, text: str) -> dict[str, Any]:
    asked = sum(_tokens(text_of(message.get("content"))) for message in fields["messages"])
    said = _tokens(text)
    return {
        "prompt_tokens": asked,
        "completion_tokens": said,
        "total_tokens": asked + said,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _tokens(text: str) -> int:
    return len(words(text))


# --- responses --------------------------------------------------------------------------------------------


def response_question(fields: Fields) -> str:
    """Return what the input of a response says last."""
    asked = fields.get("input", "")
    if isinstance(asked, list):
        messages = [item for item in asked if isinstance(item, dict) and "content" in item]
        return text_of(messages[-1]["content"]) if messages else ""
    return text_of(asked)


def response(fields: Fields, text: str, *, now: float) -> dict[str, Any]:
    """Return a whole response."""
    *_, last = response_events(fields, text, now=now)
    done: dict[str, Any] = last["response"]
    return done


def response_events(fields: Fields, text: str, *, now: float) -> Iterator[dict[str, Any]]:
    """Yield a response as its events, ``response.created`` to ``response.completed``.

    Args:
        fields: the request.
        text: what the model says.
        now: Unix time in seconds.
    """
    for number, event in enumerate(_response_events(fields, text, now)):
        yield {**event, "sequence_number": number}


def response_stream(fields: Fields, text: str, *, now: float) -> Iterator[bytes]:
    """Yield a response as server-sent events."""
    return (server_sent(event, event["type"]) for event in response_events(fields, text, now=now))


def _response_events(fields: Fields, text: str, now: float) -> Iterator[dict[str, Any]]:
    begun = _response_head(fields, now)
    item_id = f"msg_{secrets.token_hex(16)}"
    item: dict[str, Any] = {
        "id": item_id,
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    part: dict[str, Any] = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    where = {"item_id": item_id, "output_index": 0, "content_index": 0}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    yield {"type": "response.output_item.added", "output_index": 0, "item": item}
    yield {"type": "response.content_part.added", **where, "part": part}
    for word in words(text):
        yield {"type": "response.output_text.delta", **where, "delta": word, "logprobs": []}
    yield {"type": "response.output_text.done", **where, "text": text, "logprobs": []}
    part = {**part, "text": text}
    yield {"type": "response.content_part.done", **where, "part": part}
    item = {**item, "status": "completed", "content": [part]}
    yield {"type": "response.output_item.done", "output_index": 0, "item": item}
    usage = _response_usage(fields, text)
    done = {**begun, "status": "completed", "completed_at": int(now), "output": [item], "usage": usage}
    yield {"type": "response.completed", "response": done}


def _response_head(fields: Fields, now: float) -> dict[str, Any]:
    return {
        "id": f"resp_{secrets.token_hex(16)}",
        "object": "response",
        "created_at": int(now),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": fields.get("instructions"),
        "max_output_tokens": fields.get("max_output_tokens"),
        "model": required(fields, "model"),
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": fields.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": bool(fields.get("store", True)),
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
        "metadata": fields.get("metadata") or {},
    }


def _response_usage(fields: Fields, text: str) -> dict[str, Any]:
    asked, said = _tokens(response_question(fields)), _tokens(text)
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + said,
    }


# --- embeddings -------------------------------------------------------------------------------------------


def embeddings(fields: Fields) -> dict[str, Any]:
    """Return one unit vector an input: the same for the same text, as floats or as base64."""
    asked = required(fields, "input")
    texts = asked if isinstance(asked, list) and not _is_token_list(asked) else [asked]
    size = fields.get("dimensions", _DIMENSIONS)
    if not isinstance(size, int) or not 1 <= size <= _DIMENSIONS_AT_MOST:
        raise Refusal(400, "invalid_value", f"'dimensions' must be 1 to {_DIMENSIONS_AT_MOST}.")
    packed = fields.get("encoding_format") == "base64"
    data = [
        {"object": "embedding", "index": index, "embedding": _vector(text, size, packed=packed)}
        for index, text in enumerate(texts)
    ]
    used = sum(_tokens(text) if isinstance(text, str) else len(text) for text in texts)
    return {
        "object": "list",
        "data": data,
        "model": required(fields, "model"),
        "usage": {"prompt_tokens": used, "total_tokens": used},
    }


def _is_token_list(values: Iterable[object]) -> bool:
    return all(isinstance(value, int) for value in values)


def _vector(text: object, size: int, *, packed: bool) -> list[float] | str:
    digest = hashlib.sha256(compact(text)).digest()
    raw = [byte / 127.5 - 1.0 for byte in digest] * (size // len(digest) + 1)
    length = math.sqrt(sum(value * value for value in raw[:size])) or 1.0
    vector = [value / length for value in raw[:size]]
    return b64encode(struct.pack(f"<{size}f", *vector)).decode() if packed else vector
