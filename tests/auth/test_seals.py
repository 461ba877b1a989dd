"""Where a seal comes from: the environment, a file, and the choice between them and the keyring."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from canary import Canary
from sidekey_auth.errors import SealError, VaultExposed, VaultUnwritable
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.seals import seal_source
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.seals.keyring import KeyringSeal

OLD, NEW = new_seal_key(), new_seal_key()


def written(path: Path, *keys: str) -> Path:
    path.write_text("\n".join(keys) + "\n")
    return path


async def test_the_key_goes_before_the_file_and_the_file_before_the_keyring(tmp_path: Path) -> None:
    path = written(tmp_path / "seal", OLD.reveal())
    both = {"SIDEKEY_SEAL_KEY": NEW.reveal(), "SIDEKEY_SEAL_KEY_FILE": str(path)}
    chosen = seal_source(both)
    assert (chosen.name, chosen.keeps) == ("SIDEKEY_SEAL_KEY", False)
    assert await chosen.read("v") == Seal((NEW,))
    del both["SIDEKEY_SEAL_KEY"]
    chosen = seal_source(both)
    assert (chosen.name, chosen.keeps) == (f"the file {path}", False)
    assert await chosen.read("v") == Seal((OLD,))
    chosen = seal_source({})
    assert isinstance(chosen, KeyringSeal)
    assert chosen.keeps


@pytest.mark.parametrize("value", ["", "not a key"])
async def test_a_bad_variable_is_an_error_and_no_reason_to_look_elsewhere(value: str) -> None:
    with pytest.raises(SealError, match="SIDEKEY_SEAL_KEY"):
        await seal_source({"SIDEKEY_SEAL_KEY": value}).read("v")


def test_a_variable_that_names_no_file_is_an_error() -> None:
    with pytest.raises(SealError, match="SIDEKEY_SEAL_KEY_FILE is set and names no file"):
        seal_source({"SIDEKEY_SEAL_KEY_FILE": ""})


async def test_what_a_person_keeps_is_not_written(tmp_path: Path) -> None:
    path = written(tmp_path / "seal", OLD.reveal())
    for source in (EnvironmentSeal("SIDEKEY_SEAL_KEY", OLD.reveal()), FileSeal(path)):
        with pytest.raises(SealError, match="kept by you"):
            await source.store("v", Seal((NEW,)))
    assert path.read_text() == OLD.reveal() + "\n"


async def test_a_mounted_secret_is_followed_through_its_links(tmp_path: Path) -> None:
    """Kubernetes mounts ``key -> ..data/key`` and ``..data -> ..2026_11_24``, readable by all."""
    folder = tmp_path / "..2026_11_24"
    folder.mkdir()
    written(folder / "key", NEW.reveal(), OLD.reveal()).chmod(0o644)
    (tmp_path / "..data").symlink_to(folder.name)
    (tmp_path / "key").symlink_to("..data/key")
    assert await FileSeal(tmp_path / "key").read("v") == Seal((NEW, OLD))


async def test_a_file_is_read_anew_each_time(tmp_path: Path) -> None:
    source = FileSeal(written(tmp_path / "seal", OLD.reveal()))
    await source.read("v")
    written(tmp_path / "seal", NEW.reveal(), OLD.reveal())
    assert await source.read("v") == Seal((NEW, OLD))


async def test_a_file_that_is_no_seal_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe" + b"canary" * 10)
    (tmp_path / "empty").touch()
    (tmp_path / "large").write_text("A" * 70_000)
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name in ("binary", "empty", "large", "folder", "pipe", "absent"):
        with pytest.raises(SealError, match=str(tmp_path / name)) as caught:
            await FileSeal(tmp_path / name).read("v")
        assert caught.value.remedy
        assert "canary" not in str(caught.value)


async def test_a_seal_of_its_own_is_made_private_and_replaced_whole(tmp_path: Path, canary: Canary) -> None:
    path = tmp_path / "sidekey" / "seal.key"
    canary.allow_file(path)
    source = FileSeal(path, create=True)
    assert source.keeps
    assert await source.read("v") is None
    for seal in (Seal((OLD,)), Seal((NEW, OLD)), Seal((NEW,))):
        await source.store("v", seal)
        assert await source.read("v") == seal
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [file.name for file in path.parent.iterdir()] == ["seal.key"]


async def test_a_killed_process_leaves_no_seal_lying_about(tmp_path: Path, canary: Canary) -> None:
    path = tmp_path / "sidekey" / "seal.key"
    canary.allow_file(path)
    path.parent.mkdir(mode=0o700)
    (path.parent / ".seal.key.0123456789abcdef.tmp").write_text(OLD.reveal())
    await FileSeal(path, create=True).store("v", Seal((NEW,)))
    assert [file.name for file in path.parent.iterdir()] == ["seal.key"]


@pytest.mark.parametrize(
    ("mode", "is_open"),
    [
        (0o600, False),
        (0o400, False),
        (0o644, True),
        (0o444, True),
        (0o640, True),
        (0o602, True),
        (0o660, True),
    ],
)
def test_a_seal_that_a_person_keeps_tells_whether_others_can_get_at_it(
    tmp_path: Path, mode: int, is_open: bool
) -> None:
    path = tmp_path / "seal"
    path.write_text(OLD.reveal())
    path.chmod(mode)
    assert FileSeal(path).open_to_others() == (mode if is_open else None)


def test_a_mounted_seal_may_be_read_through_its_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kubernetes gives a secret to root and to the pod's group."""
    path = tmp_path / "seal"
    path.write_text(OLD.reveal())
    path.chmod(0o440)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert FileSeal(path).open_to_others() is None
    path.chmod(0o444)
    assert FileSeal(path).open_to_others() == 0o444


def test_a_seal_that_is_not_there_is_open_to_nobody(tmp_path: Path) -> None:
    assert FileSeal(tmp_path / "seal").open_to_others() is None


async def test_a_seal_of_its_own_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "seal.key", OLD.reveal())
    path.chmod(0o640)
    with pytest.raises(VaultExposed) as caught:
        await FileSeal(path, create=True).read("v")
    assert f"chmod 600 {path}" in caught.value.remedy


async def test_a_seal_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.touch()
    with pytest.raises(VaultUnwritable):
        await FileSeal(blocked / "seal.key", create=True).store("v", Seal((NEW,)))
