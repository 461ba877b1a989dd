"""Making and changing seals, and starting a vault anew."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from house import House
from sidekey_auth.secret import Secret

from .conftest import Person, files


async def new_seal(house: House) -> Secret:
    """Ask sidekey for a seal key, which it prints on purpose."""
    answer = await house.run("seal", "new")
    assert (answer.code, answer.err, answer.out.count("\n")) == (0, "", 1)
    return Secret(answer.out.strip())


async def test_a_new_seal_is_put_first_rotated_to_and_then_alone_enough(house: House, tmp_path: Path) -> None:
    await house.signed_in()
    old = house.environment["SIDEKEY_SEAL_KEY"]
    early = await house.run("seal", "rotate")
    assert (early.code, early.out) == (1, "")
    assert early.err.startswith("Rotating the seal failed: SIDEKEY_SEAL_KEY holds one key only")
    assert "sidekey seal new" in early.err
    new = await new_seal(house)
    assert new.reveal() != old
    answer = await house.run("seal", "rotate", SIDEKEY_SEAL_KEY=f"{new.reveal()},{old}")
    assert answer.code == 0
    assert answer.out.startswith("Sealed ")
    assert " anew.\n" in answer.out
    assert "SIDEKEY_SEAL_KEY" in answer.out, "what is left to do is said"
    assert (await house.run("status", SIDEKEY_SEAL_KEY=new.reveal())).code == 0
    assert (await house.run("status")).code == 1


async def test_a_wrong_seal_overwrites_nothing_until_the_vault_is_moved_aside(house: House) -> None:
    await house.signed_in()
    before = files(house)
    house.environment["SIDEKEY_SEAL_KEY"] = (await new_seal(house)).reveal()
    commands = ("status", "login --device", "key set", "mode api_key", "logout")
    answers = await asyncio.gather(
        *(house.run(*command.split(), stdin=b"sk-another-key-0123456789\n") for command in commands)
    )
    for command, answer in zip(commands, answers, strict=True):
        assert (answer.code, answer.out) == (1, ""), command
        assert "sidekey vault reset" in answer.err, command
    assert files(house) == before
    person = Person(house, "vault", "reset")
    await person.sees("aside\\? You will have to sign in again. \\[y/N\\] ")
    await person.types("\r")
    assert await person.ends() == 130
    assert "Nothing was changed." in person.seen
    assert files(house) == before
    answer = await house.run("vault", "reset", "--yes")
    assert answer.code == 0
    aside = Path(answer.out.removeprefix("Moved the vault aside, to ").strip().removesuffix("."))
    assert aside.is_relative_to(house.home.parent)
    assert set(before.values()) <= set(files(house, aside).values()) | set(files(house).values())
    status = await house.run("status", "--json")
    assert (status.code, json.loads(status.out)["state"]) == (3, "signed_out")


async def test_the_sandboxs_seal_in_its_file_is_rotated_and_what_it_seals_stays_readable(
    house: House,
) -> None:
    async with house.serving("--sandbox", "--sandbox-port", "0") as server:
        await server.url()
        [seal] = house.home.parent.rglob("seal")
        house.canary.allow_file(seal)
        before = seal.read_bytes()
        answer = await house.run("seal", "rotate", "--sandbox")
        assert (answer.code, answer.err) == (0, "")
        assert answer.out.startswith("Sealed ")
        assert seal.read_bytes() != before
        assert (await house.run("status", "--sandbox")).code == 0
