"""A sign-in is not lost, whatever happens around a refresh: real issuer, real file vaults, real files."""

from __future__ import annotations

import asyncio
import os
import shutil
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rig import STATIC, FullDisk, Rig, codex_auth
from sidekey_auth import broker as broker_module
from sidekey_auth.broker import Broker
from sidekey_auth.claims import read_claims
from sidekey_auth.codex import CodexAuth
from sidekey_auth.codex_import import import_codex
from sidekey_auth.credential import Credential
from sidekey_auth.errors import (
    CredentialUnsaved,
    IssuerUnavailable,
    NoBearer,
    VaultAway,
    WrongSeal,
)
from sidekey_auth.journal import Journal
from sidekey_auth.renewal import ExchangePolicy
from sidekey_auth.seal import new_seal_key
from sidekey_auth.secret import Secret
from sidekey_auth.signed_in import signed_in
from sidekey_auth.signout import sign_out
from sidekey_auth.vaults.file import FileVault
from sidekey_proxy.sandbox import ExchangeRefused, Sandbox, SandboxSettings, TokenAnswer, TokenHang


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with Sandbox(SandboxSettings()) as sandbox:
        made = Rig(sandbox, tmp_path)
        yield made
        sandbox.release()
        for broker in made.brokers:
            vault = broker._journal.vault
            assert isinstance(vault, FullDisk)
            vault.full = vault.full_aside = False
            try:
                await broker.stop()
            except CredentialUnsaved as error:
                assert error.aside is not None, "nothing is lost"  # noqa: PT017
        for issuers in made.issuers:
            await issuers.close()


async def until(broker: Broker, holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await broker.change()


# --- nothing was sent -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cause", ["proxy", "CA bundle", "no thread"])
async def test_what_fails_before_the_first_byte_costs_no_try(
    rig: Rig, cause: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    await rig.signed_in()
    settings = rig.settings
    with monkeypatch.context() as broken:
        if cause == "proxy":
            # Any other host than loopback goes through a proxy; the sandbox is reached by its name.
            broken.setattr("sidekey_auth.outbound.proxy_for", _unusable_proxy)
        if cause == "CA bundle":
            rig.settings = replace(settings, ca_bundle=tmp_path / "missing.pem")
        if cause == "no thread":
            broken.setattr(threading.Thread, "start", _no_thread(threading.Thread.start))
        for _ in range(4):
            with pytest.raises((IssuerUnavailable, broker_module.SidekeyError)):
                await rig.broker().refresh()
    assert (await rig.stored()).note is None
    rig.settings = settings
    assert (await rig.broker().refresh()).state == "ready"
    assert rig.count("refresh") == 1


def _unusable_proxy(_: object) -> None:
    from sidekey_auth.errors import ConfigurationError

    raise ConfigurationError("the proxy cannot be used")


def _no_thread(start: Callable[[threading.Thread], None]) -> Callable[[threading.Thread], None]:
    def started(thread: threading.Thread) -> None:
        if thread.name.startswith("sidekey-critical"):
            raise RuntimeError("can't start new thread")
        start(thread)

    return started


async def test_a_broker_used_in_two_event_loops_burns_no_sign_in(rig: Rig) -> None:
    await rig.signed_in()
    broker = rig.broker()
    for _ in range(3):
        outcome = await asyncio.to_thread(lambda: asyncio.run(asyncio.wait_for(_refreshed(broker), 20)))
        assert outcome in {"ready", "refused"}
        assert await rig.live()
    assert (await rig.stored()).note is None


async def _refreshed(broker: Broker) -> str:
    try:
        return (await broker.refresh()).state
    except Exception:  # noqa: BLE001 - what counts is what is left
        return "refused"


# --- sent, and not to be saved -----------------------------------------------------------------------------


async def test_tokens_that_the_vault_cannot_take_are_put_aside_and_taken_up_by_the_next_start(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidekey_auth.journal.SAVING", 0.2)
    old = await rig.signed_in()
    vault = rig.vault()
    broker = rig.broker(vault)
    await broker.take_up()
    rig.sandbox.faults.put(TokenHang(grant="key_exchange"))
    asking = asyncio.create_task(broker.refresh())
    full = asyncio.create_task(_full_when(vault, lambda: rig.count("refresh") > 0))
    await rig.sandbox.wait_for("key_exchange")
    await full
    rig.sandbox.release()
    await asyncio.wait([asking])
    with pytest.raises(CredentialUnsaved) as caught:
        await broker.stop()
    assert caught.value.aside is not None
    (record,) = rig.aside()
    assert record.stat().st_mode & 0o777 == 0o600
    assert (await rig.stored()).generation == old.generation
    second = rig.broker()
    await second.take_up()
    assert await rig.live()
    assert rig.aside() == []
    assert (await second.refresh()).state == "ready"


async def _full_when(vault: FullDisk, begun: Callable[[], bool]) -> None:
    """Fill the disk for what comes after the refresh itself."""
    while not begun():  # noqa: ASYNC110 - the sandbox tells of it in no other way
        await asyncio.sleep(0)
    vault.full = True


async def refreshed_without_room(broker: Broker, rig: Rig, *, aside: bool = True) -> None:
    """Refresh while the disk fills up before the answer comes; perhaps there is room beside the vault."""
    vault = broker._journal.vault
    assert isinstance(vault, FullDisk)
    rig.sandbox.faults.put(TokenHang(consumed=True, answers=True))
    asking = asyncio.create_task(broker.refresh())
    await rig.sandbox.wait_for("held")
    vault.full, vault.full_aside = True, not aside
    rig.sandbox.release()
    await asyncio.wait([asking])


async def test_a_start_on_a_disk_that_is_still_full_serves_what_was_put_aside_and_saves_it_later(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidekey_auth.journal.SAVING", 0.2)
    old = await rig.signed_in()
    broker = rig.broker()
    await broker.take_up()
    await refreshed_without_room(broker, rig)
    with pytest.raises(CredentialUnsaved):
        await broker.stop()
    full = rig.vault()
    full.full = True
    later = rig.broker(full)
    await later.start()
    assert later.bearer().value != old.api_key
    assert later.standing().code == "unsaved_aside"
    full.full = False
    later._wake.set()
    await until(later, lambda: later.standing().state == "ready")
    assert await rig.live()
    assert rig.aside() == []


async def test_a_record_of_another_vault_or_a_damaged_one_is_left_alone(rig: Rig) -> None:
    await rig.signed_in()
    vault = rig.vault()
    await vault.load("default")
    known = vault._sealed.remembered()
    assert known is not None
    rig.state.mkdir(mode=0o700)
    for name in (f"{known[0]}.default.00.unsaved", f"{'0' * 32}.default.00.unsaved"):
        (rig.state / name).write_bytes(b"damaged")
        (rig.state / name).chmod(0o600)
    before = await rig.stored()
    await rig.broker().take_up()
    assert await rig.stored() == before
    assert len(rig.aside()) == 2


# --- absence is not information ----------------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["missing", "emptied", "another vault"])
async def test_a_vault_that_is_away_is_no_sign_out_and_nothing_is_written_in_its_place(
    rig: Rig, loss: str, tmp_path: Path
) -> None:
    await rig.signed_in()
    broker = rig.broker()
    await broker.start()
    bearer = broker.bearer()
    await asyncio.to_thread(rig.home.rename, tmp_path / "away")
    if loss == "emptied":
        await asyncio.to_thread(shutil.copytree, tmp_path / "away", rig.home)
        os.unlink(rig.home / "profiles" / "default.sealed")  # noqa: PTH108
    if loss == "another vault":
        await rig.vault().create()
    await until(broker, lambda: broker.standing().code == "transient" or broker._vault_trouble is not None)
    with pytest.raises(VaultAway):
        await broker.read_again()
    assert broker.bearer() == bearer, "what is in memory serves on"
    assert await broker.refused(bearer) is None
    assert rig.count("refresh") == 0, "nothing is sent that could not be written down"
    await asyncio.to_thread(shutil.rmtree, rig.home, ignore_errors=True)
    await asyncio.to_thread((tmp_path / "away").rename, rig.home)
    await until(broker, lambda: broker._vault_trouble is None)
    assert (await broker.refresh()).state == "ready"
    assert await rig.live()


async def test_a_vault_that_goes_while_an_answer_is_awaited_has_it_put_aside(
    rig: Rig, tmp_path: Path
) -> None:
    await rig.signed_in()
    broker = rig.broker()
    await broker.take_up()
    save, moved = FileVault.save, asyncio.Event()

    async def saved(vault: FileVault, credential: Credential) -> None:
        if credential.refreshes and not moved.is_set():
            moved.set()
            rig.home.rename(tmp_path / "away")
        await save(vault, credential)

    broker._journal.vault.save = lambda credential: saved(broker._journal.vault, credential)  # type: ignore[method-assign]
    assert (await broker.refresh()).code == "unsaved_aside"
    assert len(rig.aside()) == 1
    assert not await asyncio.to_thread(rig.home.exists)
    await asyncio.to_thread((tmp_path / "away").rename, rig.home)
    await rig.broker().take_up()
    assert await rig.live()


# --- the seal, people, other processes ---------------------------------------------------------------------


async def test_a_rotation_waits_for_a_refresh_whose_process_has_the_old_seal_only(rig: Rig) -> None:
    await rig.signed_in()
    new = new_seal_key()
    server = rig.broker()
    await server.take_up()
    rig.sandbox.faults.put(TokenAnswer(status=503, delay=1.0))
    refreshing = asyncio.create_task(server.refresh())
    await _locked(rig)
    rotation = await rig.vault(new, rig.key).rotate()
    assert refreshing.done(), "the rotation has waited for the answer"
    with pytest.raises(IssuerUnavailable):
        await refreshing
    assert rotation.documents == 1
    assert await rig.live(new)
    with pytest.raises((WrongSeal, broker_module.SidekeyError)):
        await server.refresh()
    assert await rig.live(new), "who has only the old seal sends nothing"


async def _locked(rig: Rig) -> None:
    """Return when somebody holds the profile's lock."""
    async with asyncio.timeout(10):
        while True:
            stored = await rig.stored()
            if stored.note is not None:
                return
            await asyncio.sleep(0)


async def test_the_same_file_imported_again_does_not_undo_a_refresh_that_is_in_memory_only(rig: Rig) -> None:
    auth = codex_auth(rig.sandbox.sign_in())
    vault = rig.vault()
    broker = rig.broker(vault)
    await import_codex(rig.vault(), rig.issuers[0], auth)
    await broker.take_up()
    await refreshed_without_room(broker, rig, aside=False)
    await import_codex(rig.vault(), rig.issuers[0], auth)
    vault.full = vault.full_aside = False
    await broker.stop()
    assert await rig.live()


async def test_an_import_and_a_sign_out_are_not_undone_by_what_a_server_could_not_save(rig: Rig) -> None:
    await rig.signed_in(refresh_token=None, id_token=None, access_token=None, key_source=None)
    vault = rig.vault()
    server = rig.broker(vault)
    await server.start()
    vault.full = vault.full_aside = True
    await server.refused(server.bearer())
    other = Secret("sk-of-another-account-0123456789")
    await import_codex(rig.vault(), rig.issuers[0], CodexAuth(api_key=other))
    vault.full = vault.full_aside = False
    await until(server, lambda: server.credential.api_key == other and server._journal.unsaved is None)
    assert (await rig.stored()).api_key == other
    await sign_out(rig.vault(), rig.issuers[0])
    await until(server, lambda: server.credential.api_key is None)
    with pytest.raises(NoBearer):
        server.bearer()
    assert (await rig.stored()).api_key is None


async def test_a_slow_key_exchange_holds_up_no_sign_out(rig: Rig) -> None:
    await rig.signed_in()
    server = rig.broker()
    await server.take_up()
    rig.sandbox.faults.put(TokenHang(grant="key_exchange"))
    hanging = asyncio.create_task(server.refresh())
    await rig.sandbox.wait_for("refresh")
    async with asyncio.timeout(2):
        result = await sign_out(rig.vault(), rig.issuers[0])
    assert result.was_signed_in
    rig.sandbox.release()
    await asyncio.wait([hanging])
    assert (await rig.stored()).api_key is None, "a key of a signed-out sign-in is not stored"


# --- the fallback, and a refused bearer --------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["always", "when-refused"])
async def test_the_fallback_is_left_as_soon_as_the_own_key_can_be_had(
    rig: Rig, policy: ExchangePolicy
) -> None:
    old = await rig.signed_in(static_key=STATIC)
    rig.sandbox.faults.put(TokenAnswer(status=503))
    broker = rig.broker(policy=policy)
    await broker.start()
    fallback = await broker.refused(broker.bearer())
    assert fallback is not None
    assert (fallback.value, fallback.origin) == (STATIC, "api_key")
    assert fallback.generation != old.generation, "another bearer has another number"
    rig.clock.offset += 400
    broker._wake.set()
    await until(broker, lambda: broker.bearer().origin == "chatgpt")
    assert broker.bearer().value != old.api_key
    assert not broker.standing().fallback


async def test_a_static_key_that_is_refused_too_leads_back_to_the_sign_ins_own(rig: Rig) -> None:
    await rig.signed_in(static_key=STATIC)
    rig.sandbox.faults.put(TokenAnswer(status=503))
    broker = rig.broker()
    await broker.start()
    fallback = await broker.refused(broker.bearer())
    assert fallback is not None
    assert fallback.origin == "api_key"
    rig.clock.offset += 400
    own = await broker.refused(fallback)
    assert own is not None
    assert own.origin == "chatgpt"
    assert own.value == (await rig.stored()).api_key


async def test_a_sign_in_beside_a_hanging_exchange_keeps_its_tokens(rig: Rig) -> None:
    await rig.signed_in()
    server = rig.broker()
    await server.start()
    rig.sandbox.faults.put(TokenHang(grant="key_exchange"))
    hanging = asyncio.create_task(server.refresh())
    await rig.sandbox.wait_for("refresh")
    tokens = rig.sandbox.sign_in()
    assert tokens.id_token is not None
    claims = read_claims(tokens.id_token)
    journal = Journal(rig.vault())
    async with asyncio.timeout(5):
        await journal.change(
            lambda before: signed_in(
                before, tokens, claims, issuer=rig.settings.issuer, client_id="app", now=rig.clock.wall()
            )
        )
    rig.sandbox.release()
    await asyncio.wait([hanging])
    assert (await rig.stored()).refresh_token == tokens.refresh_token
    assert await rig.live()


async def test_a_request_does_not_wait_without_end_for_a_bearer(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.signed_in(api_key=None, key_source=None)
    rig.sandbox.faults.put(TokenHang(grant="key_exchange", times=None))
    rig.settings = replace(rig.settings, request_timeout=600.0)  # the issuer's own limit is no help
    monkeypatch.setattr(broker_module, "RENEWAL", 0.3)
    broker = rig.broker()
    await broker.take_up()
    async with asyncio.timeout(10):
        with pytest.raises(NoBearer) as told:
            await broker.obtain()
    assert told.value.transient
    rig.sandbox.release()


async def test_an_account_that_was_refused_a_key_is_not_asked_about_again_and_again(rig: Rig) -> None:
    await rig.signed_in(static_key=STATIC)
    rig.sandbox.faults.put(ExchangeRefused(times=None))
    broker = rig.broker()
    await broker.start()
    await broker.refused(broker.bearer())
    for _ in range(5):
        rig.clock.offset += 100
        await broker.renew_due()
    assert (rig.count("refresh"), rig.count("key_exchange")) == (1, 1)


async def test_a_refused_bearer_that_nothing_replaces_is_tried_again_and_counts_as_good_once_accepted(
    rig: Rig,
) -> None:
    old = await rig.signed_in(refresh_token=None, id_token=None, access_token=None, key_source=None)
    broker = rig.broker()
    await broker.start()
    assert await broker.refused(broker.bearer()) is None
    with pytest.raises(NoBearer):
        await broker.obtain()
    rig.clock.offset += broker_module.REFUSED_PAUSE + 1
    again = await broker.obtain()
    assert again.value == old.api_key
    assert broker.standing().ready
    broker.accepted(again)
    await until(broker, lambda: not broker.credential.key_refused)
    assert not (await rig.stored()).key_refused


# --- background tasks, and the end -------------------------------------------------------------------------


async def test_a_watcher_that_breaks_off_begins_anew_and_sees_a_sign_out(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.signed_in()
    vault = rig.vault()
    broker = rig.broker(vault)
    changed, failed = vault.changed, asyncio.Event()

    async def breaks_once(profile: str) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        await changed(profile)

    monkeypatch.setattr(vault, "changed", breaks_once)
    await broker.start()
    await failed.wait()
    await sign_out(rig.vault(), rig.issuers[0])
    await until(broker, lambda: broker.credential.api_key is None)
    with pytest.raises(NoBearer):
        broker.bearer()


async def test_a_stopping_broker_begins_no_new_step(rig: Rig) -> None:
    await rig.signed_in()
    broker = rig.broker()
    await broker.take_up()
    async with rig.vault().claim("default", "refresh"):
        asking = asyncio.create_task(broker.refresh())
        while not broker._flying():  # noqa: ASYNC110 - it yields, no more
            await asyncio.sleep(0)
        stopping = asyncio.create_task(broker.stop())
        while not broker._stopping:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0)
    await stopping
    await asyncio.wait([asking])
    assert rig.count("refresh") == 0
    assert await rig.live()


async def test_a_cancelled_save_is_whole_or_not_begun(rig: Rig) -> None:
    old = await rig.signed_in()
    vault = rig.vault()
    async with vault.lock("default"):
        for turn in range(40):
            newer = replace(old, generation=old.generation + turn + 1)
            saving = asyncio.create_task(vault.save(newer))
            for _ in range(turn):
                await asyncio.sleep(0)
            saving.cancel()
            await asyncio.wait([saving])
            assert (await rig.stored()).api_key == old.api_key


async def test_a_refresh_outlasts_the_loop_that_asked_for_it(rig: Rig) -> None:
    await rig.signed_in()
    broker = rig.broker()

    async def asked_and_left() -> None:
        await broker.take_up()
        asyncio.create_task(broker.refresh())  # noqa: RUF006 - left alone on purpose
        while rig.count("refresh") == 0:  # noqa: ASYNC110 - the sandbox is in another loop
            await asyncio.sleep(0.001)

    await asyncio.to_thread(lambda: asyncio.run(asked_and_left()))
    assert await rig.live()
    assert (await rig.stored()).refreshes == 1


async def test_an_older_copy_of_the_vault_does_not_bring_a_spent_token_back(rig: Rig, tmp_path: Path) -> None:
    await rig.signed_in()
    broker = rig.broker()
    await broker.start()
    await asyncio.to_thread(shutil.copytree, rig.home, tmp_path / "backup")
    await broker.refresh()
    backup = await asyncio.to_thread((tmp_path / "backup" / "profiles" / "default.sealed").read_bytes)
    await asyncio.to_thread((rig.home / "profiles" / "default.sealed").write_bytes, backup)
    async with asyncio.timeout(10):
        while not await rig.live():
            await rig.vault().changed("default")


async def test_an_id_token_is_traded_once_by_whoever_sees_it_first(rig: Rig) -> None:
    await rig.signed_in(key_source=None)
    journals = [Journal(rig.vault()) for _ in range(2)]
    for journal in journals:
        await journal.read()
    brokers = [rig.broker() for _ in range(4)]
    for broker in brokers:
        await broker.take_up()
    await asyncio.gather(*(broker.renew_due() for broker in brokers))
    assert rig.count("key_exchange") == 1
