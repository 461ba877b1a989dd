"""Header lines as they stand on the wire, taken apart in one go: RFC 9112 section 5, strictly. Pure."""

from __future__ import annotations

import re

from .exchange import Fields

# Nothing is tried twice (possessive quantifiers): else a long row of spaces before a bad byte would take a
# time that grows with its square.
_LINE = re.compile(rb"(?<=\n)([!#$%&'*+\-.^_`|~0-9A-Za-z]++):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)\r\n")


def parse_fields(data: bytes, begin: int, end: int) -> Fields | None:
    """Return the headers in a part of a message, without the white space around their values, or None.

    None means that some line is not a name that is a token, a colon at once, and printable text (RFC 9110
    section 5.5): folded lines, bare CR and LF, control characters.

    Args:
        data: the message.
        begin: where the first line begins; a line ends before it.
        end: where the last line's CR LF ends.
    """
    pairs = _LINE.findall(data, begin, end)
    # Each match begins and ends a line and holds one line break: as many as those are, and none is left out.
    if len(pairs) != data.count(b"\n", begin, end):
        return None
    if b" \r\n" in data or b"\t\r\n" in data:
        pairs = [(name, value.rstrip(b" \t")) for name, value in pairs]
    return Fields(pairs)
