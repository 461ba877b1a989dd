"""The seal in the OS keyring: a real Secret Service, keyrings that are no good, and one that hangs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import keyring.core
import pytest
from keyring.backend import KeyringBackend
from keyring.backends import chainer, fail, null
from keyring.errors import InitError, KeyringLocked

from sidekey_auth import errors
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.seals.keyring import KeyringSeal

SESSION = Path(__file__).with_name("keyring_session.py")
HANGING = Path(__file__).with_name("keyring_hangs.py")
SEAL = Seal((new_seal_key(),))


# --- the real one -----------------------------------------------------------------------------------------


async def test_a_real_secret_service_keeps_the_seal(tmp_path: Path) -> None:
    """gnome-keyring in a session of its own: begin, rotate, spoil, delete, begin anew, lock."""
    places = {"HOME": "home", "XDG_RUNTIME_DIR": "run", "XDG_DATA_HOME": "data", "XDG_CONFIG_HOME": "config"}
    for name in places.values():
        (tmp_path / name).mkdir(mode=0o700)
    process = await asyncio.create_subprocess_exec(
        "dbus-run-session",
        "--",
        sys.executable,
        str(SESSION),
        env={**os.environ, **{variable: str(tmp_path / name) for variable, name in places.items()}},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, err.decode()
    found: dict[str, Any] = {}
    for line in out.splitlines():
        found.update(json.loads(line))
    begun = {"generation": 7, "keys": 1, "in_files": False, "sealed_by": "the OS keyring"}
    assert found.pop("stored") == begun
    assert found.pop("rotated") == {
        "documents": 1,
        "next_step": "",
        "another_key": True,
        "one_key": True,
        "generation": 8,
    }
    spoiled = found.pop("spoiled")
    assert spoiled["error"] == "SealError"
    assert spoiled["message"] == "what is in the OS keyring is not a seal key"
    gone = found.pop("gone")
    assert gone["error"] == "WrongSeal"
    assert "its seal is not in the OS keyring" in gone["message"]
    assert gone["made_anew"] is False
    assert found.pop("stored_again") == begun
    locked = found.pop("locked")
    assert locked["error"] == "KeyringLocked"
    assert "SIDEKEY_SEAL_KEY_FILE" in locked["remedy"]
    assert locked["running"] == 9
    assert not found


# --- none, or none that is any good -----------------------------------------------------------------------


class Drawer(KeyringBackend):
    """A keyring that works."""

    priority = 5  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


class PlaintextKeyring(Drawer):
    """As in keyrings.alt, however it praises itself."""


class Obscure(Drawer):
    """One that the keyring library does not recommend."""

    priority = 0.6  # type: ignore[assignment]


class Forgetful(Drawer):
    """One that takes everything and keeps nothing."""

    def set_password(self, service: str, username: str, password: str) -> None:
        """Keep nothing."""


class Broken(Drawer):
    """One whose system says no."""

    error: Exception = RuntimeError("canary: the text of a foreign error")

    def get_password(self, service: str, username: str) -> str | None:
        raise self.error

    def set_password(self, service: str, username: str, password: str) -> None:
        raise RuntimeError(f"cannot store {password}")


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Any:
    def chosen(backend: KeyringBackend) -> KeyringSeal:
        monkeypatch.setattr(keyring.core, "_keyring_backend", backend)
        return KeyringSeal()

    return chosen


async def test_an_entry_is_the_services_sidekey_and_the_vaults_id(use: Any) -> None:
    drawer = Drawer()
    seal = use(drawer)
    assert await seal.read("0123abcd") is None
    await seal.store("0123abcd", SEAL)
    assert drawer.entries == {("sidekey", "0123abcd"): SEAL.written().reveal()}
    assert await seal.read("0123abcd") == SEAL
    assert await seal.read("another") is None


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (fail.Keyring(), "there is no keyring on this machine"),
        (null.Keyring(), "keyring.backends.null.Keyring does not protect"),
        (PlaintextKeyring(), "PlaintextKeyring does not protect"),
        (Obscure(), "Obscure does not protect"),
        (Broken(), r"could not be asked \(.*RuntimeError\)"),
    ],
)
async def test_a_keyring_that_is_no_good_is_an_error_and_gets_nothing(
    use: Any, backend: Drawer, words: str
) -> None:
    seal = use(backend)
    for attempt in (seal.read("v"), seal.store("v", SEAL)):
        with pytest.raises(errors.KeyringUnavailable, match=words) as caught:
            await attempt
        assert "SIDEKEY_SEAL_KEY_FILE" in caught.value.remedy
        told = "".join(traceback.format_exception(caught.value))
        assert "canary" not in told
        assert SEAL.keys[0].reveal() not in told
    assert not getattr(backend, "entries", None)


async def test_a_keyring_that_does_not_keep_what_it_took_is_found_out(use: Any) -> None:
    with pytest.raises(errors.KeyringUnavailable, match="did not keep"):
        await use(Forgetful()).store("v", SEAL)


async def test_of_several_keyrings_the_first_good_one_is_used(
    use: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, drawer = PlaintextKeyring(), Drawer()
    monkeypatch.setattr(chainer.ChainerBackend, "backends", [plain, drawer])
    seal = use(chainer.ChainerBackend())
    await seal.store("v", SEAL)
    assert await seal.read("v") == SEAL
    assert drawer.entries
    assert not plain.entries


@pytest.mark.parametrize("wrapped", [False, True])
async def test_a_locked_keyring_is_told_from_a_missing_one(use: Any, wrapped: bool) -> None:
    class LockedException(Exception):
        """What secretstorage raises."""

    backend = Broken()
    backend.error = KeyringLocked("Failed to unlock the collection!")
    if wrapped:
        backend.error = InitError("Failed to create the collection")
        backend.error.__cause__ = LockedException()
    with pytest.raises(errors.KeyringLocked) as caught:
        await use(backend).read("v")
    assert "Unlock the keyring" in caught.value.remedy


async def test_a_machine_without_a_session_bus_has_no_keyring(tmp_path: Path) -> None:
    """Nothing is chosen here: the keyring library looks for itself, in a process of its own."""
    script = (
        "import asyncio\n"
        "from sidekey_auth.seals.keyring import KeyringSeal\n"
        "from sidekey_auth.errors import SealError\n"
        "try:\n    asyncio.run(KeyringSeal().read('v'))\n"
        "except SealError as error:\n    print(error.code, error, sep='|')\n"
    )
    bus = f"unix:path={tmp_path}/nobody"
    for chosen, code in (
        ({}, "keyring_unavailable|there is no keyring on this machine"),
        (
            {"PYTHON_KEYRING_BACKEND": "no.such.Keyring"},
            "keyring_unavailable|the keyring could not be asked (read: ModuleNotFoundError)",
        ),
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-c",
            script,
            env={**os.environ, "DBUS_SESSION_BUS_ADDRESS": bus, **chosen},
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(process.communicate(), 30)
        assert out.decode().strip() == code


# --- one that hangs ---------------------------------------------------------------------------------------


async def test_a_keyring_that_hangs_holds_up_neither_the_loop_nor_the_exit(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HANGING),
        str(tmp_path / "sidekey"),
        env={
            **os.environ,
            "PYTHONPATH": str(HANGING.parent),
            "PYTHON_KEYRING_BACKEND": "keyring_hangs.Hanging",
        },
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    said = json.loads(await asyncio.wait_for(process.stdout.readline(), 30))
    ended = time.monotonic()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert time.monotonic() - ended < 3
    assert said["asked"] == 1
    assert said["errors"] == ["KeyringTimedOut", "KeyringTimedOut"]
    assert "did not answer within 0.5 s" in said["messages"][0]
    assert said["longest_pause"] < 0.4


async def test_a_call_that_was_given_up_leaves_the_keyring_usable_once_it_answers(use: Any) -> None:
    import threading

    class Slow(Drawer):
        go_on = threading.Event()
        done = threading.Event()

        def get_password(self, service: str, username: str) -> str | None:
            self.go_on.wait(10)
            try:
                return super().get_password(service, username)
            finally:
                self.done.set()

    use(Slow())
    seal = KeyringSeal(timeout=0.05)
    with pytest.raises(errors.KeyringTimedOut):
        await seal.read("v")
    with pytest.raises(errors.KeyringTimedOut, match="an earlier question"):
        await seal.read("v")
    Slow.go_on.set()
    (given_up,) = seal._given_up
    await asyncio.to_thread(given_up.join, 10)
    seal._timeout = 10
    assert await seal.read("v") is None
