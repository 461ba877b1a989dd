"""Files that clients upload: counted as they stream in, kept in a nameless temporary file."""

from __future__ import annotations

import secrets
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any, Final

from aiohttp import BodyPartReader, web

from .answers import required
from .refusal import Refusal

CHUNK: Final = 64 * 1024
_IN_MEMORY: Final = 1024 * 1024
_FILES_AT_MOST: Final = 1000
_FIELD_AT_MOST: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """What a multipart request held.

    Attributes:
        fields: its small fields.
        filename: of the file.
        size: of the file in bytes.
        content: the file, or None where it was too large to keep.
    """

    fields: Mapping[str, str]
    filename: str
    size: int
    content: IO[bytes] | None


async def receive(request: web.Request, *, demanded: str, keep: int, count: Callable[[int], None]) -> Upload:
    """Read a multipart request with one file (RFC 7578), never holding all of it in memory.

    Args:
        request: whose body it is.
        demanded: the field that must stand beside the file.
        keep: bytes that are kept of a file at most; 0 counts only.
        count: told the size of every piece of a file.

    Raises:
        Refusal: it is not multipart, has no file, or lacks the field.
    """
    if request.content_type != "multipart/form-data":
        raise Refusal(400, None, "This request must be multipart/form-data.")
    fields: dict[str, str] = {}
    filename, size, content = "", 0, None
    with ExitStack() as opened:
        try:
            async for part in await request.multipart():
                if not isinstance(part, BodyPartReader):
                    raise Refusal(400, None, "Nested multipart bodies are not accepted.")
                if part.filename is None:
                    fields[part.name or ""] = await _field(part)
                else:
                    filename = part.filename
                    size, content = await _file(part, keep, count, opened)
        except ValueError:
            raise Refusal(400, None, "The multipart body could not be read.") from None
        if not filename:
            raise Refusal(400, "missing_required_parameter", "Missing required parameter: 'file'.")
        required(fields, demanded)
        opened.pop_all()
    return Upload(fields, filename, size, content)


async def _field(part: BodyPartReader) -> str:
    data = b""
    while piece := await part.read_chunk(CHUNK):
        data += piece
        if len(data) > _FIELD_AT_MOST:
            raise Refusal(400, None, "A field is too large.")
    return data.decode(errors="replace")


async def _file(
    part: BodyPartReader, keep: int, count: Callable[[int], None], opened: ExitStack
) -> tuple[int, IO[bytes] | None]:
    content: IO[bytes] | None = None
    if keep:
        content = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - the stack closes it
        opened.callback(content.close)
    size = 0
    while piece := await part.read_chunk(CHUNK):
        size += len(piece)
        count(len(piece))
        if content is not None and size > keep:
            content.close()
            content = None
        elif content is not None:
            content.write(piece)
    return size, content


class FileShelf:
    """The uploaded files of one sandbox; the oldest go when there are too many."""

    def __init__(self) -> None:
        self._files: dict[str, tuple[dict[str, Any], IO[bytes] | None]] = {}

    def add(self, upload: Upload, *, now: float) -> dict[str, Any]:
        """Keep a file and return its description.

        Args:
            upload: the file.
            now: Unix time in seconds.
        """
        while len(self._files) >= _FILES_AT_MOST:
            self.delete(next(iter(self._files)))
        file_id = f"file-{secrets.token_hex(12)}"
        about = {
            "id": file_id,
            "object": "file",
            "bytes": upload.size,
            "created_at": int(now),
            "expires_at": None,
            "filename": upload.filename,
            "purpose": upload.fields.get("purpose", ""),
            "status": "processed",
            "status_details": None,
        }
        self._files[file_id] = (about, upload.content)
        return about

    def about(self, file_id: str) -> dict[str, Any]:
        """Return a file's description.

        Raises:
            Refusal: there is no such file.
        """
        return self._found(file_id)[0]

    def listed(self, query: Mapping[str, str]) -> dict[str, Any]:
        """Return a page of the list.

        Args:
            query: ``order`` (newest first unless it is ``asc``), ``purpose``, ``after`` and ``limit``.
        """
        files = [about for about, _ in self._files.values()]
        if query.get("order") != "asc":
            files.reverse()
        if query.get("purpose"):
            files = [about for about in files if about["purpose"] == query["purpose"]]
        ids = [about["id"] for about in files]
        if query.get("after") in ids:
            files = files[ids.index(query["after"]) + 1 :]
        limit = int(query["limit"]) if query.get("limit", "").isdecimal() else 10_000
        page = files[:limit]
        return {
            "object": "list",
            "data": page,
            "has_more": len(files) > len(page),
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        }

    def content(self, file_id: str) -> Iterator[bytes]:
        """Return a file's bytes, in pieces.

        Raises:
            Refusal: there is no such file, or its bytes were not kept.
        """
        _, content = self._found(file_id)
        if content is None:
            raise Refusal(400, None, "The sandbox did not keep the bytes of this large file.")
        return _pieces(content)

    def delete(self, file_id: str) -> dict[str, Any]:
        """Forget a file.

        Raises:
            Refusal: there is no such file.
        """
        _, content = self._found(file_id)
        del self._files[file_id]
        if content is not None:
            content.close()
        return {"id": file_id, "object": "file", "deleted": True}

    def close(self) -> None:
        """Forget all files."""
        for file_id in tuple(self._files):
            self.delete(file_id)

    def _found(self, file_id: str) -> tuple[dict[str, Any], IO[bytes] | None]:
        if file_id not in self._files:
            raise Refusal(404, None, f"No such File object: {file_id}")
        return self._files[file_id]


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    # Each reader has a place of its own: two may read the same file in turn.
    place = 0
    while True:
        content.seek(place)
        piece = content.read(CHUNK)
        if not piece:
            return
        place += len(piece)
        yield piece
