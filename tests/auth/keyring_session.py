"""A real Secret Service and a vault that it seals, inside a D-Bus session of its own; started by the tests.

Runs under ``dbus-run-session`` with a HOME of its own. Starts gnome-keyring, unlocked, and prints what came
of each scene as one JSON line, without any key.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import keyring
import secretstorage
from jeepney import MatchRule, message_bus
from jeepney.io.blocking import Proxy, open_dbus_connection

from sidekey_auth.credential import Credential
from sidekey_auth.errors import SidekeyError
from sidekey_auth.seals.keyring import SERVICE, KeyringSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault

FOLDER = Path(os.environ["HOME"]) / "vault"
SECRETS = "org.freedesktop.secrets"


def start_keyring() -> subprocess.Popen[bytes]:
    """Start gnome-keyring with an unlocked login keyring, and return when it answers on the bus."""
    with open_dbus_connection(bus="SESSION") as bus:
        changes = MatchRule(
            type="signal",
            interface=message_bus.interface,
            member="NameOwnerChanged",
            path=message_bus.object_path,
        )
        changes.add_arg_condition(0, SECRETS)
        Proxy(message_bus, bus).AddMatch(changes)
        with bus.filter(changes) as owners:
            command = ["gnome-keyring-daemon", "--foreground", "--unlock", "--components=secrets"]
            daemon = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            assert daemon.stdin is not None
            daemon.stdin.write(b"the password of the login keyring")
            daemon.stdin.close()
            bus.recv_until_filtered(owners, timeout=20)
    return daemon


def entry() -> str | None:
    """Return what the keyring holds for the vault, fingerprint by fingerprint."""
    identity = json.loads((FOLDER / "vault.json").read_text())["id"]
    value = keyring.get_password(SERVICE, identity)
    return value and " ".join(Secret(key).fingerprint() for key in value.split(" "))


async def stored() -> dict[str, Any]:
    """A vault begins, and its seal is in the keyring."""
    vault = FileVault(FOLDER, KeyringSeal())
    await vault.check()
    async with vault.lock("default"):
        await vault.save(Credential(generation=7))
    fresh = FileVault(FOLDER, KeyringSeal())
    described = await fresh.describe()
    files = [path.read_text() for path in FOLDER.rglob("*") if path.is_file()]
    value = keyring.get_password(SERVICE, json.loads((FOLDER / "vault.json").read_text())["id"])
    return {
        "generation": (await fresh.load("default")).generation,
        "keys": len((value or "").split()),
        "in_files": any(value is None or value in text for text in files),
        "sealed_by": described.sealed_by,
    }


async def rotated() -> dict[str, Any]:
    """The seal is rotated under the eyes of a process that has the old one."""
    running = FileVault(FOLDER, KeyringSeal())
    await running.load("default")
    before = entry()
    result = await FileVault(FOLDER, KeyringSeal()).rotate()
    after = entry()
    async with running.lock("default"):
        await running.save(Credential(generation=8))
    return {
        "documents": result.documents,
        "next_step": result.next_step,
        "another_key": after not in {None, before},
        "one_key": after is not None and " " not in after,
        "generation": (await FileVault(FOLDER, KeyringSeal()).load("default")).generation,
    }


async def spoiled() -> dict[str, Any]:
    """Something else stands in the entry."""
    identity = json.loads((FOLDER / "vault.json").read_text())["id"]
    value = keyring.get_password(SERVICE, identity)
    assert value is not None
    keyring.set_password(SERVICE, identity, "canary-correct-horse-battery-staple")
    try:
        return await outcome(FileVault(FOLDER, KeyringSeal()).check)
    finally:
        keyring.set_password(SERVICE, identity, value)


async def locked() -> dict[str, Any]:
    """The keyring is locked, and there is no desktop on which to unlock it."""
    running = FileVault(FOLDER, KeyringSeal())
    await running.load("default")
    with closing(secretstorage.dbus_init()) as bus:
        secretstorage.get_default_collection(bus).lock()
    failed = await outcome(FileVault(FOLDER, KeyringSeal()).check)
    async with running.lock("default"):
        await running.save(Credential(generation=9))
    return {**failed, "running": (await running.load("default")).generation}


async def gone() -> dict[str, Any]:
    """The entry was deleted."""
    identity = json.loads((FOLDER / "vault.json").read_text())["id"]
    keyring.delete_password(SERVICE, identity)
    failed = await outcome(FileVault(FOLDER, KeyringSeal()).check)
    return {**failed, "made_anew": keyring.get_password(SERVICE, identity) is not None}


async def outcome(attempt: Callable[[], Awaitable[None]]) -> dict[str, Any]:
    """Return the error of an attempt."""
    try:
        await attempt()
    except SidekeyError as error:
        return {"error": type(error).__name__, "message": str(error), "remedy": error.remedy}
    return {"error": None}


async def main() -> None:
    for scene in (stored, rotated, spoiled, gone, stored_again, locked):
        print(json.dumps({scene.__name__: await scene()}), flush=True)  # noqa: T201


async def stored_again() -> dict[str, Any]:
    """After a reset a new vault begins with a new seal."""
    aside = await FileVault(FOLDER, KeyringSeal()).reset()
    assert aside is not None
    return await stored()


if __name__ == "__main__":
    DAEMON = start_keyring()
    try:
        asyncio.run(main())
    finally:
        DAEMON.terminate()
        DAEMON.wait()
