"""What only two users can show; root prepares, and the other one is named by OTHER_USER."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential
from sidekey_auth.errors import VaultExposed
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.vaults.file import FileVault

pytestmark = pytest.mark.two_users


@pytest.fixture
def other() -> int:
    """The other user's id."""
    return pwd.getpwnam(os.environ["OTHER_USER"]).pw_uid


def vault(folder: Path) -> FileVault:
    return FileVault(folder, EnvironmentSeal("SIDEKEY_SEAL_KEY", new_seal_key().reveal()))


async def test_a_vault_in_another_users_folder_is_refused_and_nothing_is_written(
    tmp_path: Path, other: int
) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, other, -1)
    with pytest.raises(VaultExposed):
        await vault(folder).check()
    assert list(folder.iterdir()) == []


async def test_a_document_that_another_user_put_there_is_refused(tmp_path: Path, other: int) -> None:
    mine = vault(tmp_path / "mine")
    await mine.create()
    async with mine.lock("default"):
        await mine.save(Credential(generation=1))
    (document,) = (tmp_path / "mine").rglob("default*.sealed")
    os.chown(document, other, -1)
    with pytest.raises(VaultExposed):
        await mine.load("default")


async def test_a_seal_file_that_belongs_to_another_user_is_read_through_its_links(
    tmp_path: Path, other: int
) -> None:
    folder = tmp_path / "..2026_11_24"
    folder.mkdir()
    (folder / "seal").write_text(new_seal_key().reveal())
    os.chown(folder / "seal", other, -1)
    (tmp_path / "..data").symlink_to(folder)
    (tmp_path / "seal").symlink_to("..data/seal")
    assert await FileSeal(tmp_path / "seal").read("vault") is not None
