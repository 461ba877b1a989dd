"""Random sequences of what happens to a sign-in, against two processes and a real file vault.

Each rule is something that a person, a process, the disk, the issuer or the clock does; several do it at
once. After each, whatever the order, no live refresh token is lost, none is sent twice without a lost answer
in between, no number falls, and no process serves a key that is not the stored sign-in's.

A process here is a broker with a vault and issuers of its own. It crashes by being dropped; that nothing
survives of its memory is what matters. Killed processes are ``tests/loop``'s.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rig import STATIC, codex_auth
from sidekey_auth.broker import Broker
from sidekey_auth.claims import read_claims
from sidekey_auth.codex import CodexAuth
from sidekey_auth.codex_import import import_codex
from sidekey_auth.credential import Credential, bearer_of
from sidekey_auth.errors import CredentialUnsaved, SidekeyError
from sidekey_auth.issuer import Issuers
from sidekey_auth.journal import Journal
from sidekey_auth.merge import Unsaved, base_of, merge
from sidekey_auth.secret import Secret
from sidekey_auth.signed_in import signed_in
from sidekey_auth.signout import sign_out
from sidekey_auth.stored_credential import clear_static_key, set_static_key, switch_mode
from sidekey_proxy.sandbox import (
    ExchangeRefused,
    JwksUnavailable,
    RefreshLeavesOut,
    Sandbox,
    SandboxAccount,
    SandboxSettings,
    TokenAnswer,
    TokenDropped,
    TokenHang,
)
from soak.world import Books, FillingDisk, World, short_pauses

PROCESSES = st.integers(0, 1)
ROOM = st.sampled_from([None, None, 0, 1, 2])
ADA = SandboxAccount()
BOB = SandboxAccount(
    email="bob@example.com", user_id="user-sandbox-bob", account_id="5ad0b0c5-0000-4000-8000-0000000000bb"
)
HERE = lambda self: not self.away  # noqa: E731 - a precondition
steps = 0
"""How many rules have run in this Python process."""


class SignIn(RuleBasedStateMachine):
    """Two processes, a vault, an issuer, and what is known of the present sign-in.

    Attributes:
        session: the sign-in that must not be lost; None where there is none.
        excused: it may be lost, since an answer was, or the only memory of it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pauses = short_pauses()
        self.pauses.__enter__()
        self.loop = asyncio.new_event_loop()
        self.root = Path(tempfile.mkdtemp(prefix="sidekey-model-"))
        self.sandbox = Sandbox(SandboxSettings())
        self.run(self.sandbox.start())
        self.books = Books(self.sandbox)
        self.processes: list[Broker] = []
        self.away = False
        self.backup: Credential | None = None
        self.restored: set[str] = set()
        self.kept_nowhere: set[str] = set()
        self.signed_out: set[Secret] = set()
        self.imported: CodexAuth | None = None
        self.session: object | None = None
        self.excused = False
        self.highest = 0

    @initialize(file_seal=st.booleans())
    def begin(self, file_seal: bool) -> None:
        self.world = World(self.sandbox, self.root, file_seal=file_seal)
        self.world.settings = replace(self.world.settings, attempts=1, request_timeout=5.0)
        self.run(self.world.vault().create())
        self.run(self.logged_in(ADA))
        self.processes = [self.world.broker(self.world.vault()) for _ in range(2)]
        for process in self.processes:
            self.run(process.take_up())

    def run(self, work: Awaitable[Any]) -> Any:
        return self.loop.run_until_complete(asyncio.wait_for(work, 60))

    def attempt(self, *work: Awaitable[object]) -> None:
        """Do what may be refused for now, all of it at once."""

        async def all_of_it() -> list[object]:
            return await asyncio.gather(*work, return_exceptions=True)

        for result in self.run(all_of_it()):
            if isinstance(result, BaseException) and not isinstance(result, SidekeyError):
                raise result

    def teardown(self) -> None:
        try:
            self.run(self.sandbox.stop())
            for issuers in self.world.issuers if self.processes else []:
                self.run(issuers.close())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            self.loop.close()
        finally:
            shutil.rmtree(self.root, ignore_errors=True)
            self.pauses.__exit__(None, None, None)

    # --- processes ------------------------------------------------------------------------------------

    def act(self, number: int, deed: str) -> Awaitable[object]:
        process = self.processes[number]
        bearer = process._bearer
        if deed == "told 401" and bearer is not None:
            return process.refused(bearer)
        if deed == "told yes" and bearer is not None:
            return process._vindicate(bearer.value)
        deeds: dict[str, Callable[[], Awaitable[object]]] = {
            "refresh": process.refresh,
            "request": process.obtain,
            "due": process.renew_due,
            "save": process._journal.save_unsaved,
        }
        return deeds.get(deed, process.look)()

    DEEDS = st.sampled_from(["refresh", "refresh", "told 401", "told yes", "request", "due", "save", "look"])

    @rule(number=PROCESSES, deed=DEEDS)
    def a_process_acts(self, number: int, deed: str) -> None:
        self.attempt(self.act(number, deed))

    @rule(deeds=st.tuples(DEEDS, DEEDS))
    def both_processes_act(self, deeds: tuple[str, str]) -> None:
        self.attempt(*(self.act(number, deed) for number, deed in enumerate(deeds)))

    @rule(number=PROCESSES)
    def the_key_is_revoked(self, number: int) -> None:
        bearer = self.processes[number]._bearer
        if bearer is not None:
            self.sandbox.revoke_key(bearer.value)
            self.attempt(self.processes[number].refused(bearer))

    @rule(number=PROCESSES, deed=DEEDS, killed=st.booleans())
    def a_process_ends_and_another_starts(self, number: int, deed: str, killed: bool) -> None:
        ending = self.processes[number]
        told_lost = False
        if not killed:
            try:
                self.run(ending.stop())
            except CredentialUnsaved as error:
                told_lost = error.aside is None
        in_memory_only = killed or told_lost or ending._journal.unsaved is None
        self.processes[number] = self.world.broker(self.world.vault())
        if in_memory_only and self.held_by(ending) and not self.away and not self.is_alive():
            # Put aside it would be found: a record that could be written nowhere went with its process.
            assert ending._journal.aside is None, "what was put aside is not found"
            self.excused = True
        if self.away:
            self.excused = self.excused or ending._journal.aside is None
        self.attempt(self.processes[number].take_up())
        self.attempt(self.act(number, deed))

    def held_by(self, process: Broker) -> bool:
        return self.session is not None and self.books.alive(process.credential.refresh_token, self.session)

    @precondition(HERE)
    @rule(number=PROCESSES)
    def what_is_served_is_what_is_stored(self, number: int) -> None:
        process = self.processes[number]
        if not self.run(process._read_quietly()) or process._journal.unsaved is not None:
            return
        stored = self.run(self.world.stored())
        wanted, served = bearer_of(stored), process._bearer
        assert (served and served.value) == (wanted and wanted.value), "another key is served than is stored"
        assert served is None or served.value not in self.signed_out, "a signed-out key is served"

    # --- people ---------------------------------------------------------------------------------------

    async def logged_in(self, account: SandboxAccount, room: int | None = None) -> None:
        tokens = self.sandbox.sign_in(account)
        vault = self.world.vault()
        journal = Journal(vault)
        async with journal.locked():  # as a sign-in does, before anybody is sent to a page
            vault.room = room
        assert tokens.id_token is not None
        claims, now = read_claims(tokens.id_token), self.world.clock.wall()
        settings = self.world.settings
        await journal.change(
            lambda before: signed_in(
                before, tokens, claims, issuer=settings.issuer, client_id=settings.client_id, now=now
            )
        )
        try:
            await journal.settle()
        except CredentialUnsaved as error:
            if error.aside is None:
                return  # the person was told
        self.session, self.excused = self.books.session(tokens.refresh_token), False

    async def logged_out(self, room: int | None) -> None:
        vault = self.world.vault()
        vault.room = room
        before = await vault.load("default")
        done = await sign_out(vault, self.issuers(), clock=self.world.clock)
        if done.vault_problem is None:
            self.session = None
            self.signed_out |= {before.api_key} if before.api_key else set()
        elif done.revoked:
            self.excused = True

    async def import_a_file(self, again: bool, room: int | None) -> None:
        before = await self.world.stored()
        # What lies aside, perhaps a later sign-in, is taken up first: the file is older than that.
        again = again and not await self.world.vault().put_aside_before("default")
        if again and self.imported and before.signed_in and before.imported_token == self.imported.token_id:
            auth = self.imported
        else:
            auth = codex_auth(self.sandbox.sign_in(BOB))
        vault = self.world.vault()
        vault.room = room
        result = await import_codex(vault, self.issuers(), auth, clock=self.world.clock)
        self.imported = auth
        if not result.kept and auth.refresh_token != before.refresh_token:
            self.session, self.excused = self.books.session(auth.refresh_token), False

    async def import_a_key(self) -> None:
        auth = CodexAuth(api_key=self.books.key())
        await import_codex(self.world.vault(), self.issuers(), auth, clock=self.world.clock)
        self.session = None

    async def rotate(self) -> None:
        self.world.put_a_new_key_first()
        self.backup = None if self.world.seal_file else self.backup
        await self.world.vault().rotate()

    def issuers(self) -> Issuers:
        made = Issuers(self.world.settings)
        self.world.issuers.append(made)
        return made

    def decide(self, decision: str, room: int | None) -> Awaitable[object]:
        decisions: dict[str, Callable[[], Awaitable[object]]] = {
            "login": lambda: self.logged_in(ADA, room),
            "another's login": lambda: self.logged_in(BOB, room),
            "logout": lambda: self.logged_out(room),
            "import": lambda: self.import_a_file(False, room),
            "import again": lambda: self.import_a_file(True, room),
            "import a key": self.import_a_key,
            "key set": lambda: set_static_key(self.world.vault(), STATIC),
            "key clear": lambda: clear_static_key(self.world.vault()),
            "chatgpt": lambda: switch_mode(self.world.vault(), "chatgpt"),
            "api_key": lambda: switch_mode(self.world.vault(), "api_key"),
            "rotate": self.rotate,
        }
        return decisions[decision]()

    DECISIONS = st.sampled_from(
        [
            "login",
            "another's login",
            "logout",
            "import",
            "import again",
            "import a key",
            "key set",
            "key clear",
            "chatgpt",
            "chatgpt",
            "api_key",
            "rotate",
        ]
    )

    @precondition(HERE)
    @rule(decision=DECISIONS, room=ROOM)
    def a_person_decides(self, decision: str, room: int | None) -> None:
        self.attempt(self.decide(decision, room))

    @precondition(HERE)
    @rule(decision=DECISIONS, number=PROCESSES, deed=DEEDS)
    def a_person_decides_while_a_process_acts(self, decision: str, number: int, deed: str) -> None:
        self.attempt(self.act(number, deed), self.decide(decision, None))

    @precondition(HERE)
    @rule(grant=st.sampled_from(["refresh", "key_exchange"]), decision=DECISIONS, number=PROCESSES)
    def a_person_decides_while_the_issuer_thinks(self, grant: Any, decision: str, number: int) -> None:
        async def meanwhile() -> None:
            hang = TokenHang(grant=grant, consumed=True, answers=True)
            self.sandbox.faults.put(hang)
            acting = asyncio.ensure_future(self.act(number, "refresh"))
            hung = asyncio.ensure_future(self.hung(grant, self.world.count(grant)))
            await asyncio.wait((acting, hung), return_when=asyncio.FIRST_COMPLETED)
            deciding = asyncio.ensure_future(self.decide(decision, None))
            # An exchange holds no lock, only a claim, for which an import may wait.
            await asyncio.wait((deciding,), timeout=0.2 if grant == "key_exchange" else 0.01)
            self.sandbox.release()
            self.sandbox.faults.clear()
            results = await asyncio.gather(acting, deciding, return_exceptions=True)
            hung.cancel()
            for result in results:
                if isinstance(result, BaseException) and not isinstance(result, SidekeyError):
                    raise result

        self.run(meanwhile())

    async def hung(self, grant: Any, before: int) -> None:
        while not any(event.outcome == "hung" for event in self.sandbox.events.of(grant)[before:]):
            await self.sandbox.wait_for(grant, self.world.count(grant) + 1)

    @precondition(HERE)
    @rule(number=PROCESSES)
    def the_seal_is_rotated_with_a_record_aside(self, number: int) -> None:
        vault = self.processes[number]._journal.vault
        assert isinstance(vault, FillingDisk)
        vault.room, vault.full_aside = 1, False
        self.attempt(self.act(number, "refresh"))
        self.see_what_is_unsaved()
        self.attempt(self.rotate())
        self.a_process_ends_and_another_starts(number, "look", killed=True)

    # --- the machine ----------------------------------------------------------------------------------

    @rule(number=PROCESSES, room=ROOM, aside_too=st.booleans())
    def the_disk_fills_up_or_is_cleared(self, number: int, room: int | None, aside_too: bool) -> None:
        vault = self.processes[number]._journal.vault
        assert isinstance(vault, FillingDisk)
        vault.room, vault.full_aside = room, aside_too and room is not None

    @rule(away=st.booleans())
    def the_folder_goes_or_comes(self, away: bool) -> None:
        if away and not self.away:
            self.world.home.rename(self.root / "away")
        if self.away and not away:
            shutil.rmtree(self.world.home, ignore_errors=True)
            (self.root / "away").rename(self.world.home)
        self.away = away

    @precondition(HERE)
    @rule()
    def a_backup_is_made(self) -> None:
        shutil.rmtree(self.root / "backup", ignore_errors=True)
        shutil.copytree(self.world.home, self.root / "backup")
        self.backup = self.run(self.world.stored())

    @precondition(lambda self: not self.away and self.backup is not None)
    @rule()
    def the_backup_is_put_back(self) -> None:
        before = self.run(self.world.stored())
        shutil.rmtree(self.world.home)
        shutil.copytree(self.root / "backup", self.world.home)
        assert self.backup is not None
        self.highest = self.backup.generation
        self.signed_out.clear()
        token = self.backup.refresh_token
        # Whoever has not read what came after the backup cannot know which of these are spent.
        self.restored |= {*self.books.sends(), *([token.fingerprint()] if token else [])}
        if before.sign_in != self.backup.sign_in:
            self.session, self.excused = self.books.session(token), True
        elif not self.is_alive():
            self.excused = True  # nobody has read what came after the backup

    @rule(seconds=st.sampled_from([0, 70, 400, 3400, 4000, 90_000, -4000]))
    def the_clock_jumps(self, seconds: float) -> None:
        self.world.clock.offset = seconds
        self.world.clock.since_boot += abs(seconds)

    # --- the issuer -----------------------------------------------------------------------------------

    FAULTS = st.sampled_from(
        [
            TokenAnswer(status=503, grant="refresh"),
            TokenAnswer(status=503, grant="key_exchange"),
            TokenAnswer(status=429, grant="refresh", body="{}"),
            ExchangeRefused(),
            JwksUnavailable(),
            RefreshLeavesOut(),
            RefreshLeavesOut(fields=("id_token",)),
            TokenDropped(consumed=True),
            TokenDropped(consumed=False),
            TokenDropped(grant="key_exchange", consumed=True),
        ]
    )

    @rule(fault=FAULTS, number=PROCESSES, deed=DEEDS)
    def the_issuer_fails_once(self, fault: Any, number: int, deed: str) -> None:
        self.sandbox.faults.put(fault)
        self.attempt(self.act(number, deed))

    @rule()
    def the_issuer_is_well_again(self) -> None:
        self.sandbox.faults.clear()

    # --- what always holds ----------------------------------------------------------------------------

    def anywhere(self) -> list[Credential]:
        """Return every credential from which the present sign-in could go on."""
        stored = self.run(self.world.stored())
        records = list(self.run(self.world.vault().put_aside_before("default")))
        for process in self.processes:
            held = process._journal
            if held._known:
                records.append(held.unsaved or Unsaved(base_of(held.credential), held.credential))
        return [stored, *(merge(stored, record) for record in records)]

    def is_alive(self) -> bool:
        return any(self.books.alive(found.refresh_token, self.session) for found in self.anywhere())

    @invariant()
    def a_live_refresh_token_is_never_lost(self) -> None:
        global steps  # noqa: PLW0603 - the runner tells of it
        steps += 1
        if id(self.session) in self.books.spent_unheard():
            self.excused = True
        if self.processes and self.session is not None and not self.excused and not self.away:
            assert self.is_alive(), "the sign-in is lost"

    def see_what_is_unsaved(self) -> None:
        """Take note of answers with room neither in the vault nor aside: only one process knows of them."""
        for process in self.processes:
            held = process._journal
            if held.must_save and held.aside is None:
                self.kept_nowhere |= self.books.traded_in(self.books.session(held.credential.refresh_token))
            if held.unsaved is not None and held.credential.refresh_failure is not None:
                self.kept_nowhere.add(held.credential.refresh_failure.token)

    @invariant()
    def no_refresh_token_is_sent_twice_but_after_a_lost_answer(self) -> None:
        self.see_what_is_unsaved()
        for token, all_of_them in self.books.sends().items():
            events = self.books.unsettled(token, all_of_them)
            if not events or token in self.restored:
                continue  # with a backup, its note was put back to what it was, too
            lost = events[0].outcome == "dropped" or token in self.kept_nowhere
            assert len(events) < 2 or lost, f"sent twice, though answered: {events}"
            assert len(events) < 3, f"sent a third time: {events}"

    @invariant()
    def no_key_of_another_account_is_stored(self) -> None:
        if self.away or not self.processes:
            return
        stored = self.run(self.world.stored())
        account = self.books.account(stored.refresh_token)
        owner = self.books.owners().get(stored.api_key.fingerprint()) if stored.api_key else None
        assert owner is None or account is None or owner == account, "the key of another account is stored"

    @invariant()
    def numbers_never_fall(self) -> None:
        if self.away or not self.processes:
            return
        generation = self.run(self.world.stored()).generation
        assert generation >= self.highest, "the generation has fallen"
        self.highest = generation
