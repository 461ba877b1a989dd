"""Looking for what is wrong."""

from __future__ import annotations

import json

import aiohttp

from house import House

from .conftest import files


async def test_beside_a_running_server_all_is_well_and_nothing_is_changed(house: House) -> None:
    await house.signed_in()
    async with house.serving() as server:
        base, admin = await server.url(), await server.admin()
        where = {
            "SIDEKEY_LISTEN": base.removeprefix("http://").removesuffix("/v1"),
            "SIDEKEY_ADMIN_LISTEN": admin.removeprefix("http://"),
        }
        before = files(house)
        answer = await house.run("doctor", **where)
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.startswith("All is well.\n")
        for address in where.values():
            assert f"listener {address}" in answer.out
        assert answer.out.count("sidekey answers.") == 2
        told = json.loads((await house.run("doctor", "--json", **where)).out)
        assert told["ok"]
        assert {check["verdict"] for check in told["checks"]} == {"ok"}
        assert {"vault", "credential", "upstream", "issuer", "clock", "process"} <= {
            check["check"] for check in told["checks"]
        }
        assert files(house) == before


async def test_each_problem_is_told_with_its_remedy_and_the_exit_code_is_1(house: House) -> None:
    answer = await house.run("doctor", SIDEKEY_LISTEN="192.0.2.1:8484", SIDEKEY_ADMIN_LISTEN=",")
    assert (answer.code, answer.err) == (1, "")
    assert answer.out.startswith("2 problems and 1 warning.\n")
    assert "Run `sidekey login`" in answer.out
    assert "192.0.2.1:8484 cannot be listened on" in answer.out


async def test_settings_that_cannot_be_used_are_all_that_is_told(house: House) -> None:
    surroundings = {"SIDEKEY_LISTEN": "nowhere", "SIDEKEY_LOG_LEVEL": "loud"}
    answer = await house.run("doctor", "--json", **surroundings)
    assert (answer.code, answer.err) == (1, "")
    told = json.loads(answer.out)
    assert not told["ok"]
    [finding] = told["checks"]
    assert finding["check"] == "settings"
    assert "SIDEKEY_LISTEN" in finding["says"]
    assert "SIDEKEY_LOG_LEVEL" in finding["says"]
    assert "config.example.toml" in finding["remedy"]


async def test_keys_in_the_clear_are_told_at_start_in_status_and_by_the_doctor(house: House) -> None:
    await house.signed_in()
    everywhere = {"SIDEKEY_LISTEN": "0.0.0.0:0"}
    async with house.serving("--listen", "0.0.0.0:0", "--admin-listen", "127.0.0.1:0") as server:
        warned = await server.logged("client keys travel in the clear")
        headers = {"Authorization": f"Bearer {house.client_key}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{await server.admin()}/status") as response,
        ):
            assert (await response.json())["clear_text_listeners"] == [warned["listen"]]
    status = await house.run("status", **everywhere)
    assert "In the clear" in status.out
    assert "client keys, at 0.0.0.0:0: other machines can reach it without TLS" in status.out
    as_json = json.loads((await house.run("status", "--json", **everywhere)).out)
    assert as_json["clear_text_listeners"] == ["0.0.0.0:0"]
    doctor = await house.run("doctor", SIDEKEY_ADMIN_LISTEN=",", **everywhere)
    assert doctor.code == 0
    assert "client keys travel in the clear" in doctor.out


async def test_on_loopback_nothing_is_said_of_clear_text(house: House) -> None:
    await house.signed_in()
    assert "In the clear" not in (await house.run("status")).out
    assert json.loads((await house.run("status", "--json")).out)["clear_text_listeners"] == []
