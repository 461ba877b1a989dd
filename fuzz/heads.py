"""Request heads of any bytes, decided upon without any connection: parsed, admitted, written anew."""

from __future__ import annotations

from typing import Final

from sidekey_auth.secret import Secret
from sidekey_proxy.guard import Answered, GuardRules, Refused, admit
from sidekey_proxy.message.exchange import RequestHead
from sidekey_proxy.message.framing import BadFraming
from sidekey_proxy.message.headers import upward
from sidekey_proxy.message.request_head import (
    END,
    BadHead,
    Head,
    HeadLimits,
    check_beginning,
    parse_head,
    without_leading_lines,
)
from sidekey_proxy.message.request_terms import Terms, terms_of
from sidekey_proxy.upstream.interface import UpstreamRequest
from sidekey_proxy.upstream.request import request_bytes

from . import reading
from .data_path import BEARERS, HOST, check_forwarded
from .fault import demand

_LIMITS: Final = HeadLimits(line=400, whole=1600, fields=20)
_RULES: Final = GuardRules(origins=frozenset({"https://page.example"}))
_BEARER: Final = Secret(BEARERS[0])


def fuzz(data: bytes) -> None:
    """Read the bytes up to the first empty line as a request's head."""
    data = bytes(without_leading_lines(data))
    if END not in data:
        _check_beginnings(data, accepted=False)
        return
    raw = data[: data.find(END) + len(END)]
    try:
        head = parse_head(raw, _LIMITS)
    except BadHead as fault:
        _check_refusal(fault)
        _check_beginnings(raw, accepted=False)
        return
    _check_beginnings(raw, accepted=True)
    _check_same(raw, head)
    try:
        terms = terms_of(head, 0)
    except (BadFraming, BadHead) as fault:
        _check_refusal(fault)
        return
    _check_way_up(head, terms)


def _check_refusal(fault: BadHead | BadFraming) -> None:
    demand(fault.status in (400, 413, 414, 417, 431, 501, 505), f"refused with {fault.status}")
    demand(str(fault).isprintable(), "a refusal repeats what no line may hold")


def _check_beginnings(raw: bytes, *, accepted: bool) -> None:
    """Demand that what is refused early would be refused late, too, and that piece by piece is the same."""
    checked = 0
    refused = False
    for end in (*range(1, min(len(raw), 40)), *range(40, len(raw), 17), len(raw) - 1):
        if end <= checked or END in raw[:end]:
            continue
        try:
            check_beginning(raw[:end], _LIMITS, checked)
        except BadHead as fault:
            _check_refusal(fault)
            refused = True
        demand(not (refused and accepted), f"the beginning is refused, the whole is not: {raw[:end]!r}")
        checked = end


def _check_same(raw: bytes, head: Head) -> None:
    demand(raw.endswith(END) and b"\n" not in raw.replace(b"\r\n", b""), "a bare line feed was accepted")
    line = f"{head.method} {head.target} HTTP/{head.version}".encode("utf-8", "surrogateescape")
    demand(raw.startswith(line + b"\r\n"), "the request line is another one")
    written = b"".join(name + b":" + value + b"\r\n" for name, value in head.headers)
    without_space = raw.partition(b"\r\n")[2][:-2].replace(b" ", b"").replace(b"\t", b"")
    demand(written.replace(b" ", b"").replace(b"\t", b"") == without_space, "the headers are others")


def _check_way_up(head: Head, terms: Terms) -> None:
    asked = RequestHead(
        head.method, head.target, head.headers, "", head.version, terms.has_body, terms.websocket
    )
    try:
        target = admit(asked, _RULES)
    except Refused as refused:
        demand(400 <= refused.failure.status < 500, "it is the client's fault")  # noqa: PLR2004 - 4xx
        refused.failure.body()
        return
    except Answered:
        return
    request = UpstreamRequest(
        head.method,
        target,
        upward(head.headers, _BEARER),
        _Nothing() if terms.has_body else None,
        terms.websocket,
    )
    written = request_bytes(HOST, f"/v1{target}", request)
    body = b"x" * terms.length if terms.length else b"0\r\n\r\n" * terms.has_body
    if terms.length > len(written) * 100:
        return
    one = reading.request(written + body)
    demand(one is not None and not one.rest, f"upstream reads something else in {written!r}")
    if one is not None:
        check_forwarded(one)
        demand(one.method.decode() == head.method, "the method is another one")
        demand(
            head.target.encode("utf-8", "surrogateescape").endswith(
                target.encode("utf-8", "surrogateescape")
            ),
            "",
        )
        reading.check_with_llhttp(one)


class _Nothing:
    async def read(self) -> bytes:
        return b""

    def whole(self) -> bytes | None:
        return None

    def again(self) -> bool:
        return False
