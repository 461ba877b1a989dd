"""A request's line and headers as they stand on the wire: RFC 9112 sections 2.2, 3 and 5, strictly. Pure.

What two readers could understand in two ways is refused, not mended: bare CR and LF, folded lines, a space
before a colon, control characters (RFC 9112 sections 2.2, 5.1 and 5.2; RFC 9110 section 5.5).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, NamedTuple

from .exchange import Headers
from .field_lines import parse_fields

END: Final = b"\r\n\r\n"
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TEXT = rb"[\t\x20-\x7e\x80-\xff]*"
_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/(1\.[01])\r\n")
_FIELD = re.compile(_TOKEN + rb":" + _TEXT)
_SPACED_FIELD = re.compile(_TOKEN + rb"[ \t]+:")
_VERSION = re.compile(rb"HTTP/[0-9]+(?:\.[0-9]+)?")
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n|\Z)")
_TOKEN_CHARACTER = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z\r]")
_LEADING = re.compile(rb"(?:\r\n)+")


class BadHead(ValueError):
    """The head is none; it must not be passed on.

    Args:
        message: what is wrong with it.
        status: the status code that answers it.
    """

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """How long a head may be.

    Attributes:
        line: of the request line, in bytes.
        whole: of the line and all header fields together, in bytes.
        fields: how many header fields.
    """

    line: int = 16 * 1024
    whole: int = 64 * 1024
    fields: int = 256


class Head(NamedTuple):
    """A request's line and headers.

    Attributes:
        method: such as ``POST``.
        target: byte for byte; bytes that are not UTF-8 stand in it as surrogates.
        version: ``1.0`` or ``1.1``.
        headers: as they came, without the white space around their values.
    """

    method: str
    target: str
    version: str
    headers: Headers


def without_leading_lines(data: bytes | bytearray) -> bytes | bytearray:
    """Return what stands behind empty lines, which some clients send after a body (RFC 9112 section 2.2)."""
    found = _LEADING.match(data)
    return data[found.end() :] if found else data


def check_beginning(data: bytes | bytearray, limits: HeadLimits, checked: int = 0) -> None:
    """Refuse what cannot become a head any more, whatever follows: no need to wait for it.

    Args:
        data: what has come of it so far.
        limits: how long it may be.
        checked: how many bytes of it have been looked at before.

    Raises:
        BadHead: for this reason.
    """
    if not _TOKEN_CHARACTER.match(data):
        raise BadHead("This is not HTTP" + (": it looks like TLS" if data[:1] == b"\x16" else ""))
    line = data.find(b"\r\n", 0, limits.line + 2)
    if line < 0 and len(data) > limits.line:
        raise BadHead(f"The request line is longer than {limits.line} bytes", 414)
    if len(data) > limits.whole:
        raise BadHead(f"The request's headers are longer than {limits.whole} bytes", 431)
    if _BARE.search(data, max(checked - 1, 0)):
        raise BadHead("A line ends in CR LF, and neither stands alone")


def parse_head(data: bytes, limits: HeadLimits) -> Head:
    """Return what a head says.

    Args:
        data: the head, with the empty line that ends it.
        limits: how long it may be.

    Raises:
        BadHead: it is none that may be passed on.
    """
    line = _LINE.match(data)
    if line is None or line.end() - 2 > limits.line or len(data) > limits.whole:
        raise _fault_in_line(data, limits)
    headers = parse_fields(data, line.end(), len(data) - 2)
    if headers is None:
        raise _fault_in_fields(data[line.end() : -2])
    if len(headers) > limits.fields:
        raise BadHead(f"The request has more than {limits.fields} headers", 431)
    method, target, version = line.groups()
    readable = target.decode("utf-8", "surrogateescape")
    return Head(method.decode("ascii"), readable, version.decode("ascii"), headers)


def _fault_in_line(data: bytes, limits: HeadLimits) -> BadHead:
    line = data.partition(b"\r\n")[0]
    if len(line) > limits.line:
        return BadHead(f"The request line is longer than {limits.line} bytes", 414)
    if len(data) > limits.whole:
        return BadHead(f"The request's headers are longer than {limits.whole} bytes", 431)
    version = line.rpartition(b" ")[2]
    if _VERSION.fullmatch(version) and version not in (b"HTTP/1.0", b"HTTP/1.1"):
        return BadHead(f"{version.decode('ascii')} is not spoken here, HTTP/1.1 is", 505)
    return BadHead("The request line is not METHOD SP target SP HTTP/1.1")


def _fault_in_fields(fields: bytes) -> BadHead:
    if _BARE.search(fields):
        return BadHead("A line ends in CR LF, and neither stands alone")
    for field in fields.split(b"\r\n")[:-1]:
        if field[:1] in (b" ", b"\t"):
            return BadHead("A header is folded over several lines")
        if _SPACED_FIELD.match(field):
            return BadHead("There is a space between a header's name and its colon")
        if not _FIELD.fullmatch(field):
            return BadHead("A header is not a name, a colon and printable text")
    return BadHead("The request's headers are not HTTP")
