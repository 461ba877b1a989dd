"""What is accepted can be written, and what is written can be read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential, to_document
from sidekey_auth.errors import VaultUnreadable, VaultUnwritable
from sidekey_auth.issuer import Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.seal import new_seal_key, parse_seal
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.secret import LONGEST_TOKEN, Secret
from sidekey_auth.signout import sign_out
from sidekey_auth.vaults.document import close_document, credential_of, read_identity
from sidekey_auth.vaults.file import FileVault
from sidekey_auth.vaults.folder import LARGEST_WRITTEN
from vault_conformance import FULL, store

KEY = new_seal_key()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "sidekey"


@pytest.fixture
def vault(folder: Path) -> FileVault:
    return FileVault(folder, EnvironmentSeal("SIDEKEY_SEAL_KEY", KEY.reveal()))


def at_its_bounds(character: str) -> Credential:
    """Return a credential whose every token is as long as a token may be."""
    longest = Secret(character * LONGEST_TOKEN)
    names = ("api_key", "static_key", "id_token", "unverified_id_token", "access_token", "refresh_token")
    return replace(FULL, **dict.fromkeys(names, longest))


def as_an_older_version_wrote_it(folder: Path, credential: Credential) -> None:
    """Put a document there that no write of today would make."""
    identity = read_identity((folder / "vault.json").read_bytes())
    data = close_document(
        identity, credential_of("default"), to_document(credential), parse_seal(KEY.reveal(), "the test")
    )
    assert len(data) > LARGEST_WRITTEN
    (folder / "profiles" / "default.sealed").write_bytes(data)


@pytest.mark.parametrize("character", ["a", '"', "\\"], ids=["letters", "quotes", "backslashes"])
async def test_tokens_of_the_greatest_length_are_written_and_read_again(
    vault: FileVault, character: str
) -> None:
    largest = at_its_bounds(character)
    await store(vault, largest)
    assert await vault.load("default") == largest


async def test_what_could_not_be_read_again_is_not_written(vault: FileVault) -> None:
    await store(vault, FULL)
    with pytest.raises(VaultUnwritable, match="would be larger than") as caught:
        await store(vault, replace(FULL, api_key=Secret("k" * 2 * LARGEST_WRITTEN)))
    assert "sidekey logout" in caught.value.remedy
    assert await vault.load("default") == FULL


async def test_a_document_larger_than_any_of_today_can_be_read_signed_out_of_and_moved_aside(
    vault: FileVault, folder: Path
) -> None:
    await store(vault, FULL)
    large = replace(FULL, refresh_token=None, access_token=Secret("a" * LARGEST_WRITTEN))
    as_an_older_version_wrote_it(folder, large)
    assert await vault.load("default") == large
    await vault.check()
    with pytest.raises(VaultUnwritable, match="would be larger than"):
        await store(vault, replace(large, generation=large.generation + 1))
    async with Issuers(IssuerSettings(allowed_issuers=("https://auth.example",))) as issuers:
        result = await sign_out(vault, issuers)
    assert result.vault_problem is None
    assert await vault.load("default") == result.credential
    assert not result.credential.signed_in


async def test_a_document_that_nobody_can_have_written_is_moved_aside_unread(
    vault: FileVault, folder: Path
) -> None:
    await store(vault, FULL)
    (folder / "profiles" / "default.sealed").write_bytes(bytes(32 * 1024 * 1024))
    with pytest.raises(VaultUnreadable, match="larger than") as caught:
        await vault.load("default")
    assert "sidekey vault reset" in caught.value.remedy
    assert await vault.reset() is not None
    assert await vault.load("default") == Credential()
