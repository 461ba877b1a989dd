"""The callback server on real sockets, as a browser, a stray page and a clumsy person meet it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.callback import LEFT_ALONE, CallbackServer
from sidekey_auth.callback_page import HEADERS, Pages, failure_page, success_page
from sidekey_auth.callback_ports import bind_first, ssh_line
from sidekey_auth.errors import NoAuthorizationCode, PortsBusy, SignInRefused, SignInTimedOut

STATE = "state-0123456789-abcdefghijklmnopqrstuvwxyz_"
CODE = "ac_canary_0123456789"
GOOD = f"/auth/callback?code={CODE}&scope=openid&state={STATE}"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: str


async def ask(
    port: int,
    target: str = GOOD,
    *,
    method: str = "GET",
    hosts: tuple[str, ...] | None = None,
    at: str = "127.0.0.1",
) -> Reply:
    """Send one request with exactly these bytes and read the answer until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    lines = [f"{method} {target} HTTP/1.1"]
    lines += [f"Host: {host}" for host in (hosts if hosts is not None else (f"localhost:{port}",))]
    if method == "POST":
        lines.append("Content-Length: 0")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
    async with asyncio.timeout(5):
        raw = await reader.read()
    writer.close()
    await writer.wait_closed()
    head, _, body = raw.decode().partition("\r\n\r\n")
    first, *rest = head.split("\r\n")
    return Reply(int(first.split()[1]), dict(line.split(": ", 1) for line in rest), body)


@pytest.fixture
async def server() -> AsyncIterator[CallbackServer]:
    async with CallbackServer(STATE, ports=(0,)) as running:
        yield running


async def held(server: CallbackServer, request: Awaitable[Reply]) -> asyncio.Task[Reply]:
    """Send a request and return once the server has its callback."""
    task = asyncio.ensure_future(request)
    await server.wait()
    assert not task.done()
    return task


async def is_closed(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


# --- the way it should go -----------------------------------------------------------------------------------


async def test_code_and_state_are_its_result(server: CallbackServer) -> None:
    browser = await held(server, ask(server.port))
    callback = await server.wait()
    assert callback.code.reveal() == CODE
    assert callback.state == STATE
    assert CODE not in repr(callback)
    await server.succeed()
    assert (await browser).status == 200


async def test_the_page_comes_once_the_sign_in_is_done_and_holds_no_token(server: CallbackServer) -> None:
    browser = await held(server, ask(server.port))
    await server.succeed("A note & more.")
    page = await browser
    assert page.status == 200
    assert "You can close this tab and return to the terminal" in page.body
    assert "A note &amp; more." in page.body
    assert CODE not in page.body
    assert STATE not in page.body
    assert "Location" not in page.headers
    for name, value in HEADERS.items():
        assert page.headers[name] == value
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "no-referrer"


async def test_after_the_page_the_server_is_closed_within_a_second(server: CallbackServer) -> None:
    _, idle = await asyncio.open_connection("127.0.0.1", server.port)
    browser = await held(server, ask(server.port))
    loop = asyncio.get_running_loop()
    began = loop.time()
    await server.succeed()
    await browser
    assert loop.time() - began < 1.0
    assert await is_closed(server.port)
    idle.close()


async def test_a_browser_that_does_not_take_its_page_holds_nobody_up(server: CallbackServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {GOOD} HTTP/1.1\r\nHost: localhost:{server.port}\r\n\r\n".encode())
    await server.wait()
    writer.transport.abort()
    del reader
    await asyncio.wait_for(server.succeed(), 1.0)
    assert await is_closed(server.port)


async def test_a_failed_sign_in_is_shown_escaped(server: CallbackServer) -> None:
    browser = await held(server, ask(server.port))
    await server.fail("the code could not be exchanged: <script>alert(1)</script>")
    page = await browser
    assert page.status == 500
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.body
    assert "<script>alert" not in page.body


async def test_a_failure_with_half_a_character_is_shown_too(server: CallbackServer) -> None:
    """A folder's name may hold what is no UTF-8, and an error names the folder."""
    browser = await held(server, ask(server.port))
    await server.fail("the folder /tmp/\udcff cannot be written")
    reply = await browser
    assert reply.status == 500
    assert "the folder /tmp/? cannot be written" in reply.body


async def test_a_sign_in_that_is_broken_off_says_so(server: CallbackServer) -> None:
    browser = await held(server, ask(server.port))
    await server.close()
    assert LEFT_ALONE in (await browser).body


async def test_its_pages_are_arguments() -> None:
    pages = Pages(
        success=lambda note: f"fine {note}", failure=lambda why: f"no {why}", headers={"X-Mine": "1"}
    )
    async with CallbackServer(STATE, ports=(0,), path="/other", pages=pages) as server:
        assert (await ask(server.port, "/auth/callback")).status == 404
        browser = await held(server, ask(server.port, f"/other?code={CODE}&state={STATE}"))
        await server.succeed("x")
        page = await browser
        assert (page.body, page.headers["X-Mine"]) == ("fine x", "1")


# --- who may call, and how ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/auth/callback/",
        "/auth",
        "/auth/callbackx",
        "//auth/callback",
        "/auth/%63allback",
        "/AUTH/CALLBACK",
        "/auth/x/../callback",
        "/cancel",
        "/success",
        "/favicon.ico",
        "http://localhost/auth/callback",
    ],
)
async def test_any_other_path_is_404(server: CallbackServer, target: str) -> None:
    assert (await ask(server.port, f"{target}?code={CODE}&state={STATE}")).status == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"])
async def test_anything_but_get_is_405(server: CallbackServer, method: str) -> None:
    reply = await ask(server.port, method=method)
    assert reply.status == 405
    assert reply.headers["Allow"] == "GET"


@pytest.mark.parametrize(
    "hosts",
    [
        (),
        ("evil.example",),
        ("evil.example:{port}",),
        ("localhost",),
        ("localhost:1",),
        ("localhost.evil.example:{port}",),
        ("127.0.0.2:{port}",),
        ("0.0.0.0:{port}",),
        ("user@localhost:{port}",),
        ("localhost:{port}", "localhost:{port}"),
        ("",),
    ],
)
async def test_a_foreign_host_is_refused(server: CallbackServer, hosts: tuple[str, ...]) -> None:
    reply = await ask(server.port, hosts=tuple(host.format(port=server.port) for host in hosts))
    assert reply.status in {400, 421}
    browser = await held(server, ask(server.port))
    await server.succeed()
    assert (await browser).status == 200


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LocalHost"])
async def test_loopback_names_with_our_port_are_ours(server: CallbackServer, host: str) -> None:
    browser = await held(server, ask(server.port, hosts=(f"{host}:{server.port}",)))
    await server.succeed()
    assert (await browser).status == 200


# --- what comes back ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        f"code={CODE}",
        f"code={CODE}&state=wrong",
        f"code={CODE}&state={STATE}x",
        f"code={CODE}&state={STATE}&state={STATE}",
        "error=access_denied&state=wrong",
        "",
    ],
)
async def test_a_wrong_state_is_400_and_it_keeps_waiting(server: CallbackServer, query: str) -> None:
    reply = await ask(server.port, f"/auth/callback?{query}")
    assert reply.status == 400
    assert "Invalid OAuth state" in reply.body
    browser = await held(server, ask(server.port))
    await server.succeed()
    assert (await browser).status == 200


async def test_an_error_from_the_issuer_ends_the_sign_in_and_is_shown_escaped(server: CallbackServer) -> None:
    description = quote('<img src=x onerror=alert(1)>"')
    target = f"/auth/callback?error=access_denied&error_description={description}&state={STATE}"
    waiting = asyncio.ensure_future(server.wait())
    reply = await ask(server.port, target)
    with pytest.raises(
        SignInRefused, match=r"^OAuth error: access_denied: <img src=x onerror=alert\(1\)>\"$"
    ):
        await waiting
    assert reply.status == 400
    assert "OAuth error: access_denied: &lt;img src=x onerror=alert(1)&gt;&quot;" in reply.body
    assert "<img" not in reply.body


async def test_a_missing_code_ends_the_sign_in(server: CallbackServer) -> None:
    reply = await ask(server.port, f"/auth/callback?state={STATE}")
    assert "No authorization code received" in reply.body
    with pytest.raises(NoAuthorizationCode):
        await server.wait()


async def test_nothing_after_the_end_changes_it(server: CallbackServer) -> None:
    await ask(server.port, f"/auth/callback?error=access_denied&state={STATE}")
    reply = await ask(server.port)
    assert "OAuth error: access_denied" in reply.body
    with pytest.raises(SignInRefused):
        await server.wait()


async def test_a_reloaded_tab_gets_the_same_page_and_no_second_callback(server: CallbackServer) -> None:
    first = await held(server, ask(server.port))
    second = asyncio.ensure_future(ask(server.port))
    async with asyncio.timeout(5):
        while len(server._held) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0)
    await server.succeed()
    assert [(await first).status, (await second).status] == [200, 200]


async def test_a_second_callback_with_another_code_is_refused(server: CallbackServer) -> None:
    first = await held(server, ask(server.port))
    reply = await ask(server.port, f"/auth/callback?code=ac_other&state={STATE}")
    assert reply.status == 409
    callback = await server.wait()
    assert callback.code.reveal() == CODE
    await server.succeed()
    assert (await first).status == 200


async def test_nobody_coming_back_is_a_time_out() -> None:
    async with CallbackServer(STATE, ports=(0,), timeout=0.05) as server:
        with pytest.raises(SignInTimedOut, match=r"within 0\.05 s"):
            await server.wait()


async def test_the_time_runs_from_the_start() -> None:
    loop = asyncio.get_running_loop()
    async with CallbackServer(STATE, ports=(0,), timeout=30) as server:
        server._deadline = loop.time() - 1
        with pytest.raises(SignInTimedOut):
            await server.wait()


async def test_a_mismatch_and_a_parser_error_leave_it_waiting(server: CallbackServer) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
    browser = await held(server, ask(server.port))
    writer.close()
    await server.succeed()
    assert (await browser).status == 200


# --- ports --------------------------------------------------------------------------------------------------


def free_ports(count: int) -> list[int]:
    bound = [bind_first([0]) for _ in range(count)]
    ports = [sockets[0].getsockname()[1] for sockets in bound]
    for sockets in bound:
        release(sockets)
    return ports


def release(sockets: list[socket.socket]) -> None:
    for sock in sockets:
        sock.close()


def occupied() -> socket.socket:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    return sock


def test_a_free_first_port_is_taken_on_loopback_only() -> None:
    first, second = free_ports(2)
    sockets = bind_first([first, second])
    assert {sock.getsockname()[0] for sock in sockets} <= {"127.0.0.1", "::1"}
    assert {sock.getsockname()[1] for sock in sockets} == {first}
    release(sockets)


def test_with_the_first_port_busy_the_second_is_taken() -> None:
    (second,) = free_ports(1)
    with occupied() as busy:
        sockets = bind_first([busy.getsockname()[1], second])
    assert sockets[0].getsockname() == ("127.0.0.1", second)
    release(sockets)


def test_with_both_ports_busy_they_are_named_with_the_ssh_line() -> None:
    with occupied() as one, occupied() as two:
        first, second = one.getsockname()[1], two.getsockname()[1]
        with pytest.raises(PortsBusy) as caught:
            bind_first([first, second])
    assert str(caught.value) == f"the callback ports {first} and {second} are in use"
    assert f"ssh -L {first}:localhost:{first} <host>" in caught.value.remedy
    assert "--paste" in caught.value.remedy


def test_the_registered_ports_are_the_default() -> None:
    assert CallbackServer(STATE)._ports == (1455, 1457)
    assert ssh_line(1457) == "ssh -L 1457:localhost:1457 <host>"


def test_a_port_whose_ipv6_half_is_somebody_elses_counts_as_busy() -> None:
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        return  # no IPv6 here: nobody can stand there
    (spare,) = free_ports(1)
    with other:
        sockets = bind_first([other.getsockname()[1], spare])
    assert sockets[0].getsockname()[1] == spare
    release(sockets)


async def test_a_port_that_was_just_closed_can_be_had_again_at_once() -> None:
    (port,) = free_ports(1)
    for _ in range(5):
        async with CallbackServer(STATE, ports=(port,)) as server:
            browser = await held(server, ask(port))
            await server.succeed()
            await browser


async def test_a_server_that_could_not_start_can_be_closed() -> None:
    with occupied() as busy:
        server = CallbackServer(STATE, ports=(busy.getsockname()[1],))
        with pytest.raises(PortsBusy):
            await server.start()
        await server.close()


# --- pages --------------------------------------------------------------------------------------------------


@given(st.text())
def test_no_text_becomes_markup(text: str) -> None:
    plain = failure_page("").count("<")
    assert failure_page(text).count("<") == plain
    assert success_page("x" + text).count("<") == success_page("x").count("<")


def test_the_policy_lets_only_the_pages_own_style_and_script_in() -> None:
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
