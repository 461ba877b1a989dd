"""Requests as they stood on the wire, to be sent again: straight to the sandbox, and through sidekey."""

from __future__ import annotations

import gzip
import json
from typing import Final

from backports import zstd

from differences import Sent, chunked

HOST: Final = "api.recorded.example"
KEY: Final = "sk-recorded"
"""Stand for the host and the key of the server that a request is sent to."""

_OWN: Final = (f"Host: {HOST}", f"Authorization: Bearer {KEY}")
_SDK: Final = (
    f"authorization: Bearer {KEY}",
    "User-Agent: OpenAI/JS 7.57.0",
    "X-Stainless-Lang: js",
    "x-stainless-retry-count: 0",
    "Accept: application/json",
    "Content-Type: application/json",
    "Accept-Encoding: gzip, deflate",
    f"host: {HOST}",
)


def _json(**fields: object) -> bytes:
    return json.dumps(fields).encode()


def _post(path: str, body: bytes, *fields: str, own: tuple[str, ...] = _OWN) -> Sent:
    return Sent(f"POST {path} HTTP/1.1", (*own, *fields, f"Content-Length: {len(body)}"), body)


def _get(path: str, *fields: str, method: str = "GET") -> Sent:
    return Sent(f"{method} {path} HTTP/1.1", (*_OWN, *fields))


_CHAT: Final = _json(model="gpt-5", messages=[{"role": "user", "content": "höre: one  two\nthree"}])
_CHAT_STREAM: Final = _json(
    model="gpt-5",
    messages=[{"role": "user", "content": "one two"}],
    stream=True,
    stream_options={"include_usage": True},
)
_FORM: Final = (
    b'--b0undary\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--b0undary\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\n" + bytes(range(256)) * 4096 + b"\r\n--b0undary--\r\n"
)
_SOUND: Final = (
    _FORM.replace(b"purpose", b"model")
    .replace(b"user_data", b"whisper-1")
    .replace(
        b"\r\n--b0undary--",
        b'\r\n--b0undary\r\nContent-Disposition: form-data; name="response_format"\r\n\r\n'
        b"text\r\n--b0undary--",
    )
)
_IS_JSON: Final = "Content-Type: application/json"
_IS_FORM: Final = "content-type: multipart/form-data; boundary=b0undary"

REQUESTS: Final[dict[str, Sent]] = {
    "models": _get("/v1/models"),
    "chat": _post("/v1/chat/completions", _CHAT, own=_SDK),
    "chat, streamed": _post("/v1/chat/completions", _CHAT_STREAM, own=_SDK),
    "a response": _post("/v1/responses", _json(model="gpt-5", input="one two"), _IS_JSON),
    "a response, streamed": _post(
        "/v1/responses",
        _json(model="gpt-5", input="one two", stream=True),
        _IS_JSON,
        "Accept: text/event-stream",
    ),
    "chat, in chunks": Sent(
        "POST /v1/chat/completions HTTP/1.1",
        (*_OWN, _IS_JSON, "Transfer-Encoding: chunked"),
        _CHAT,
        chunked(_CHAT, 1, 10, 20),
    ),
    "chat, compressed with gzip": _post(
        "/v1/chat/completions", gzip.compress(_CHAT, mtime=0), _IS_JSON, "Content-Encoding: gzip"
    ),
    "chat, compressed with zstd": _post(
        "/v1/chat/completions", zstd.compress(_CHAT), _IS_JSON, "Content-Encoding: zstd"
    ),
    "embeddings": _post("/v1/embeddings", _json(model="text-embedding-3-small", input=["a", "b"]), _IS_JSON),
    "an upload": _post("/v1/files", _FORM, _IS_FORM),
    "an upload in chunks": Sent(
        "POST /v1/files HTTP/1.1",
        (*_OWN, _IS_FORM, "Transfer-Encoding: chunked"),
        _FORM,
        chunked(_FORM, 70_000, 1),
    ),
    "a recording": _post("/v1/audio/transcriptions", _SOUND, _IS_FORM),
    "speech": _post("/v1/audio/speech", _json(model="tts-1", voice="alloy", input="one two three"), _IS_JSON),
    "a picture": _post("/v1/images/generations", _json(model="gpt-image-1", prompt="a key"), _IS_JSON),
    "a query": _get("/v1/files?purpose=batch&purpose=a%2Fb+c&after=&&limit=1&order=asc&x=%C3%A9"),
    "HEAD": _get("/v1/models", method="HEAD"),
    "OPTIONS": _get("/v1/models", method="OPTIONS"),
    "an unknown method": _get("/v1/models", method="BREW"),
    "a method that is not allowed": _get("/v1/models", method="DELETE"),
    "an unknown path": _get("/v1//no/such%2Fpath/?a=b"),
    "an unknown model": _get("/v1/models/no%20such%2Fmodel"),
    "an unknown file": _get("/v1/files/file-0/content"),
    "what is no JSON": _post("/v1/chat/completions", b"{", _IS_JSON),
    "a field that is missing": _post("/v1/responses", b"{}", _IS_JSON),
    "no body": Sent("POST /v1/responses HTTP/1.1", (*_OWN, _IS_JSON)),
    "damaged zstd": _post("/v1/responses", b"\x28\xb5\x2f\xfd\x00", _IS_JSON, "Content-Encoding: zstd"),
    "an unknown coding": _post("/v1/responses", b"x", _IS_JSON, "Content-Encoding: br"),
    "what is no form": _post("/v1/files", b"x", "Content-Type: text/plain"),
    "odd headers": _get(
        "/v1/models",
        "X-Empty:",
        "x-Odd: 1",
        "X-ODD:2",
        "X-Odd:  a \t b  ",
        "X-Bytes: \xe9",
        "!#$: |",
        "Accept: */*",
    ),
}
