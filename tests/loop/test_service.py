"""The server as a service: started by systemd, or from a terminal that is closed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest

from processes import PATIENCE, Server, command
from raw_http import Origin, Wire, answer
from sidekey_auth.credential import Credential
from sidekey_auth.secret import Secret

from .conftest import House

ACTIVATED = """
import os, sys
count = int(sys.argv[1])
kept = [os.dup(int(number)) for number in sys.argv[2 : 2 + count]]
for number, descriptor in enumerate(kept, 3):
    os.dup2(descriptor, number)
    os.set_inheritable(number, True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(count))
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""
"""Starts a command as systemd starts a service: with these descriptors as 3, 4, …"""

ASKED = b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def short() -> Iterator[Path]:
    """Give a folder whose name leaves room for a socket's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as made:
        yield Path(made)


async def status_at(path: Path | int, target: bytes) -> int:
    streams = (
        await asyncio.open_connection("127.0.0.1", path)
        if isinstance(path, int)
        else await asyncio.open_unix_connection(path)
    )
    wire = Wire(*streams)
    await wire.send(ASKED % target)
    answer = await wire.message()
    wire.close()
    return answer.status


def activated(*given: socket.socket) -> list[str]:
    numbers = [str(each.fileno()) for each in given]
    return [sys.executable, "-c", ACTIVATED, str(len(numbers)), *numbers, *command("serve")]


async def test_systemds_sockets_are_served_under_their_names_and_it_is_told_how_the_service_stands(
    house: House, short: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as clients,
        socket.socket(socket.AF_UNIX) as admin,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told,
    ):
        admin.bind(str(short / "admin"))
        admin.listen()
        told.bind(str(short / "notify"))
        told.setblocking(False)
        process = await asyncio.create_subprocess_exec(
            *activated(clients, admin),
            env={
                **os.environ,
                **house.environment,
                "LISTEN_FDNAMES": "sidekey.socket:admin",
                "NOTIFY_SOCKET": str(short / "notify"),
            },
            pass_fds=(clients.fileno(), admin.fileno()),
            stderr=asyncio.subprocess.DEVNULL,
        )

        async def heard() -> str:
            async with asyncio.timeout(PATIENCE):
                return (await asyncio.get_running_loop().sock_recv(told, 4096)).decode()

        assert await heard() == "READY=1"
        assert await status_at(clients.getsockname()[1], b"v1/models") == 401
        assert await status_at(short / "admin", b"livez") == 200
        process.send_signal(signal.SIGHUP)
        assert (await heard()).startswith("RELOADING=1\nMONOTONIC_USEC=")
        assert await heard() == "READY=1"
        assert await status_at(short / "admin", b"livez") == 200
        process.terminate()
        assert await heard() == "STOPPING=1"
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0
        assert (short / "admin").is_socket(), "the file is systemd's"


async def test_what_systemd_hands_over_must_listen(house: House) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as wrong:
        process = await asyncio.create_subprocess_exec(
            *activated(wrong),
            env={**os.environ, **house.environment},
            pass_fds=(wrong.fileno(),),
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
    assert process.returncode == 2
    assert b"descriptor 3 () does not listen" in said


async def test_a_closed_terminal_ends_it(house: House) -> None:
    first, *rest = command("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    child = pexpect.spawn(
        first, rest, env={**os.environ, **house.environment}, encoding="utf-8", timeout=PATIENCE
    )
    await asyncio.to_thread(child.expect, "listening")
    child.ptyproc.fileobj.close()
    async with asyncio.timeout(PATIENCE):
        _, status = await asyncio.to_thread(os.waitpid, child.pid, 0)
    child.ptyproc.closed = child.closed = True
    child.ptyproc.terminated = child.terminated = True
    assert status == 0


async def test_the_sandbox_is_the_upstream_and_no_other_one(house: House) -> None:
    answer = await house.run("serve", "--sandbox", "--upstream", "https://api.openai.com/v1")
    assert answer.code == 2
    assert "exclude each other" in answer.err


async def test_told_to_end_it_accepts_nobody_says_so_to_probes_and_finishes_what_is_open(
    house: House,
) -> None:
    await house.store(Credential(static_key=Secret("sk-static-canary-0123456789"), generation=1))
    async with Origin().serving() as origin:
        upstream = f"http://127.0.0.1:{origin.port}"
        async with house.serving(SIDEKEY_UPSTREAM=upstream) as server:
            port, probes = (int(url.rpartition(":")[2].partition("/")[0]) for url in await urls(server))
            client = Wire(*await asyncio.open_connection("127.0.0.1", port))
            idle = Wire(*await asyncio.open_connection("127.0.0.1", port))
            await client.send(
                b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer " + house.client_key.encode() + b"\r\n\r\n"
            )
            wire = await origin.accept()
            await wire.head()
            assert await status_at(probes, b"readyz") == 200
            server.process.terminate()
            await server.logged("draining")
            await idle.ended()
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            assert await status_at(probes, b"readyz") == 503
            assert await status_at(probes, b"livez") == 200
            await wire.send(answer(b"whole"))
            got = await client.message()
            assert (got.body, got.one(b"connection")) == (b"whole", b"close")
            for end in (client, idle):
                end.close()
            async with asyncio.timeout(PATIENCE):
                assert await server.process.wait() == 0


async def test_what_does_not_finish_in_time_is_cut(house: House) -> None:
    await house.store(Credential(static_key=Secret("sk-static-canary-0123456789"), generation=1))
    async with Origin().serving() as origin:
        environment = {"SIDEKEY_UPSTREAM": f"http://127.0.0.1:{origin.port}", "SIDEKEY_DRAIN_TIMEOUT": "0.2"}
        async with house.serving(**environment) as server:
            port = int((await server.url()).removesuffix("/v1").rpartition(":")[2])
            client = Wire(*await asyncio.open_connection("127.0.0.1", port))
            await client.send(
                b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\n"
                b"Authorization: Bearer " + house.client_key.encode() + b"\r\n\r\n"
            )
            wire = await origin.accept()
            await wire.head()
            server.process.terminate()
            await client.ended()
            client.close()
            assert (await server.logged("requests were cut"))["requests"] == 1
            async with asyncio.timeout(PATIENCE):
                assert await server.process.wait() == 0


async def urls(server: Server) -> tuple[str, str]:
    return await server.url(), await server.admin()
