"""Random sequences of what happens to a sign-in, against two processes and a real file vault.

Each rule is something that a person, a process, the disk, the issuer or the clock does. After each, whatever
the order, no live refresh token is lost, none is sent twice without a lost answer in between, and no process
serves a key that is not the stored one's.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rig import STATIC, FullDisk, Rig
from sidekey_auth import journal
from sidekey_auth.broker import Broker
from sidekey_auth.codex import CodexAuth
from sidekey_auth.codex_import import import_codex
from sidekey_auth.credential import Credential, bearer_of
from sidekey_auth.errors import SidekeyError
from sidekey_auth.issuer import Issuers
from sidekey_auth.merge import merge
from sidekey_auth.seal import new_seal_key
from sidekey_auth.signout import sign_out
from sidekey_auth.stored_credential import clear_static_key, set_static_key, switch_mode
from sidekey_proxy.sandbox import ExchangeRefused, Sandbox, SandboxSettings, TokenAnswer, TokenDropped

journal.SAVING = 0.05
journal._PAUSE = 0.01
PROCESSES = st.integers(0, 1)
steps = 0
"""How many rules have run in this process."""


class SignIn(RuleBasedStateMachine):
    """Two processes, a vault, an issuer."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.root = Path(tempfile.mkdtemp(prefix="sidekey-model-"))
        self.sandbox = Sandbox(SandboxSettings())
        self.run(self.sandbox.start())
        self.rig = Rig(self.sandbox, self.root)
        self.rig.settings = replace(self.rig.settings, attempts=1, request_timeout=5.0)
        self.processes: list[Broker] = []
        self.away = False
        self.answer_lost = False
        self.signed_in = False
        self.highest = 0
        self.doubts: Counter[str] = Counter()

    def run(self, work: Any) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def attempt(self, work: Any) -> None:
        """Do what may be refused for now."""
        with contextlib.suppress(SidekeyError):
            self.run(work)

    def teardown(self) -> None:
        self.sandbox.release()
        self.run(self.sandbox.stop())
        for issuers in self.rig.issuers:
            self.run(issuers.close())
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()
        shutil.rmtree(self.root, ignore_errors=True)

    # --- beginning ------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.run(self.rig.signed_in())
        self.signed_in = True
        self.processes = [self.rig.broker() for _ in range(2)]
        for process in self.processes:
            self.run(process.take_up())

    # --- processes ------------------------------------------------------------------------------------

    @rule(number=PROCESSES)
    def refresh_by_hand(self, number: int) -> None:
        self.attempt(self.processes[number].refresh())

    @rule(number=PROCESSES, revoked=st.booleans())
    def upstream_answers_401(self, number: int, revoked: bool) -> None:
        process = self.processes[number]
        bearer = process._bearer
        if bearer is None:
            return
        if revoked:
            self.sandbox.revoke_key(bearer.value)
        self.attempt(process.refused(bearer))

    @rule(number=PROCESSES)
    def request(self, number: int) -> None:
        self.attempt(self.processes[number].obtain())

    @rule(number=PROCESSES)
    def renewal_is_due(self, number: int) -> None:
        self.attempt(self.processes[number].renew_due())

    @rule(number=PROCESSES)
    def look_at_the_vault(self, number: int) -> None:
        self.attempt(self.processes[number].read_again())
        self.attempt(self.processes[number]._journal.save_unsaved())

    @rule(number=PROCESSES)
    def crash_and_start_anew(self, number: int) -> None:
        self.processes[number] = self.rig.broker()
        self.attempt(self.processes[number].take_up())

    @rule()
    def both_refresh_at_once(self) -> None:
        async def both() -> None:
            await asyncio.gather(*(p.refresh() for p in self.processes), return_exceptions=True)

        self.attempt(both())

    # --- people ---------------------------------------------------------------------------------------

    @precondition(lambda self: not self.away)
    @rule()
    def login(self) -> None:
        before = self.run(self.rig.stored())
        self.rig.clock.offset += 0.002
        self.run(self.rig.signed_in(static_key=before.static_key, **self.numbers(before)))
        self.signed_in, self.answer_lost = True, False

    def numbers(self, before: Credential) -> dict[str, Any]:
        number = max(before.generation + 1, int(self.rig.clock.wall() * 1000))
        return {
            "generation": number,
            "sign_in": number,
            "made_keys": before.made_keys,
            "keys_made": before.keys_made,
        }

    @precondition(lambda self: not self.away)
    @rule()
    def logout(self) -> None:
        self.run(sign_out(self.rig.vault(), self.issuers(), clock=self.rig.clock))
        self.signed_in = False

    @precondition(lambda self: not self.away)
    @rule()
    def import_a_key(self) -> None:
        auth = CodexAuth(api_key=self.sandbox.issue_key())
        self.run(import_codex(self.rig.vault(), self.issuers(), auth, clock=self.rig.clock))
        self.signed_in = False

    @precondition(lambda self: not self.away)
    @rule(there=st.booleans())
    def static_key(self, there: bool) -> None:
        vault = self.rig.vault()
        self.run(set_static_key(vault, STATIC) if there else clear_static_key(vault))

    @precondition(lambda self: not self.away)
    @rule(mode=st.sampled_from(["chatgpt", "api_key"]))
    def switch(self, mode: str) -> None:
        self.run(switch_mode(self.rig.vault(), mode))

    @precondition(lambda self: not self.away)
    @rule()
    def rotate_the_seal(self) -> None:
        fresh = new_seal_key()
        self.run(self.rig.vault(fresh, self.rig.key).rotate())
        self.rig.key = fresh

    # --- the machine ----------------------------------------------------------------------------------

    @rule(number=PROCESSES, full=st.booleans())
    def disk(self, number: int, full: bool) -> None:
        vault = self.processes[number]._journal.vault
        assert isinstance(vault, FullDisk)
        vault.full = full

    @rule(away=st.booleans())
    def folder(self, away: bool) -> None:
        if away and not self.away:
            self.rig.home.rename(self.root / "away")
        if self.away and not away:
            shutil.rmtree(self.rig.home, ignore_errors=True)
            (self.root / "away").rename(self.rig.home)
        self.away = away

    @rule(seconds=st.sampled_from([70, 400, 4000, 90_000]))
    def time_passes(self, seconds: float) -> None:
        self.rig.clock.offset += seconds

    # --- the issuer -----------------------------------------------------------------------------------

    @rule(grant=st.sampled_from(["refresh", "key_exchange"]))
    def issuer_is_down_once(self, grant: Any) -> None:
        self.sandbox.faults.put(TokenAnswer(status=503, grant=grant))

    @rule()
    def exchange_is_refused_once(self) -> None:
        self.sandbox.faults.put(ExchangeRefused())

    @rule(number=PROCESSES, consumed=st.booleans())
    def an_answer_is_lost(self, number: int, consumed: bool) -> None:
        before = self.rig.count("refresh")
        self.sandbox.faults.put(TokenDropped(consumed=consumed))
        self.attempt(self.processes[number].refresh())
        self.sandbox.faults.clear()
        if self.rig.count("refresh") > before:
            self.answer_lost = True

    def issuers(self) -> Issuers:
        made = Issuers(self.rig.settings)
        self.rig.issuers.append(made)
        return made

    # --- what always holds ----------------------------------------------------------------------------

    def anywhere(self) -> list[Credential]:
        """Return every credential from which the present sign-in could go on."""
        if self.away:
            return []
        vault = self.rig.vault()
        stored = self.run(vault.load("default"))
        found = [stored]
        found += [merge(stored, record) for record in self.run(vault.put_aside_before("default"))]
        held = [process._journal.unsaved for process in self.processes]
        return found + [merge(stored, record) for record in held if record is not None]

    @invariant()
    def a_live_refresh_token_is_never_lost(self) -> None:
        if not self.signed_in or self.answer_lost or self.away:
            return
        tokens = [found.refresh_token for found in self.anywhere()]
        assert any(token is not None and self.sandbox.knows(token) for token in tokens), "the sign-in is lost"

    @invariant()
    def no_refresh_token_is_sent_twice_but_after_a_lost_answer(self) -> None:
        spent: Counter[str] = Counter()
        for event in self.sandbox.events.of("refresh"):
            token = dict(event.fields).get("refresh_token", "")
            if event.status == 200 or event.outcome == "dropped" or event.error is not None:
                spent[token] += 1
        limit = (
            2
            if self.answer_lost or any(e.outcome == "dropped" for e in self.sandbox.events.of("refresh"))
            else 1
        )
        assert all(count <= limit for count in spent.values()), f"sent too often: {spent}"

    @invariant()
    def what_is_served_is_what_is_stored(self) -> None:
        if self.away or not self.processes:
            return
        stored = self.run(self.rig.stored())
        for process in self.processes:
            try:
                self.run(process.read_again())
            except SidekeyError:
                continue  # it cannot read: the seal was rotated away from it
            served = process._bearer
            if served is None or process._journal.unsaved is not None:
                continue
            wanted = bearer_of(stored)
            assert wanted is not None, "a key is served that is not stored"
            assert served.value == wanted.value, "another key is served than the stored one"

    @invariant()
    def numbers_never_fall(self) -> None:
        global steps  # noqa: PLW0603 - the runner tells of it
        steps += 1
        if self.away or not self.processes:
            return
        generation = self.run(self.rig.stored()).generation
        assert generation >= self.highest
        self.highest = generation
