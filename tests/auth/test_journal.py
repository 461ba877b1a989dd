"""The journal over the real file vault: what cannot be written is held, put aside, and written later."""

# ruff: noqa: ASYNC240 - a test may touch the disk itself
from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sidekey_auth.credential import Credential, key_refused, signed_out
from sidekey_auth.errors import CredentialUnsaved, VaultUnwritable
from sidekey_auth.journal import Journal
from sidekey_auth.merge import Unsaved, base_of, to_plain
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.aside_folder import AsideFolder
from sidekey_auth.vaults.file import FileVault

SEAL = new_seal_key()
BASE = Credential(
    mode="chatgpt",
    generation=5,
    sign_in=5,
    api_key=Secret("sk-base-canary-0123456789"),
    refresh_token=Secret("rt-base-canary-0123456789"),
)
REFRESHED = replace(BASE, refreshes=1, refresh_token=Secret("rt-next-canary-0123456789"))
REFUSED = VaultUnwritable("the disk is full")

Make = Callable[[str], FileVault]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def made(name: str = "sidekey") -> FileVault:
        seal = EnvironmentSeal("SIDEKEY_SEAL_KEY", Seal((SEAL,)).written().reveal())
        return FileVault(tmp_path / name, seal, aside=tmp_path / "aside")

    return made


async def stored(vault: FileVault, credential: Credential = BASE) -> FileVault:
    await vault.create()
    async with vault.lock("default"):
        await vault.save(credential)
    return vault


def aside(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "aside").glob("*"))


async def test_a_change_is_made_to_what_is_stored_now(make: Make) -> None:
    vault = await stored(make("sidekey"))
    journal = Journal(vault)
    await journal.read()
    await stored(make("sidekey"), replace(BASE, static_key=Secret("sk-static-canary-0123456789")))
    await journal.change(lambda now: key_refused(now, Secret("sk-base-canary-0123456789")))
    after = await vault.load("default")
    assert after.key_refused
    assert after.static_key is not None


async def test_what_is_put_aside_is_taken_up_by_the_next_process_and_deleted(
    make: Make, tmp_path: Path
) -> None:
    journal = Journal(await stored(make("sidekey")))
    await journal.read()
    await journal.hold(REFRESHED, REFUSED)
    assert journal.must_save
    assert [str(path) for path in aside(tmp_path)] == [journal.aside]
    other = Journal(make("sidekey"))
    async with other.locked():
        assert other.credential == REFRESHED
    assert aside(tmp_path) == []
    await journal.read()
    assert (journal.unsaved, journal.aside) == (None, None), "another process has saved it"


async def test_whoever_only_looks_sees_what_was_put_aside_and_writes_nothing(
    make: Make, tmp_path: Path
) -> None:
    vault = await stored(make("sidekey"))
    journal = Journal(vault)
    await journal.read()
    await journal.hold(REFRESHED, REFUSED)
    other = Journal(make("sidekey"))
    await other.inspect()
    assert other.credential == REFRESHED
    assert other.must_save
    assert other.aside == str(tmp_path / "aside")
    assert len(aside(tmp_path)) == 1
    assert await vault.load("default") == BASE


async def test_settling_writes_what_is_unsaved(make: Make, tmp_path: Path) -> None:
    vault = await stored(make("sidekey"))
    journal = Journal(vault)
    await journal.read()
    await journal.hold(REFRESHED, REFUSED)
    await journal.settle()
    assert await vault.load("default") == REFRESHED
    assert aside(tmp_path) == []


async def test_settling_tells_where_it_is_kept_when_the_vault_is_away(make: Make, tmp_path: Path) -> None:
    journal = Journal(await stored(make("sidekey")))
    await journal.read()
    (tmp_path / "sidekey").rename(tmp_path / "elsewhere")
    await journal.change(lambda _: REFRESHED)
    assert not (tmp_path / "sidekey").exists(), "no vault is made in its place"
    with pytest.raises(CredentialUnsaved) as caught:
        await journal.settle()
    assert caught.value.aside == str(aside(tmp_path)[0])
    (tmp_path / "elsewhere").rename(tmp_path / "sidekey")
    async with Journal(make("sidekey")).locked():
        pass
    assert await make("sidekey").load("default") == REFRESHED


async def test_what_another_vault_has_put_aside_is_left_alone(make: Make, tmp_path: Path) -> None:
    journal = Journal(await stored(make("one")))
    await journal.read()
    await journal.hold(REFRESHED, REFUSED)
    other = Journal(await stored(make("two")))
    async with other.locked():
        assert other.credential == BASE
    assert len(aside(tmp_path)) == 1


@pytest.mark.parametrize("damage", ["bytes", "a newer version's"])
async def test_a_damaged_record_blocks_nothing_and_stays(make: Make, tmp_path: Path, damage: str) -> None:
    vault = await stored(make("sidekey"))
    record = Unsaved(base_of(BASE), REFRESHED)
    path = Path(await vault.put_aside(record))
    if damage == "bytes":
        path.write_bytes(path.read_bytes()[:-9])
    else:
        plain = to_plain(record)
        plain["base"]["unheard_of"] = 1
        path.unlink()
        AsideFolder(tmp_path / "aside").write(path.name.split(".")[0], "default", plain, Seal((SEAL,)))
    journal = Journal(make("sidekey"))
    async with journal.locked():
        assert journal.credential == BASE
    assert len(aside(tmp_path)) == 1


@pytest.mark.parametrize("how", ["import", "sign-out"])
async def test_a_persons_decision_is_not_undone_by_what_is_unsaved(make: Make, how: str) -> None:
    vault = await stored(make("sidekey"), replace(BASE, refresh_token=None))
    journal = Journal(vault)
    await journal.read()
    await journal.hold(key_refused(journal.credential, Secret("sk-base-canary-0123456789")), REFUSED)
    other_key = Secret("sk-other-canary-0123456789")
    imported = replace(BASE, refresh_token=None, generation=9, sign_in=9, api_key=other_key)
    decided = imported if how == "import" else signed_out(BASE, 1_800_000_000.0)
    await stored(make("sidekey"), decided)
    await journal.save_unsaved()
    assert await vault.load("default") == decided
    assert journal.credential == decided


async def test_a_key_that_could_not_be_saved_and_another_processs_never_share_a_number(make: Make) -> None:
    vault = await stored(make("sidekey"))
    journal = Journal(vault)
    await journal.read()
    await journal.hold(replace(REFRESHED, generation=6, api_key=Secret("sk-ours-canary-0123456789")), REFUSED)
    theirs = replace(BASE, generation=6, api_key=Secret("sk-theirs-canary-0123456789"))
    await stored(make("sidekey"), theirs)
    await journal.save_unsaved()
    after = await vault.load("default")
    assert after.api_key == Secret("sk-ours-canary-0123456789")
    assert after.generation > 6


async def test_a_save_that_is_cancelled_at_any_moment_is_whole_or_not_begun(make: Make) -> None:
    vault = await stored(make("sidekey"))
    written = 0
    for steps in range(40):
        meant = replace(BASE, generation=100 + steps)
        before = await vault.load("default")
        async with vault.lock("default"):
            saving = asyncio.create_task(vault.save(meant))
            for _ in range(steps):
                await asyncio.sleep(0)
            saving.cancel()
            await asyncio.wait([saving])
            after = await vault.load("default")
        assert after in (before, meant)
        assert after == meant or saving.cancelled(), "what is told as saved is saved"
        written += after == meant
    assert written, "some of them had begun"
