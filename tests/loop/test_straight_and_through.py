"""Recorded requests, straight to the sandbox and through sidekey: what comes and goes is the same.

Only what the sandbox makes anew for each answer (ids, times) is levelled out, without changing a length.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import pytest

from differences import ADDED, Sent, assert_same
from raw_http import Message, Wire
from sidekey_proxy.sandbox import ApiStatus, Event, Fault

from .recorded import HOST, KEY, REQUESTS

if TYPE_CHECKING:
    from .conftest import House

FAULTS: Final[dict[str, Fault]] = {
    "429": ApiStatus(status=429, retry_after=1.5, times=2),
    "403": ApiStatus(status=403, code="unsupported_country", times=2),
    "500": ApiStatus(status=500, times=2),
    "529": ApiStatus(status=529, times=2),
}
_MADE_ANEW: Final = (b"date", b"x-request-id", b"openai-processing-ms")
_IDS_AND_TIMES: Final = re.compile(
    rb'(?:chatcmpl|resp|msg|file)[-_][0-9a-f]{24,}|"(?:created|created_at|completed_at)":\d+'
)


async def send(base_url: str, key: str, *requests: Sent) -> list[Message]:
    """Send requests to a server in one go, and return its answers.

    Args:
        base_url: the server's.
        key: what is put in the place of the recorded one.
        *requests: to send on one connection.
    """
    server = urlsplit(base_url)
    wire = Wire(*await asyncio.open_connection(server.hostname, server.port))
    raw = b"".join(request.raw() for request in requests)
    raw = raw.replace(HOST.encode(), server.netloc.encode()).replace(KEY.encode(), key.encode())
    wire.writer.write(raw)
    try:
        return [await wire.message(bodiless=is_head(request)) for request in requests]
    finally:
        wire.close()


def is_head(request: Sent) -> bool:
    return request.line.startswith("HEAD ")


def level(answer: Message) -> Message:
    """Return an answer with all that is made anew replaced by as many zeros."""
    headers = [(name, b"0" if name.lower() in _MADE_ANEW else value) for name, value in answer.headers]
    body = _IDS_AND_TIMES.sub(lambda found: b"0" * len(found[0]), answer.body)
    return dataclasses.replace(answer, headers=headers, body=body)


def as_it_got_there(event: Event) -> Message:
    """Return a request as the sandbox has recorded it, keys as fingerprints."""
    line = f"{event.method} {event.target} HTTP/1.1".encode()
    headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in event.headers]
    return Message(line, headers)


@pytest.fixture
async def through(house: House) -> AsyncIterator[str]:
    await house.signed_in()
    async with house.serving() as server:
        yield await server.url()


@contextlib.contextmanager
def about(name: str) -> Iterator[None]:
    """Name the request at which something failed."""
    try:
        yield
    except AssertionError as failure:
        failure.add_note(f"at the request: {name}")
        raise


def cases() -> Iterator[tuple[str, Sent, Fault | None]]:
    yield from ((name, request, None) for name, request in REQUESTS.items())
    yield from ((name, REQUESTS["chat"], fault) for name, fault in FAULTS.items())


async def test_what_comes_back_is_the_same_to_the_byte(house: House, through: str) -> None:
    key = house.sandbox.issue_key().reveal()
    statuses = set()
    for name, request, fault in cases():
        if fault is not None:
            house.sandbox.faults.put(fault)
        [straight] = map(level, await send(house.sandbox.upstream, key, request))
        [proxied] = map(level, await send(through, house.client_key, request))
        streamed = straight.one(b"content-type") == b"text/event-stream; charset=utf-8"
        with about(name):
            added = assert_same("down", straight, proxied, bodiless=is_head(request))
            added.pop(b"transfer-encoding", None)
            assert added == ({b"x-accel-buffering": b"no"} if streamed else {})
        statuses.add(straight.status)
    assert statuses == {200, 400, 403, 404, 405, 415, 429, 500, 529}


async def test_what_gets_there_is_the_same_but_for_host_and_key(house: House, through: str) -> None:
    key = house.sandbox.issue_key().reveal()
    for name, request in REQUESTS.items():
        await send(house.sandbox.upstream, key, request)
        await send(through, house.client_key, request)
        straight, proxied = house.sandbox.events.of("api")[-2:]
        with about(name):
            added = assert_same("up", as_it_got_there(straight), as_it_got_there(proxied))
            assert added[b"host"] == urlsplit(house.sandbox.upstream).netloc.encode()
            assert set(added) <= set(ADDED["up"])
            assert proxied.received == straight.received
            assert proxied.bearer != straight.bearer


async def test_requests_in_one_go_are_answered_in_order_and_the_same(house: House, through: str) -> None:
    key = house.sandbox.issue_key().reveal()
    straight = [(await send(house.sandbox.upstream, key, request))[0] for request in REQUESTS.values()]
    proxied = await send(through, house.client_key, *REQUESTS.values())
    for (name, request), one, other in zip(REQUESTS.items(), straight, proxied, strict=True):
        with about(name):
            assert_same("down", level(one), level(other), bodiless=is_head(request))
