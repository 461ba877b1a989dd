"""The API's faults, each on a real connection; the queue that they wait in; the record of what was seen."""

from __future__ import annotations

import asyncio
import time

import aiohttp
import pytest

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import (
    ApiCut,
    ApiHang,
    ApiSlow,
    ApiStatus,
    Event,
    EventLog,
    Faults,
    JwksUnavailable,
    Sandbox,
    SandboxSettings,
)

from .conftest import Hand


async def streamed(hand: Hand, *, stream: bool = True) -> tuple[int, bytes, bool]:
    """Ask for a chat; return status, what came, and whether it came to its end."""
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    wish = {"model": "gpt-5", "messages": [{"role": "user", "content": "x"}], "stream": stream}
    url = f"{hand.sandbox.upstream}/chat/completions"
    got = b""
    async with hand.http.post(url, headers=headers, json=wish) as answer:
        try:
            async for piece in answer.content.iter_any():
                got += piece
        except aiohttp.ClientError:
            return answer.status, got, False
        return answer.status, got, True


@pytest.mark.parametrize(
    ("status", "code"), [(429, "rate_limit_exceeded"), (500, None), (418, None), (401, "invalid_api_key")]
)
async def test_the_next_answers_can_have_any_status(hand: Hand, status: int, code: str | None) -> None:
    hand.sandbox.faults.put(ApiStatus(status=status, retry_after=1.5, times=2))
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    seen = []
    for _ in range(3):
        async with hand.http.get(f"{hand.sandbox.upstream}/models", headers=headers) as answer:
            seen.append((answer.status, answer.headers.get("Retry-After")))
            if answer.status != 200:
                assert (await answer.json())["error"]["code"] == code
    assert seen == [(status, "1.5"), (status, "1.5"), (200, None)]


async def test_a_status_does_not_hide_a_wrong_key_and_keeps_to_its_path(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiStatus(status=500, path="/v1/chat"))
    assert await hand.models(Secret("sk-wrong-0123456789")) == 401
    assert await hand.models(hand.sandbox.issue_key()) == 200
    assert (await streamed(hand))[0] == 500


async def test_a_stream_can_be_cut_after_some_chunks_and_is_never_whole(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiCut(after_chunks=2))
    status, got, whole = await streamed(hand)
    assert (status, whole) == (200, False)
    assert got.count(b"data: ") == 2
    assert (await hand.sandbox.wait_for("api_end")).outcome == "dropped"
    assert (await streamed(hand))[2]


async def test_a_plain_answer_can_be_cut_in_its_middle(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiCut(after_chunks=1))
    status, got, whole = await streamed(hand, stream=False)
    assert (status, whole) == (200, False)
    assert got.startswith(b"{")


@pytest.mark.parametrize("reset", [True, False])
async def test_a_cut_is_a_reset_or_a_plain_end_of_the_connection(sandbox: Sandbox, reset: bool) -> None:
    sandbox.faults.put(ApiCut(after_chunks=None, reset=reset))
    key = sandbox.issue_key().reveal()
    port = int(sandbox.base_url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\r\n"
    writer.write(head.encode())
    try:
        if reset:
            with pytest.raises(ConnectionResetError):
                await reader.read()
        else:
            assert await reader.read() == b""
    finally:
        writer.close()


async def test_a_connection_can_go_before_the_head(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiCut(after_chunks=None))
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await streamed(hand)
    event = await hand.sandbox.wait_for("api")
    assert (event.status, event.outcome) == (None, "dropped")


async def test_an_answer_can_be_slow_before_its_head_and_between_chunks(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiSlow(before_head=0.2, between_chunks=0.01))
    begun = time.monotonic()
    _, got, whole = await streamed(hand)
    assert whole
    assert time.monotonic() - begun >= 0.2 + 0.01 * got.count(b"data: ")


async def test_a_slow_stream_sends_its_head_before_its_first_chunk(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiSlow(between_chunks=60))
    headers = {"Authorization": f"Bearer {hand.sandbox.issue_key().reveal()}"}
    wish = {"model": "gpt-5", "input": "x", "stream": True}
    url = f"{hand.sandbox.upstream}/responses"
    async with asyncio.timeout(3), hand.http.post(url, headers=headers, json=wish) as answer:
        assert answer.status == 200


async def test_a_gone_client_is_noticed_while_an_answer_is_slow(hand: Hand) -> None:
    hand.sandbox.faults.put(ApiSlow(between_chunks=60))
    asking = asyncio.create_task(streamed(hand))
    await hand.sandbox.wait_for("api")
    asking.cancel()
    event = await hand.sandbox.wait_for("api_end", timeout=2)
    assert event.outcome == "gone"


@pytest.mark.parametrize("after_chunks", [None, 0, 3])
async def test_an_answer_can_hang_until_it_is_released(hand: Hand, after_chunks: int | None) -> None:
    hand.sandbox.faults.put(ApiHang(after_chunks=after_chunks))
    asking = asyncio.create_task(streamed(hand))
    event = await hand.sandbox.wait_for("api")
    assert event.outcome == ("hung" if after_chunks is None else "answered")
    await hand.sandbox.wait_for("held")
    hand.sandbox.release()
    if after_chunks is None:
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await asking
    else:
        _, got, whole = await asking
        assert (got.count(b"data: "), whole) == (after_chunks, False)


async def test_faults_can_be_set_before_the_start(http: aiohttp.ClientSession) -> None:
    async with Sandbox(SandboxSettings(faults=(ApiStatus(status=503),))) as sandbox:
        key = sandbox.issue_key()
        assert [await Hand(http, sandbox).models(key) for _ in range(2)] == [503, 200]


# --- the queue --------------------------------------------------------------------------------------------


def test_faults_of_a_kind_strike_in_their_order_as_often_as_they_say() -> None:
    faults = Faults([ApiStatus(status=429, times=2), ApiStatus(status=500)])
    taken = [faults.take(ApiStatus) for _ in range(4)]
    assert [fault and fault.status for fault in taken] == [429, 429, 500, None]
    assert faults.struck(ApiStatus) == 3


def test_a_fault_without_a_number_strikes_until_it_is_cleared() -> None:
    faults = Faults([JwksUnavailable(times=None), ApiStatus()])
    assert all(faults.take(JwksUnavailable) for _ in range(50))
    faults.clear(JwksUnavailable)
    assert faults.take(JwksUnavailable) is None
    assert len(faults.waiting()) == 1


def test_a_fault_passes_over_what_does_not_concern_it() -> None:
    faults = Faults([ApiStatus(path="/v1/a"), ApiStatus(path="/v1/b", times=None)])
    for _ in range(2):
        found = faults.take(ApiStatus, lambda fault: fault.path == "/v1/b")
        assert found
        assert found.path == "/v1/b"
    assert len(faults.waiting()) == 2


@pytest.mark.parametrize("times", [0, -1])
def test_a_fault_that_never_strikes_is_refused(times: int) -> None:
    with pytest.raises(ConfigurationError):
        ApiStatus(times=times)


# --- the record -------------------------------------------------------------------------------------------


def seen(kind: str) -> Event:
    return Event(kind=kind, method="GET", target="/")  # type: ignore[arg-type]


def test_old_events_are_forgotten_and_still_counted() -> None:
    log = EventLog(remembered=10)
    for _ in range(100):
        log.add(seen("api"))
    assert len(log) <= 20
    assert log.seen("api") == 100
    assert len(log[-3:]) == 3


async def test_waiting_ends_with_the_event_and_not_before() -> None:
    log = EventLog()
    waiting = asyncio.create_task(log.wait_for("refresh", 2))
    for kind in ("api", "refresh", "jwks"):
        log.add(seen(kind))
        await asyncio.sleep(0)
        assert not waiting.done()
    last = seen("refresh")
    log.add(last)
    assert await waiting is last


async def test_waiting_for_what_never_comes_times_out() -> None:
    with pytest.raises(TimeoutError):
        await EventLog().wait_for("api", timeout=0.01)


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "example.com", "::"])
def test_a_sandbox_refuses_to_listen_beyond_this_machine(host: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot listen"):
        SandboxSettings(host=host)


async def test_a_taken_port_is_said(sandbox: Sandbox) -> None:
    port = int(sandbox.base_url.rpartition(":")[2])
    with pytest.raises(ConfigurationError, match=str(port)):
        await Sandbox(SandboxSettings(port=port)).start()
