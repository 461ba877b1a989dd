"""Bytes that are not JSON: spoken words, and a picture. Pure."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode
from collections.abc import Iterator
from typing import Any, Final

from .answers import words

SPEECH_TYPES: Final = {
    "mp3": "audio/mpeg",
    "wav": "audio/wav",
    "opus": "audio/opus",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "pcm": "audio/pcm",
}
# MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes, 26 ms of silence, and a valid MP3 on its own.
_SILENT_FRAME: Final = b"\xff\xfb\x90\x64" + bytes(413)
_FRAMES_A_WORD: Final = 10
_SAMPLES_A_WORD: Final = 6000
_RATE: Final = 24_000


def speech(text: str, form: str) -> Iterator[bytes]:
    """Yield silence as long as a text, one chunk a word.

    Args:
        text: what would be said.
        form: ``wav`` and ``pcm`` are what they say; every other form is answered as MP3.
    """
    spoken = words(text)
    silence = bytes(2 * _SAMPLES_A_WORD)
    if form == "wav":
        yield _wav_head(len(silence) * len(spoken))
    piece = silence if form in {"wav", "pcm"} else _SILENT_FRAME * _FRAMES_A_WORD
    for _ in spoken:
        yield piece


def _wav_head(length: int) -> bytes:
    form = struct.pack("<HHIIHH", 1, 1, _RATE, 2 * _RATE, 2, 16)
    return (
        b"RIFF"
        + struct.pack("<I", 36 + length)
        + b"WAVEfmt "
        + struct.pack("<I", len(form))
        + form
        + b"data"
        + struct.pack("<I", length)
    )


def image(count: int, *, now: float) -> dict[str, Any]:
    """Return pictures of one green pixel, as base64 PNG.

    Args:
        count: how many.
        now: Unix time in seconds.
    """
    picture = {"b64_json": b64encode(_PNG).decode()}
    usage = {
        "input_tokens": 1,
        "input_tokens_details": {"image_tokens": 0, "text_tokens": 1},
        "output_tokens": count,
        "total_tokens": 1 + count,
    }
    return {"created": int(now), "data": [picture] * count, "output_format": "png", "usage": usage}


def _png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_PNG: Final = (
    b"\x89PNG\r\n\x1a\n"
    + _png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0))
    + _png_chunk(b"IDAT", zlib.compress(b"\x00\x0b\x6b\x4f"))
    + _png_chunk(b"IEND", b"")
)
