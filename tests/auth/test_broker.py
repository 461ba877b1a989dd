"""The broker against a real issuer (the sandbox) and a real vault; only the clock is ours."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest

from sidekey_auth.broker import REFUSED_PAUSE, Broker
from sidekey_auth.credential import Credential, next_generation, signed_out
from sidekey_auth.errors import (
    IssuerUnavailable,
    KeyringLocked,
    NoBearer,
    NoRefreshToken,
    SidekeyError,
    VaultUnwritable,
    WrongSeal,
)
from sidekey_auth.issuer import Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.renewal import ExchangePolicy
from sidekey_auth.secret import Secret
from sidekey_auth.sources.chatgpt import ChatGptSource
from sidekey_auth.sources.static import StaticSource
from sidekey_auth.timing import Timing
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.sandbox import (
    ExchangeForbidden,
    ExchangeRefused,
    JwksUnavailable,
    RefreshByStranger,
    RefreshLeavesOut,
    Sandbox,
    SandboxSettings,
    TokenAnswer,
    TokenDropped,
    TokenHang,
    TokenLifetime,
)

STATIC = Secret("sk-static-canary-0123456789")


@dataclass
class OffsetClock:
    """The machine's clocks, set forward or back by a test."""

    wall_offset: float = 0.0
    boot_offset: float = 0.0

    def wall(self) -> float:
        return time.time() + self.wall_offset

    def boot(self) -> float:
        return time.monotonic() + self.boot_offset

    def sleep_through(self, seconds: float) -> None:
        """Let time pass as on a machine that was asleep."""
        self.wall_offset += seconds
        self.boot_offset += seconds


class Rig:
    """A sandbox, a vault, and brokers on top of them."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.vault = MemoryVault()
        self.clock = OffsetClock()
        self.settings = IssuerSettings(issuer=sandbox.issuer, request_timeout=2.0, retry_wait=0.01)
        self.issuers: list[Issuers] = []
        self.brokers: list[Broker] = []

    def broker(self, policy: ExchangePolicy = "always", vault: MemoryVault | None = None) -> Broker:
        issuers = Issuers(self.settings)
        self.issuers.append(issuers)
        timing = Timing(self.clock, margin=300)
        source = ChatGptSource(issuers, self.settings.client_id, policy, timing, self.clock)
        sources = {"chatgpt": source, "api_key": StaticSource()}
        broker = Broker(vault or self.vault, sources, timing=timing, clock=self.clock)  # type: ignore[arg-type]
        self.brokers.append(broker)
        return broker

    async def started(self, policy: ExchangePolicy = "always") -> Broker:
        broker = self.broker(policy)
        await broker.start()
        return broker

    async def signed_in(self, *, age: float = 0.0, lifetime: float = 3600.0, **changes: object) -> Credential:
        """Store a credential as a sign-in leaves it, obtained ``age`` seconds ago."""
        tokens = self.sandbox.sign_in()
        id_token = self.sandbox.id_token(lifetime=lifetime - age, iat=int(time.time() - age))
        now = self.clock.wall()
        credential = Credential(
            mode="chatgpt",
            generation=next_generation(0, now),
            sign_in=next_generation(0, now),
            api_key=self.sandbox.issue_key(),
            id_token=id_token,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            last_refresh=datetime.fromtimestamp(now - age, UTC),
            received_at=now - age,
            key_source=id_token.fingerprint(),
        )
        credential = replace(credential, **changes)  # type: ignore[arg-type]
        await self.store(credential)
        return credential

    async def store(self, credential: Credential) -> None:
        async with self.vault.lock(credential.profile):
            await self.vault.save(credential)

    async def stored(self) -> Credential:
        return await self.vault.load("default")

    def count(self, kind: str) -> int:
        return self.sandbox.events.seen(kind)  # type: ignore[arg-type]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    async with Sandbox(SandboxSettings()) as sandbox:
        made = Rig(sandbox)
        yield made
        sandbox.release()
        for broker in made.brokers:
            await broker.stop()
        for issuers in made.issuers:
            await issuers.close()


# --- one refresh for everyone -------------------------------------------------------------------------------


async def test_a_refused_bearer_is_renewed_once_for_a_hundred_waiters(rig: Rig) -> None:
    old = await rig.signed_in()
    broker = await rig.started()
    bearer = broker.bearer()
    fresh = await asyncio.gather(*(broker.refused(bearer) for _ in range(100)))
    assert {b.value for b in fresh if b} == {broker.bearer().value}
    assert broker.bearer().generation == old.generation + 1
    assert (rig.count("refresh"), rig.count("key_exchange")) == (1, 1)


async def test_a_late_refusal_of_an_old_bearer_gets_the_new_one_without_asking_anybody(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    bearer = broker.bearer()
    fresh = await broker.refused(bearer)
    assert await broker.refused(bearer) == fresh
    assert rig.count("refresh") == 1


async def test_eight_brokers_on_one_vault_make_one_refresh(rig: Rig) -> None:
    await rig.signed_in()
    brokers = [await rig.started() for _ in range(8)]
    fresh = await asyncio.gather(*(b.refused(b.bearer()) for b in brokers))
    assert len({b.value for b in fresh if b}) == 1
    assert rig.count("refresh") == 1


async def test_eight_brokers_whose_refresh_is_due_make_one(rig: Rig) -> None:
    await rig.signed_in()
    brokers = [rig.broker() for _ in range(8)]
    for broker in brokers:
        await broker.take_up()
    rig.clock.sleep_through(3500)
    await asyncio.gather(*(broker.renew_due() for broker in brokers))
    assert (rig.count("refresh"), rig.count("key_exchange")) == (1, 1)


async def test_a_waiter_that_gives_up_does_not_end_the_refresh_for_the_rest(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    bearer = broker.bearer()
    rig.sandbox.faults.put(TokenHang(grant="key_exchange"))
    first, second = (asyncio.create_task(broker.refused(bearer)) for _ in range(2))
    await rig.sandbox.wait_for("refresh")
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    rig.sandbox.release()
    fresh = await second
    assert fresh is not None
    assert rig.count("refresh") == 1


# --- before it is due ---------------------------------------------------------------------------------------


async def test_a_credential_near_its_expiry_is_refreshed_in_the_background(rig: Rig) -> None:
    old = await rig.signed_in(age=3400)
    broker = await rig.started()
    assert broker.bearer().value == old.api_key, "requests go on with the present bearer"
    await rig.sandbox.wait_for("key_exchange")
    await until(broker, lambda: broker.bearer().generation == old.generation + 1)


async def test_a_laptop_that_slept_through_the_expiry_refreshes_on_waking(rig: Rig) -> None:
    old = await rig.signed_in()
    broker = await rig.started()
    rig.clock.sleep_through(8 * 3600)
    broker.bearer()
    await rig.sandbox.wait_for("key_exchange")
    await until(broker, lambda: broker.bearer().generation > old.generation)


async def test_an_imported_token_near_its_expiry_is_refreshed_soon_though_it_came_just_now(rig: Rig) -> None:
    broker = await rig.started()
    old = await rig.signed_in(age=3400, received_at=None, last_refresh=datetime.now(UTC))
    await until(broker, lambda: broker.credential.generation >= old.generation)
    broker.bearer()
    await rig.sandbox.wait_for("refresh")


@pytest.mark.parametrize("years", [-30, 30])
async def test_a_clock_that_is_set_wrong_starts_no_storm(rig: Rig, years: int) -> None:
    old = await rig.signed_in()
    broker = await rig.started()
    rig.clock.wall_offset += years * 365 * 86400
    for _ in range(3):
        await rig.store(replace(await rig.stored(), generation=(await rig.stored()).generation + 1))
        await broker.read_again()
        broker.bearer()
        await asyncio.sleep(0)
    assert broker.bearer().value == old.api_key
    assert rig.count("refresh") == 0


async def test_tokens_that_live_shorter_than_the_margin_are_not_refreshed_again_and_again(rig: Rig) -> None:
    old = await rig.signed_in(age=3400)
    rig.sandbox.faults.put(TokenLifetime(seconds=30, times=None))
    broker = await rig.started("when-refused")
    await until(broker, lambda: broker.credential.id_token != old.id_token)
    for seconds in (10, 10, 10, 10):
        rig.clock.sleep_through(seconds)
        broker.bearer()
        await broker.read_again()
    assert rig.count("refresh") == 1
    rig.clock.sleep_through(61)
    broker.bearer()
    await rig.sandbox.wait_for("refresh", 2)


async def test_a_walk_that_was_cut_short_before_the_exchange_is_taken_up_at_start(rig: Rig) -> None:
    await rig.signed_in(key_source=None)
    broker = await rig.started()
    await rig.sandbox.wait_for("key_exchange")
    await until(broker, lambda: broker.credential.key_source is not None)
    assert rig.count("refresh") == 0


async def test_with_exchange_when_refused_the_key_outlives_the_refresh(rig: Rig) -> None:
    old = await rig.signed_in(age=3400)
    broker = await rig.started("when-refused")
    await until(broker, lambda: broker.credential.id_token != old.id_token)
    assert broker.bearer().value == old.api_key
    assert rig.count("key_exchange") == 0
    fresh = await broker.refused(broker.bearer())
    assert fresh is not None
    assert (rig.count("refresh"), rig.count("key_exchange")) == (1, 1)


# --- when it fails ------------------------------------------------------------------------------------------


async def test_a_permanent_failure_is_remembered_and_nobody_is_asked_again(rig: Rig) -> None:
    old = await rig.signed_in()
    assert old.refresh_token
    rig.sandbox.revoke_refresh_token(old.refresh_token)
    broker = await rig.started()
    bearer = broker.bearer()
    for _ in range(5):
        assert await broker.refused(bearer) is None
    assert rig.count("refresh") == 1
    assert broker.standing().state == "reauth_required"
    stored = await rig.stored()
    assert stored.refresh_token == old.refresh_token, "nothing is deleted"
    again = await rig.started()
    with pytest.raises(NoBearer):
        await again.obtain()
    assert rig.count("refresh") == 1, "not after a restart either"


@pytest.mark.parametrize("status", [429, 500, 503, 400])
async def test_a_transient_failure_keeps_everything_and_backs_off(rig: Rig, status: int) -> None:
    old = await rig.signed_in()
    rig.sandbox.faults.put(TokenAnswer(status=status, times=None))
    broker = await rig.started()
    assert await broker.refused(broker.bearer()) is None
    with pytest.raises(NoBearer) as caught:
        await broker.obtain()
    assert caught.value.transient
    assert broker.standing().state == "degraded"
    assert str(status) in broker.standing().sentence
    stored = await rig.stored()
    assert (stored.api_key, stored.refresh_token) == (old.api_key, old.refresh_token)
    assert stored.note is None or stored.note.sends == 0, "an answer came: it costs no try"
    assert (stored.note is not None) == (status >= 500), "what stands before the issuer may have answered"
    assert rig.count("refresh") == 1


async def test_a_captive_portal_is_a_transient_failure(rig: Rig) -> None:
    await rig.signed_in()
    rig.sandbox.faults.put(TokenAnswer(status=401, body="<html>Log in to the wifi", content_type="text/html"))
    broker = await rig.started()
    await broker.refused(broker.bearer())
    assert broker.standing().state == "degraded"
    rig.clock.sleep_through(400)
    assert (await broker.obtain()).value != (await rig.stored()).static_key
    assert broker.standing().state == "ready"


async def test_the_static_key_stands_in_while_the_sign_in_cannot_give_a_bearer(rig: Rig) -> None:
    old = await rig.signed_in(static_key=STATIC)
    assert old.refresh_token
    rig.sandbox.revoke_refresh_token(old.refresh_token)
    broker = await rig.started()
    fallback = await broker.refused(broker.bearer())
    assert fallback is not None
    assert (fallback.value, fallback.origin) == (STATIC, "api_key")
    assert broker.standing().fallback


async def test_another_accounts_id_token_is_not_used_and_the_rotated_token_is_kept(rig: Rig) -> None:
    old = await rig.signed_in(age=3400)
    rig.sandbox.faults.put(RefreshByStranger())
    broker = await rig.started()
    await until(broker, lambda: broker.standing().code == "account_changed")
    stored = await rig.stored()
    assert stored.refresh_token != old.refresh_token
    assert stored.id_token == old.id_token
    assert stored.api_key == old.api_key
    assert broker.bearer().value == old.api_key
    assert rig.count("key_exchange") == 0


async def test_keys_for_the_signature_out_of_reach_are_a_transient_failure(rig: Rig) -> None:
    await rig.signed_in(age=3400)
    rig.sandbox.faults.put(JwksUnavailable(times=None))
    broker = await rig.started()
    await until(broker, lambda: broker.standing().state == "degraded")
    assert (await rig.stored()).unverified_id_token is not None, "saved before it is checked"
    rig.sandbox.faults.clear()
    rig.clock.sleep_through(400)
    broker.bearer()
    await broker.refresh()
    assert broker.standing().state == "ready"


async def test_a_refused_exchange_keeps_tokens_and_bearer(rig: Rig) -> None:
    old = await rig.signed_in(age=3400)
    rig.sandbox.faults.put(ExchangeRefused(times=None))
    broker = await rig.started()
    await until(broker, lambda: broker.credential.exchange_failure is not None)
    assert broker.bearer().value == old.api_key
    assert broker.standing().ready
    await broker.refused(broker.bearer())
    assert broker.standing().state == "no_platform_key"
    assert "https://platform.openai.com/" in broker.standing().remedy


async def test_each_key_of_a_renewal_is_named_and_remembered(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    for _ in range(2):
        await broker.refresh()
    names = [event.field("name") for event in rig.sandbox.events.of("key_exchange")]
    stored = await rig.stored()
    assert stored.api_key is not None
    assert [made.name for made in stored.made_keys] == names
    assert all(name and name.startswith("sidekey ") and " default " in name for name in names)
    assert (stored.keys_made, stored.made_keys[-1].last_four) == (2, stored.api_key.last_four())


async def test_a_policys_refusal_in_a_renewal_is_kept_and_tried_again_with_the_next_id_token(
    rig: Rig,
) -> None:
    await rig.signed_in(api_key=None, key_source=None)
    rig.sandbox.faults.put(ExchangeForbidden(policy="key_creation_disabled"))
    broker = await rig.started()
    await until(broker, lambda: broker.standing().state == "no_platform_key")
    standing = broker.standing()
    assert standing.code == "key_creation_disabled"
    assert "API key creation is disabled for this organization." in standing.sentence
    assert "administrator" in standing.remedy
    assert (await rig.stored()).refresh_token is not None
    assert (await broker.refresh()).state == "ready"
    assert broker.credential.exchange_failure is None


async def test_tokens_that_a_refresh_leaves_out_stay(rig: Rig) -> None:
    old = await rig.signed_in()
    rig.sandbox.faults.put(RefreshLeavesOut(fields=("access_token", "id_token")))
    broker = await rig.started()
    fresh = await broker.refused(broker.bearer())
    stored = await rig.stored()
    assert stored.id_token == old.id_token
    assert stored.access_token == old.access_token
    assert stored.refresh_token != old.refresh_token
    assert fresh is not None, "the old id_token is still good for a key"


async def test_a_fresh_bearer_that_is_refused_too_does_not_cause_one_refresh_after_another(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    for _ in range(5):
        await broker.refused(broker.bearer())
    assert rig.count("refresh") == 1


async def test_a_401_that_no_key_cures_among_good_requests_costs_one_refresh(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    for _ in range(10):
        fresh = await broker.refused(broker.bearer())
        broker.accepted(broker.bearer())
        if fresh is not None:
            broker.in_vain(fresh)
    assert rig.count("refresh") == 1


async def test_another_kind_of_401_is_still_believed_after_one_that_no_key_cured(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    for kind in ("missing_a_thing", "missing_a_thing", "token_expired", "token_expired"):
        fresh = await broker.refused(broker.bearer(), kind)
        broker.accepted(broker.bearer())
        if fresh is not None:
            broker.in_vain(fresh, kind)
    assert rig.count("refresh") == 2


async def test_kinds_of_401_that_take_turns_do_not_cause_one_refresh_after_another(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    for turn in range(10):
        await broker.refused(broker.bearer(), ("token_expired", "")[turn % 2])
    assert rig.count("refresh") == 2


# --- a renewal that is waited for --------------------------------------------------------------------------


async def test_a_renewal_that_is_due_can_be_waited_for(rig: Rig) -> None:
    old = await rig.signed_in()
    broker = await rig.started()
    rig.clock.sleep_through(3500)
    await asyncio.gather(*(broker.renew_due() for _ in range(10)))
    assert broker.bearer().generation > old.generation
    assert rig.count("refresh") == 1


async def test_where_none_is_due_nobody_is_asked(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    await broker.renew_due()
    assert rig.count("refresh") == 0


async def test_a_due_renewal_that_fails_for_now_leaves_the_present_bearer_and_is_not_repeated_at_once(
    rig: Rig,
) -> None:
    old = await rig.signed_in()
    rig.sandbox.faults.put(TokenAnswer(status=503, times=None))
    broker = await rig.started()
    rig.clock.sleep_through(3500)
    for _ in range(5):
        await broker.renew_due()
    assert broker.bearer().value == old.api_key
    assert rig.count("refresh") == 1


async def test_a_due_renewal_that_hangs_is_not_waited_for_without_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = await rig.signed_in()
    rig.sandbox.faults.put(TokenHang())
    broker = await rig.started()
    rig.clock.sleep_through(3500)
    monkeypatch.setattr("sidekey_auth.broker.DUE_PATIENCE", 0.05)
    await broker.renew_due()
    assert broker.bearer().value == old.api_key
    assert broker.standing().state == "refreshing", "it goes on for later requests"
    monkeypatch.undo()
    rig.sandbox.release()


async def test_a_refresh_that_brings_no_bearer_is_not_repeated_at_once(rig: Rig) -> None:
    await rig.signed_in()
    rig.sandbox.faults.put(TokenLifetime(seconds=-100_000, times=None))
    broker = await rig.started()
    await broker.refused(broker.bearer())
    for _ in range(10):
        with pytest.raises(NoBearer):
            await broker.obtain()
    assert rig.count("refresh") == 1


async def test_a_sign_in_that_has_ended_tells_clients_not_to_come_again(rig: Rig) -> None:
    old = await rig.signed_in()
    assert old.refresh_token
    rig.sandbox.revoke_refresh_token(old.refresh_token)
    broker = await rig.started()
    await broker.refused(broker.bearer())
    with pytest.raises(NoBearer) as caught:
        broker.bearer()
    assert not caught.value.transient


async def test_by_hand_a_leftover_id_token_does_not_stand_in_for_the_new_one(rig: Rig) -> None:
    leftover = rig.sandbox.id_token()
    await rig.signed_in(unverified_id_token=leftover)
    broker = rig.broker()
    await broker.refresh()
    assert broker.credential.unverified_id_token is None
    assert broker.credential.id_token != leftover
    assert broker.credential.id_token is not None
    assert broker.credential.key_source == broker.credential.id_token.fingerprint()
    assert rig.count("key_exchange") == 1


# --- the lost answer ----------------------------------------------------------------------------------------


async def test_a_lost_answer_is_asked_for_once_more_then_no_further(rig: Rig) -> None:
    old = await rig.signed_in()
    rig.sandbox.faults.put(TokenDropped(times=2))
    broker = await rig.started()
    await broker.refused(broker.bearer())
    stored = await rig.stored()
    assert stored.note is not None
    assert stored.note.sends == 1
    rig.clock.sleep_through(400)
    assert (await broker.obtain()).value == old.api_key, "nothing replaces it, so it is tried again"
    assert broker.standing().code == "refresh_answer_lost"
    assert broker.standing().state == "reauth_required"
    rig.clock.sleep_through(4000)
    await broker.obtain()
    assert rig.count("refresh") == 2
    assert (await rig.stored()).refresh_token == old.refresh_token


async def test_a_lost_answer_whose_token_was_not_spent_heals(rig: Rig) -> None:
    await rig.signed_in()
    rig.sandbox.faults.put(TokenDropped(consumed=False))
    broker = await rig.started()
    assert await broker.refused(broker.bearer()) is None
    rig.clock.sleep_through(400)
    assert await broker.obtain()
    assert (await rig.stored()).note is None


async def test_an_issuer_out_of_reach_may_be_asked_as_often_as_one_likes(rig: Rig) -> None:
    await rig.signed_in()
    rig.settings = replace(rig.settings, issuer="http://127.0.0.1:1")
    broker = await rig.started()
    await broker.refused(broker.bearer())
    for _ in range(4):
        rig.clock.sleep_through(400)
        await broker.obtain()
    assert (await rig.stored()).note is None
    assert broker.standing().state == "degraded"


# --- without a refresh token --------------------------------------------------------------------------------


async def test_without_a_refresh_token_a_valid_id_token_is_traded_once(rig: Rig) -> None:
    await rig.signed_in(refresh_token=None)
    broker = await rig.started()
    fresh = await broker.refused(broker.bearer())
    assert fresh is not None
    broker.accepted(fresh)
    assert await broker.refused(fresh) is None
    assert rig.count("key_exchange") == 1
    assert broker.standing().state == "reauth_required"


async def test_by_hand_nothing_to_renew_with_is_said(rig: Rig) -> None:
    await rig.signed_in(refresh_token=None, age=4000)
    broker = rig.broker()
    with pytest.raises(NoRefreshToken, match="No refresh token available: run `sidekey login`"):
        await broker.refresh()


# --- by hand, and from elsewhere ----------------------------------------------------------------------------


async def test_by_hand_a_refresh_and_an_exchange_happen_now_whatever_the_policy(rig: Rig) -> None:
    old = await rig.signed_in()
    broker = rig.broker("when-refused")
    standing = await broker.refresh()
    assert standing.state == "ready"
    assert standing.bearer is not None
    assert standing.bearer.generation == old.generation + 1
    assert (rig.count("refresh"), rig.count("key_exchange")) == (1, 1)


async def test_by_hand_a_transient_failure_is_raised(rig: Rig) -> None:
    await rig.signed_in()
    rig.sandbox.faults.put(TokenAnswer(status=503))
    with pytest.raises(IssuerUnavailable):
        await rig.broker().refresh()


async def test_a_sign_in_elsewhere_is_seen_without_a_restart(rig: Rig) -> None:
    broker = await rig.started()
    with pytest.raises(NoBearer):
        broker.bearer()
    signed_in = await rig.signed_in()
    await until(broker, lambda: broker.standing().ready)
    assert broker.bearer().value == signed_in.api_key


async def test_in_mode_api_key_a_401_only_makes_the_vault_be_read_again(rig: Rig) -> None:
    await rig.store(Credential(static_key=STATIC, generation=1))
    broker = rig.broker()
    await broker.read_again()
    bearer = broker.bearer()
    assert await broker.refused(bearer) is None
    newer = Secret("sk-newer-canary-0123456789")
    await rig.store(Credential(static_key=newer, generation=2))
    fresh = await broker.refused(bearer)
    assert fresh is not None
    assert fresh.value == newer
    assert rig.count("refresh") == 0


# --- a vault that cannot be written -------------------------------------------------------------------------


class FullDisk(MemoryVault):
    """A vault whose disk is full after so many saves."""

    saves_left = 1
    problem: SidekeyError = VaultUnwritable("no space left on device")

    async def save(self, credential: Credential) -> None:
        if self.saves_left <= 0:
            raise self.problem
        self.saves_left -= 1
        await super().save(credential)


async def test_nothing_is_sent_that_could_not_be_written_down_first(rig: Rig) -> None:
    rig.vault = FullDisk()
    await rig.signed_in()
    broker = await rig.started()
    await broker.refused(broker.bearer())
    assert rig.count("refresh") == 0
    assert broker.standing().state == "degraded"


@pytest.mark.parametrize("problem", [VaultUnwritable("full"), WrongSeal("rotated"), KeyringLocked("locked")])
async def test_rotated_tokens_that_cannot_be_saved_are_served_and_saved_later(
    rig: Rig, problem: SidekeyError
) -> None:
    vault = rig.vault = FullDisk()
    vault.problem = problem
    old = await rig.signed_in()
    vault.saves_left = 2  # the refusal, and the note
    broker = await rig.started()
    fresh = await broker.refused(broker.bearer())
    assert fresh is not None
    assert fresh.value != old.api_key
    assert broker.standing().code == "unsaved"
    assert (await rig.stored()).refresh_token == old.refresh_token
    vault.saves_left = 100
    await until(broker, lambda: broker.standing().code == "ready")
    assert (await rig.stored()).api_key == fresh.value


async def test_a_stopping_broker_saves_what_is_unsaved(rig: Rig) -> None:
    vault = rig.vault = FullDisk()
    await rig.signed_in()
    vault.saves_left = 2
    broker = await rig.started()
    fresh = await broker.refused(broker.bearer())
    vault.saves_left = 100
    await broker.stop()
    assert fresh is not None
    assert (await rig.stored()).api_key == fresh.value


async def until(broker: Broker, holds: Callable[[], bool]) -> None:
    """Return when a condition holds that the broker's own tasks bring about."""
    async with asyncio.timeout(10):
        while not holds():
            await broker.change()


class SlowDisk(MemoryVault):
    """A vault of which one reading arrives late."""

    def __init__(self) -> None:
        super().__init__()
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()
        self.slow = False

    async def load(self, profile: str) -> Credential:
        loaded = await super().load(profile)
        if self.slow:
            self.slow = False
            self.begun.set()
            await self.go_on.wait()
        return loaded


async def test_a_reading_that_arrives_late_does_not_undo_what_was_written_meanwhile(rig: Rig) -> None:
    vault = rig.vault = SlowDisk()
    await rig.signed_in()
    broker = rig.broker()
    await broker.read_again()
    vault.slow = True
    late = asyncio.create_task(broker.read_again())
    await vault.begun.wait()
    newer = replace(broker.credential, generation=broker.credential.generation + 1)
    await broker._journal.change(lambda _: newer)
    vault.go_on.set()
    await late
    assert broker.credential == newer


# --- a refused key, a bridge, a thread that cannot be had ------------------------------------------------


@pytest.mark.parametrize("policy", ["always", "when-refused"])
async def test_the_fallback_is_left_as_soon_as_the_sign_in_gives_a_key_again(
    rig: Rig, policy: ExchangePolicy
) -> None:
    await rig.signed_in(static_key=STATIC)
    broker = await rig.started(policy)
    rig.sandbox.faults.put(TokenAnswer(status=429))
    fallback = await broker.refused(broker.bearer())
    assert fallback is not None
    assert fallback.origin == "api_key"
    rig.clock.sleep_through(400)
    await broker.renew_due()
    assert broker.bearer().origin == "chatgpt"
    assert rig.count("key_exchange") == 1


async def test_a_refused_key_that_nothing_replaces_is_tried_again_after_a_pause(rig: Rig) -> None:
    old = await rig.signed_in()
    assert old.refresh_token
    rig.sandbox.revoke_refresh_token(old.refresh_token)
    broker = await rig.started()
    bearer = broker.bearer()
    assert await broker.refused(bearer) is None
    with pytest.raises(NoBearer):
        await broker.obtain()
    rig.clock.sleep_through(REFUSED_PAUSE + 1)
    tried = await broker.obtain()
    assert tried.value == old.api_key
    broker.accepted(tried)
    await until(broker, lambda: not broker.credential.key_refused)
    assert broker.bearer().value == old.api_key


async def test_a_sign_out_is_seen_though_a_thread_could_not_be_had_once(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rig.signed_in()
    broker = rig.broker()
    failed = asyncio.Event()
    changed = rig.vault.changed

    async def no_thread(profile: str) -> None:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        await changed(profile)

    monkeypatch.setattr(rig.vault, "changed", no_thread)
    await broker.start()
    await failed.wait()
    await rig.store(signed_out(await rig.stored(), rig.clock.wall()))
    await until(broker, lambda: broker.credential.api_key is None)
    with pytest.raises(NoBearer):
        broker.bearer()


async def test_a_stopping_broker_begins_no_new_step(rig: Rig) -> None:
    await rig.signed_in()
    broker = await rig.started()
    bearer = broker.bearer()
    await broker.stop()
    assert await broker.refused(bearer) is None
    assert rig.count("refresh") == 0
