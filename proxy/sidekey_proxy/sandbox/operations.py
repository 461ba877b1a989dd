"""What the API does for each method and path: one method an operation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import unquote

import jwt

from . import answers, media
from .call import Call
from .delivery import Answer, event_stream, whole
from .faults import Faults, RedeemRefused
from .refusal import Refusal
from .settings import SandboxSettings
from .tokens import AUTH_CLAIMS, KeyRing
from .uploads import FileShelf, receive

Operation = Callable[[Call], Awaitable[Answer]]

REDEEM: Final = "/v1/billing/redeem_credits"
_GRANTED: Final = {"plus": 5, "pro": 50}


class Operations:
    """Everything that the API can do over plain HTTP.

    Args:
        settings: what the models say; how much of a file is kept.
    """

    def __init__(self, settings: SandboxSettings) -> None:
        self._settings = settings
        self.files = FileShelf()
        self._exact: dict[str, dict[str, Operation]] = {
            "/v1/models": {"GET": self._models},
            "/v1/chat/completions": {"POST": self._chat},
            "/v1/responses": {"POST": self._response},
            "/v1/embeddings": {"POST": self._embeddings},
            "/v1/files": {"GET": self._list_files, "POST": self._upload},
            "/v1/audio/speech": {"POST": self._speech},
            "/v1/audio/transcriptions": {"POST": self._transcription},
            "/v1/audio/translations": {"POST": self._transcription},
            "/v1/images/generations": {"POST": self._image},
        }

    def find(self, method: str, path: str) -> Operation:
        """Return the operation of a request.

        Raises:
            Refusal: there is none, as the API says it.
        """
        operations = self._exact.get(path) or self._below(path)
        if not operations:
            raise Refusal(
                404,
                "unknown_url",
                f"Unknown request URL: {method} {path}. Please check the URL for typos, or see the docs at "
                "https://platform.openai.com/docs/api-reference/.",
            )
        if method not in operations:
            raise Refusal(405, "method_not_supported", f"Not allowed to {method} on {path}.")
        return operations[method]

    def says(self, question: str) -> str:
        """Return what a model says to a question."""
        return self._settings.answer or answers.reply_to(question)

    def _below(self, path: str) -> dict[str, Operation]:
        match path.split("/"):
            case ["", "v1", "models", name] if name:
                return {"GET": _of(unquote(name), self._model)}
            case ["", "v1", "files", file_id] if file_id:
                return {"GET": _of(file_id, self._file), "DELETE": _of(file_id, self._delete_file)}
            case ["", "v1", "files", file_id, "content"] if file_id:
                return {"GET": _of(file_id, self._file_content)}
        return {}

    # --- models -------------------------------------------------------------------------------------------

    async def _models(self, _call: Call) -> Answer:
        return whole({"object": "list", "data": [answers.model(name) for name in answers.MODELS]})

    async def _model(self, _call: Call, name: str) -> Answer:
        if name not in answers.MODELS:
            raise Refusal(
                404, "model_not_found", f"The model '{name}' does not exist or you do not have access to it."
            )
        return whole(answers.model(name))

    # --- text ---------------------------------------------------------------------------------------------

    async def _chat(self, call: Call) -> Answer:
        fields = await call.fields()
        answers.required(fields, "model")
        text = self.says(answers.chat_question(fields))
        if fields.get("stream") is True:
            return event_stream(answers.chat_stream(fields, text, now=time.time()))
        return whole(answers.chat_completion(fields, text, now=time.time()))

    async def _response(self, call: Call) -> Answer:
        fields = await call.fields()
        answers.required(fields, "model")
        text = self.says(answers.response_question(fields))
        if fields.get("stream") is True:
            return event_stream(answers.response_stream(fields, text, now=time.time()))
        return whole(answers.response(fields, text, now=time.time()))

    async def _embeddings(self, call: Call) -> Answer:
        return whole(answers.embeddings(await call.fields()))

    # --- files --------------------------------------------------------------------------------------------

    async def _upload(self, call: Call) -> Answer:
        keep = self._settings.stored_file_bytes
        upload = await receive(call.request, demanded="purpose", keep=keep, count=call.count)
        return whole(self.files.add(upload, now=time.time()))

    async def _list_files(self, call: Call) -> Answer:
        return whole(self.files.listed(call.request.query))

    async def _file(self, _call: Call, file_id: str) -> Answer:
        return whole(self.files.about(file_id))

    async def _delete_file(self, _call: Call, file_id: str) -> Answer:
        return whole(self.files.delete(file_id))

    async def _file_content(self, _call: Call, file_id: str) -> Answer:
        about = self.files.about(file_id)
        return Answer(
            chunks=self.files.content(file_id),
            length=about["bytes"],
            content_type="application/octet-stream",
        )

    # --- sound and pictures -------------------------------------------------------------------------------

    async def _speech(self, call: Call) -> Answer:
        fields = await call.fields()
        for name in ("model", "voice"):
            answers.required(fields, name)
        form = str(fields.get("response_format") or "mp3")
        if form not in media.SPEECH_TYPES:
            raise Refusal(400, "invalid_value", f"Invalid value for 'response_format': {form}.")
        text = str(answers.required(fields, "input"))
        return Answer(chunks=media.speech(text, form), content_type=media.SPEECH_TYPES[form])

    async def _transcription(self, call: Call) -> Answer:
        upload = await receive(call.request, demanded="model", keep=0, count=call.count)
        text = f"A recording of {upload.size} bytes."
        if upload.fields.get("response_format") == "text":
            data = f"{text}\n".encode()
            return Answer(chunks=(data,), length=len(data), content_type="text/plain; charset=utf-8")
        return whole({"text": text, "usage": {"type": "duration", "seconds": 1}})

    async def _image(self, call: Call) -> Answer:
        fields = await call.fields()
        answers.required(fields, "prompt")
        count = fields.get("n") or 1
        if not isinstance(count, int) or not 1 <= count <= 10:  # noqa: PLR2004 - the API's own limit
            raise Refusal(400, "invalid_value", "Invalid value for 'n': expected 1 to 10.")
        return whole(media.image(count, now=time.time()))


def _of(name: str, operation: Callable[[Call, str], Awaitable[Answer]]) -> Operation:
    async def operate(call: Call) -> Answer:
        return await operation(call, name)

    return operate


async def redeem(
    call: Call, *, keys: KeyRing, settings: SandboxSettings, issuer: str, faults: Faults
) -> Answer:
    """Grant credits to whom an id_token speaks of; the id_token stands in the body, and no bearer with it.

    Raises:
        Refusal: nothing was granted.
    """
    fault = faults.take(RedeemRefused)
    if fault:
        await asyncio.sleep(fault.delay)
        raise Refusal(fault.status, None, fault.message)
    if call.bearer is not None:
        raise Refusal(400, None, "This request must not have an Authorization header.")
    fields = await call.fields()
    about = _claims(str(answers.required(fields, "id_token")), keys, settings, issuer).get(AUTH_CLAIMS, {})
    granted = _GRANTED.get(str(about.get("chatgpt_plan_type")))
    if granted is None or not about.get("completed_platform_onboarding"):
        raise Refusal(403, None, "This account is not eligible for API credits.")
    return whole({"granted_chatgpt_subscriber_api_credits": granted})


def _claims(id_token: str, keys: KeyRing, settings: SandboxSettings, issuer: str) -> dict[str, Any]:
    for client_id in settings.client_ids:
        try:
            return keys.verified(id_token, audience=client_id, issuer=issuer)
        except jwt.PyJWTError:
            continue
    raise Refusal(401, "invalid_subject_token", "Invalid ID token")
