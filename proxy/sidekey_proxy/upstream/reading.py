"""What upstream sends, taken apart: interim answers, the head, the body, and what must not follow. No I/O.

Heads are read by ``message/answer_head.py`` and bodies that have a length are counted here. httptools takes
chunks apart, since it does so at a small fraction of what Python would take; it is shown a head that says
nothing but that chunks follow.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Final

import httptools

from sidekey_proxy.message.answer_head import END, AnswerHead, BadAnswer, check_beginning, parse_answer_head
from sidekey_proxy.message.exchange import first
from sidekey_proxy.message.framing import BadFraming, Framing, answer_framing

from .answer import Answer
from .interface import UpstreamInvalid

HEAD_LIMIT: Final = 256 * 1024
"""Bytes of an answer's head, interim ones included; what is longer is no answer of an API."""
INTERIM_LIMIT: Final = 32
"""Interim answers before the final one."""
BETWEEN_LIMIT: Final = 64 * 1024
"""Bytes of extensions and trailers without any of the body between them."""

_CONTINUE = 100
_SWITCHING = 101
_FIRST_FINAL_STATUS = 200
_CHUNKS_FOLLOW = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


class _Part(enum.Enum):
    HEAD = enum.auto()
    LENGTH = enum.auto()
    CHUNKS = enum.auto()
    CLOSE = enum.auto()
    END = enum.auto()


class AnswerReader:
    """Takes what comes on one connection apart, one answer after the other.

    Args:
        go_ahead: called when upstream asks for the request's body by a 100.

    Attributes:
        switched: the bytes are a tunnel's from now on.
        surplus: something came behind the answer that nobody asked for.
    """

    __slots__ = (
        "_answer",
        "_between",
        "_go_ahead",
        "_head",
        "_head_size",
        "_interim",
        "_keeps",
        "_left",
        "_may_switch",
        "_parser",
        "_part",
        "_scanned",
        "surplus",
        "switched",
    )

    def __init__(self, go_ahead: Callable[[], None]) -> None:
        self._go_ahead = go_ahead
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: Answer
        self._part = _Part.END
        self._keeps = False
        self.surplus = self.switched = False

    def begin(self, answer: Answer, *, may_switch: bool) -> None:
        """Expect an answer.

        Args:
            answer: what it goes to.
            may_switch: whether the request asked to switch to WebSocket.
        """
        self._answer = answer
        self._may_switch = may_switch
        self._part = _Part.HEAD
        self._head = b""
        self._head_size = self._scanned = self._interim = self._left = self._between = 0
        self._keeps = self.surplus = self.switched = False

    @property
    def reusable(self) -> bool:
        """Whether the answer was whole, nothing came behind it, and upstream keeps the connection."""
        return self._part is _Part.END and self._keeps and not self.surplus

    @property
    def until_close(self) -> bool:
        """Whether the connection's end is the right end for what is being read."""
        return self._part is _Part.CLOSE

    def feed(self, data: bytes) -> None:
        """Take what has arrived.

        Raises:
            UpstreamInvalid: it is not what HTTP demands.
        """
        part = self._part
        if part is _Part.CHUNKS:
            self._take_chunks(data)
        elif part is _Part.LENGTH:
            self._take_length(data)
        elif part is _Part.CLOSE:
            self._answer.feed(data)
        elif part is _Part.HEAD:
            try:
                self._take_head(data)
            except (BadAnswer, BadFraming) as fault:
                raise _invalid(str(fault)) from None
        else:
            self.surplus = True

    # --- the head -------------------------------------------------------------------------------------

    def _take_head(self, data: bytes) -> None:
        if self._head:
            data = self._head + data
        while self._part is _Part.HEAD:
            end = data.find(END, max(self._scanned - len(END), 0))
            if self._head_size + (len(data) if end < 0 else end) > HEAD_LIMIT:
                raise BadAnswer("its head is too long")
            if end < 0:
                check_beginning(data, self._scanned)
                self._head, self._scanned = data, len(data)
                return
            end += len(END)
            head, data = parse_answer_head(data[:end]), data[end:]
            self._head_size += end
            self._head, self._scanned = b"", 0
            self._head_taken(head)
        if data:
            self.feed(data)

    def _head_taken(self, head: AnswerHead) -> None:
        status = head.status
        if status == _SWITCHING:
            self._check_switch(head)
        elif status < _FIRST_FINAL_STATUS:
            self._interim_taken(status)
            return
        answer = self._answer
        framing = answer_framing(head.version, answer.method, status, head.headers)
        self._keeps = head.keeps_connection and framing is not Framing.CLOSE
        answer.begin(status, head.reason, head.headers, framing)
        if status == _SWITCHING:
            self.switched = True
            self._part = _Part.CLOSE
        elif framing is Framing.CHUNKS:
            self._part = _Part.CHUNKS
        elif framing is Framing.CLOSE:
            self._part = _Part.CLOSE
        else:
            self._part = _Part.LENGTH
            if framing is Framing.LENGTH:
                self._left = int(first(head.headers, b"content-length") or 0)
            if not self._left:
                self._whole()

    def _interim_taken(self, status: int) -> None:
        """Let an interim answer fall (RFC 9110 section 15.2)."""
        self._interim += 1
        if self._interim > INTERIM_LIMIT:
            raise BadAnswer("there are too many interim answers before it")
        if status == _CONTINUE:
            self._go_ahead()

    def _check_switch(self, head: AnswerHead) -> None:
        to_websocket = (first(head.headers, b"upgrade") or b"").lower() == b"websocket"
        if not (self._may_switch and to_websocket and b"upgrade" in head.options and head.version == "1.1"):
            raise BadAnswer("it switches to a protocol that nobody asked for")

    # --- the body -------------------------------------------------------------------------------------

    def _take_length(self, data: bytes) -> None:
        if len(data) > self._left:
            self.surplus = True
            data = data[: self._left]
        self._left -= len(data)
        self._answer.feed(data)
        if not self._left:
            self._whole()

    def _take_chunks(self, data: bytes) -> None:
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(self)
            parser.feed_data(_CHUNKS_FOLLOW)
        self._between += len(data)
        try:
            parser.feed_data(data)
        except httptools.HttpParserError as error:
            if self._part is not _Part.END:
                raise _invalid(f"its chunks are not HTTP ({error})") from None
            self.surplus = True
        if self._part is _Part.END:
            self.forget()
        elif self._between > BETWEEN_LIMIT:
            raise _invalid("what stands between its chunks is too long")

    def forget(self) -> None:
        """Let go of the parser, which holds on to this object's methods, and so to all of it."""
        self._parser = None

    def on_body(self, data: bytes) -> None:
        """Take a piece of a chunk; called by httptools."""
        if self._part is _Part.CHUNKS:
            self._between = 0
            self._answer.feed(data)
        else:
            self.surplus = True

    def on_message_complete(self) -> None:
        """Take note of the last chunk and the trailers' end; called by httptools."""
        if self._part is _Part.CHUNKS:
            self._whole()

    def on_message_begin(self) -> None:
        """Take note of what comes behind the last chunk; called by httptools."""
        self.surplus = self._part is _Part.END

    def _whole(self) -> None:
        self._part = _Part.END
        self._answer.finish()


def _invalid(why: str) -> UpstreamInvalid:
    return UpstreamInvalid(f"upstream's answer is invalid: {why}")
