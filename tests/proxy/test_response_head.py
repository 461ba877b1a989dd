"""An answer's head on the wire."""

from __future__ import annotations

import json

import pytest

from sidekey_proxy.message import failures
from sidekey_proxy.message.framing import Framing
from sidekey_proxy.message.response_head import date_field, failure_bytes, head_bytes, switching_bytes


@pytest.mark.parametrize(
    ("version", "framing", "keep", "fields"),
    [
        ("1.1", Framing.LENGTH, True, b""),
        ("1.1", Framing.CHUNKS, True, b"Transfer-Encoding: chunked\r\n"),
        ("1.1", Framing.CLOSE, False, b"Connection: close\r\n"),
        ("1.0", Framing.LENGTH, True, b"Connection: keep-alive\r\n"),
        ("1.0", Framing.LENGTH, False, b"Connection: close\r\n"),
    ],
)
def test_framing_and_connection_come_behind_what_is_passed_on(
    version: str, framing: Framing, keep: bool, fields: bytes
) -> None:
    head = head_bytes(version, 299, "Odd One", ((b"X-a", b"1"), (b"x-A", b"")), framing, keep=keep)
    assert head == b"HTTP/1.1 299 Odd One\r\nX-a: 1\r\nx-A: \r\n" + fields + b"\r\n"


def test_a_switch_names_what_it_switches_to() -> None:
    assert switching_bytes(((b"Sec-WebSocket-Accept", b"x"),)) == (
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Accept: x\r\n\r\n"
    )


def test_a_date_is_written_as_http_writes_it() -> None:
    assert date_field(784111777.9) == (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")


def test_a_failure_is_a_whole_answer_that_says_when_it_was_made_and_closes() -> None:
    head, _, body = failure_bytes(failures.bad_request("no", 431), 0.0).partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 431 Request Header Fields Too Large"
    assert b"content-length: %d" % len(body) in lines
    assert b"date: Thu, 01 Jan 1970 00:00:00 GMT" in lines
    assert lines[-1] == b"Connection: close"
    assert json.loads(body)["error"]["code"] == "sidekey_bad_request"
