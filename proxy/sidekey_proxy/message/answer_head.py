"""An answer's status line and headers as they stand on the wire: RFC 9112 sections 4 and 5, strictly. Pure.

What two readers could understand in two ways is refused, not mended: bare CR and LF, folded lines, a space
before a colon, control characters (RFC 9112 sections 2.2, 5.1 and 5.2; RFC 9110 section 5.5).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from .exchange import Fields, every
from .field_lines import parse_fields

END: Final = b"\r\n\r\n"
_BEGINNING: Final = b"HTTP/1."
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*"
_LINE = re.compile(rb"HTTP/(1\.[01]) ([1-5][0-9]{2})(?: (" + _TEXT + rb"))?\r\n")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")


class BadAnswer(ValueError):
    """This is no answer's head; the text says why."""


class AnswerHead(NamedTuple):
    """An answer's status line and headers.

    Attributes:
        version: ``1.0`` or ``1.1``.
        status: from 100 to 599.
        reason: the phrase, often empty; bytes stand in it as latin-1.
        headers: as they came, without the white space around their values.
        options: what ``Connection`` names, in lower case (RFC 9110 section 7.6.1).
    """

    version: str
    status: int
    reason: str
    headers: Fields
    options: frozenset[bytes]

    @property
    def keeps_connection(self) -> bool:
        """Whether upstream keeps the connection for another request (RFC 9112 section 9.3)."""
        if self.version == "1.0":
            return b"keep-alive" in self.options
        return b"close" not in self.options


def parse_answer_head(data: bytes) -> AnswerHead:
    """Return what a head says.

    Args:
        data: the head, with the empty line that ends it.

    Raises:
        BadAnswer: it is none.
    """
    line = _LINE.match(data)
    if line is None:
        raise BadAnswer("its first line is not HTTP/1.1 SP status SP reason")
    headers = parse_fields(data, line.end(), len(data) - 2)
    if headers is None:
        raise BadAnswer("a header is not a name, a colon and printable text on one line")
    version, status, reason = line.groups()
    return AnswerHead(
        version.decode("ascii"),
        int(status),
        "" if reason is None else reason.decode("latin-1"),
        headers,
        _options(headers),
    )


def check_beginning(data: bytes, checked: int) -> None:
    """Refuse what cannot become a head any more, whatever follows: no need to wait for it.

    Args:
        data: what has come of it so far.
        checked: how many bytes of it have been looked at before.

    Raises:
        BadAnswer: it cannot.
    """
    if data[: len(_BEGINNING)] != _BEGINNING[: len(data)]:
        raise BadAnswer("it does not begin with HTTP/1.1")
    if _BARE.search(data, max(checked - 1, 0)):
        raise BadAnswer("a line ends in CR LF, and neither stands alone")


def _options(headers: Fields) -> frozenset[bytes]:
    values = every(headers, b"connection")
    return frozenset(option.strip(b" \t").lower() for value in values for option in value.split(b","))
