"""What a running server makes of what happens around it: modes, sign-ins, signals, health."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
import pytest
from yarl import URL

from processes import command
from sidekey_auth.credential import Credential
from sidekey_auth.secret import Secret

if TYPE_CHECKING:
    from processes import Server

    from .conftest import House


async def bearer_used(house: House, server: Server) -> str | None:
    """Send a request and return the fingerprint of the bearer that reached upstream, or None."""
    before = len(house.sandbox.events.of("api"))
    headers = {"Authorization": f"Bearer {house.client_key}"}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{await server.url()}/models"):
        pass
    events = house.sandbox.events.of("api")
    return events[-1].bearer if len(events) > before else None


async def seen(server: Server, mode: str, count: int) -> None:
    """Return when the server has taken notice of the nth new generation."""
    line = await server.logged("bearer", count)
    assert line["mode"] == mode


async def test_every_switch_of_mode_reaches_a_running_server(house: House) -> None:
    static = house.sandbox.issue_key()
    async with house.serving() as server:
        await server.url()
        assert await bearer_used(house, server) is None
        assert (await house.run("key", "set", stdin=static.reveal().encode())).code == 0
        await seen(server, "api_key", 1)
        assert await bearer_used(house, server) == static.fingerprint()
        credential = await house.signed_in(static_key=static)
        assert credential.api_key is not None
        await seen(server, "chatgpt", 2)
        assert await bearer_used(house, server) == credential.api_key.fingerprint()
        assert (await house.run("mode", "api_key")).code == 0
        await seen(server, "api_key", 3)
        assert await bearer_used(house, server) == static.fingerprint()
        assert (await house.run("mode", "chatgpt")).code == 0
        await seen(server, "chatgpt", 4)
        assert await bearer_used(house, server) == credential.api_key.fingerprint()
        assert (await house.run("logout")).code == 0
        await seen(server, "api_key", 5)
        assert await bearer_used(house, server) == static.fingerprint()
        assert (await house.run("key", "clear")).code == 0
        await seen(server, "api_key", 6)
        assert await bearer_used(house, server) is None


async def test_a_static_key_that_upstream_refuses_is_replaced_by_a_newer_one_and_the_request_replayed(
    house: House,
) -> None:
    old, new = house.sandbox.issue_key(), house.sandbox.issue_key()
    await house.store(Credential(static_key=old, generation=1))
    async with house.serving() as server:
        assert await bearer_used(house, server) == old.fingerprint()
        house.sandbox.revoke_key(old)
        assert await bearer_used(house, server) == old.fingerprint(), "nothing newer: the 401 is passed on"
        await house.store(Credential(static_key=new, generation=2))
        assert await bearer_used(house, server) == new.fingerprint()


async def test_the_fallback_serves_when_the_sign_in_has_ended(house: House) -> None:
    static = house.sandbox.issue_key()
    credential = await house.signed_in(static_key=static)
    assert credential.refresh_token is not None
    assert credential.api_key is not None
    async with house.serving() as server:
        house.sandbox.revoke_refresh_token(credential.refresh_token)
        house.sandbox.revoke_key(credential.api_key)
        assert await bearer_used(house, server) == static.fingerprint()
        async with aiohttp.ClientSession() as session:
            headers = {"Authorization": f"Bearer {house.client_key}"}
            async with session.get(f"{await server.admin()}/status", headers=headers) as response:
                told = await response.json()
        assert told["fallback"]
        assert told["state"] == "reauth_required"


async def test_health_says_alive_ready_and_why_not(house: House) -> None:
    async with house.serving() as server, aiohttp.ClientSession() as session:
        admin = await server.admin()
        async with session.get(f"{admin}/livez") as response:
            assert response.status == 200
        async with session.get(f"{admin}/readyz") as response:
            assert response.status == 503
            assert (await response.json())["reason"] == "Nobody is signed in."
        await house.signed_in()
        await server.logged("bearer")
        async with session.get(f"{admin}/readyz") as response:
            assert response.status == 200
        async with session.get(f"{admin}/status") as response:
            assert response.status == 401, "the status asks for the client key"
        async with session.get(f"{admin}/livez", headers={"Host": "evil.example"}) as response:
            assert response.status == 421
        headers = {"Authorization": f"Bearer {house.client_key}"}
        async with session.get(f"{admin}/status", headers=headers) as response:
            text = house.canary.check(await response.text())
        assert '"state": "ready"' in text


async def test_garbage_on_the_admin_port_is_no_error_and_none_of_it_is_logged(house: House) -> None:
    async with house.serving() as server, aiohttp.ClientSession() as session:
        admin = URL(await server.admin())
        for garbage in (b"GET /status?key=canary-word HTTP/9.x", b"GET / HTTP/1.1\r\nHost : canary-word"):
            reader, writer = await asyncio.open_connection(admin.host, admin.port)
            writer.write(garbage + b"\r\n\r\n")
            assert b" 400 " in await reader.read()
            writer.close()
        async with session.get(admin / "livez") as response:
            assert response.status == 200
    assert [line for line in server.lines if line["level"] not in {"info", "warning"}] == []
    assert "canary-word" not in "".join(server.text)


async def test_without_a_client_key_any_key_or_none_will_do_on_loopback_only(house: House) -> None:
    await house.signed_in()
    async with house.serving("--no-client-key") as server, aiohttp.ClientSession() as session:
        base = await server.url()
        for headers in ({}, {"Authorization": "Bearer anything"}):
            async with session.get(f"{base}/models", headers=headers) as response:
                assert response.status == 200
        for headers in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            async with session.get(f"{base}/models", headers=headers) as response:
                assert response.status == 403
        async with session.get(f"{base}/models", headers={"Host": "rebound.example"}) as response:
            assert response.status == 421
            assert "hosts" in (await response.json())["error"]["message"]
    refused = await house.run("serve", "--no-client-key", "--listen", "0.0.0.0:0")
    assert refused.code == 2
    assert "clients must show a key" in refused.err


async def test_an_address_in_use_is_an_error_that_says_so(house: House) -> None:
    async with house.serving() as server:
        taken = (await server.url()).removeprefix("http://").removesuffix("/v1")
        second = await house.run("serve", "--listen", taken, "--admin-listen", "127.0.0.1:0")
    assert second.code == 2
    assert f"{taken} is in use" in second.err


async def test_sigterm_ends_it_with_exit_code_0(house: House) -> None:
    async with house.serving() as server:
        await server.url()
        assert await server.stop() == 0


@pytest.mark.parametrize("wrong", ["another seal", "damaged"])
async def test_a_vault_that_cannot_be_read_is_said_at_start_and_left_as_it_is(
    house: House, wrong: str
) -> None:
    await house.signed_in()
    (document,) = house.home.rglob("default*.sealed")
    if wrong == "damaged":
        document.write_bytes(document.read_bytes()[:-20])
        environment = {}
    else:
        environment = {"SIDEKEY_SEAL_KEY": "A" * 43 + "="}
    before = document.read_bytes()
    result = await house.run("serve", "--listen", "127.0.0.1:0", **environment)
    assert result.code == 1
    assert "sidekey vault reset" in result.err
    assert document.read_bytes() == before


async def test_a_refresh_by_hand_reaches_the_running_server(house: House) -> None:
    old = await house.signed_in()
    async with house.serving() as server:
        await server.logged("bearer")
        assert (await house.run("refresh")).code == 0
        await server.logged("bearer", 2)
        stored = await house.stored()
        assert stored.generation == old.generation + 1
        assert stored.api_key is not None
        assert await bearer_used(house, server) == stored.api_key.fingerprint()


async def test_another_profile_is_another_credential(house: House) -> None:
    work = await house.signed_in(profile="work")
    await house.store(replace(Credential(static_key=Secret("sk-default-canary-012345")), generation=1))
    assert work.api_key is not None
    async with house.serving("--profile", "work") as server:
        assert await bearer_used(house, server) == work.api_key.fingerprint()


async def test_a_keyring_that_hangs_at_the_start_does_not_hold_up_the_end(
    house: House, tmp_path: Path
) -> None:
    (tmp_path / "hanging_keyring.py").write_text(HANGING)
    environment = {
        **os.environ,
        **{name: value for name, value in house.environment.items() if name != "SIDEKEY_SEAL_KEY"},
        "PYTHON_KEYRING_BACKEND": "hanging_keyring.Hanging",
        "PYTHONPATH": str(tmp_path),
    }
    process = await asyncio.create_subprocess_exec(
        *command("serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert await process.stdout.readline() == b"asked\n"
        process.terminate()
        assert await process.wait() == 0


HANGING = """
import threading
from keyring.backend import KeyringBackend

class Hanging(KeyringBackend):
    priority = 5

    def get_password(self, service, username):
        print("asked", flush=True)
        threading.Event().wait()

    set_password = delete_password = get_password
"""


async def test_the_status_asks_for_the_client_key_though_clients_need_none(house: House) -> None:
    async with house.serving("--no-client-key") as server, aiohttp.ClientSession() as session:
        async with session.get(f"{await server.admin()}/status") as response:
            assert response.status == 401
        headers = {"Authorization": f"Bearer {house.client_key}"}
        async with session.get(f"{await server.admin()}/status", headers=headers) as response:
            assert response.status == 200


async def test_a_bearer_that_may_not_go_to_the_upstream_is_told_of_at_start_and_kept_back(
    house: House,
) -> None:
    await house.signed_in()
    environment = {"SIDEKEY_ALLOW_UPSTREAM": "https://elsewhere.example"}
    async with house.serving(**environment) as server:
        await server.logged("the bearer may not go to this upstream: requests are refused")
        assert await bearer_used(house, server) is None
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{await server.admin()}/readyz") as answer,
        ):
            told = await answer.json()
            assert (answer.status, told["code"]) == (503, "upstream_not_allowed")
    assert (await house.run("status", **environment)).code == 3
