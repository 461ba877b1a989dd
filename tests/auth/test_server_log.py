"""aiohttp's servers log no byte of a request, and no fault of ours passes unseen."""

from __future__ import annotations

import asyncio
import logging

import pytest
from aiohttp import web
from yarl import URL

from captured import capture_logs
from sidekey_auth.callback import CallbackServer
from sidekey_auth.server_log import server_log
from sidekey_proxy.sandbox import Sandbox

CODE = "ac_canary_0123456789"
STATE = "state-canary-0123456789-abcdefghijklmnopqrstuvwxyz_"
GARBAGE = [
    f"GET /auth/callback?code={CODE}&state={STATE} HTTP/9.x\r\n\r\n".encode(),
    f"GET /auth/callback?code={CODE} &state={STATE} HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    f"{CODE} {STATE}\r\n\r\n".encode(),
    f"GET / HTTP/1.1\r\nHost: x\r\n{STATE} : {CODE}\r\n\r\n".encode(),
    f"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {CODE}\r\n\r\n".encode(),
    b"\x16\x03\x01\x02\x00" + CODE.encode(),
]


async def send(port: int, data: bytes) -> bytes:
    """Send bytes and return what comes back until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(5):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("data", GARBAGE)
async def test_garbage_on_the_callback_port_is_logged_nowhere_and_ends_no_sign_in(
    data: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as logged:
        async with CallbackServer(STATE, ports=(0,)) as server:
            await send(server.port, data)
            good = asyncio.create_task(
                send(
                    server.port,
                    f"GET /auth/callback?code={CODE}&state={STATE} HTTP/1.1\r\n"
                    f"Host: localhost:{server.port}\r\n\r\n".encode(),
                )
            )
            assert (await server.wait()).code.reveal() == CODE
            await server.succeed()
            assert b" 200 " in await good
    assert CODE not in repr(logged)
    assert [line for line in logged if line["log_level"] != "debug"] == []
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


@pytest.mark.parametrize("data", GARBAGE)
async def test_garbage_in_the_sandbox_is_logged_nowhere(
    data: bytes, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as logged:
        async with Sandbox() as sandbox:
            assert b" 400 " in await send(URL(sandbox.base_url).port or 0, data)
    assert CODE not in repr(logged)
    assert [line for line in logged if line["log_level"] != "debug"] == []
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


async def test_what_breaks_in_answering_is_told_with_its_place_and_without_its_words(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async def breaks(request: web.BaseRequest) -> web.StreamResponse:
        raise LookupError(request.raw_path)

    runner = web.ServerRunner(web.Server(breaks, access_log=None, logger=server_log("callback")))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    with capture_logs() as logged:
        answer = await send(port, f"GET /auth/callback?code={CODE} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await runner.cleanup()
    assert b" 500 " in answer
    (line,) = logged
    assert (line["log_level"], line["event"], line["kind"]) == ("error", "answering broke off", "LookupError")
    assert "in breaks" in line["trace"]
    assert CODE not in repr(logged)
    assert (caplog.text, *capfd.readouterr()) == ("", "", "")


def test_a_line_without_an_error_leaves_its_arguments_out(capfd: pytest.CaptureFixture[str]) -> None:
    with capture_logs() as logged:
        server_log("admin").warning("odd arguments: %r", {"key": CODE})
    assert CODE not in repr(logged)
    assert [line["server"] for line in logged] == ["admin"]
    assert logging.getLogger("sidekey.admin").handlers == []
    assert tuple(capfd.readouterr()) == ("", "")
