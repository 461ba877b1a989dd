"""What the model test plays with: a vault whose disk fills up, clocks that jump, and an issuer's books."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rig import FullDisk, OffsetClock, Rig
from sidekey_auth import journal, refresh
from sidekey_auth.claims import read_claims
from sidekey_auth.credential import Credential
from sidekey_auth.errors import VaultUnwritable
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_proxy.sandbox import Event, Sandbox


def answered(event: Event) -> bool:
    """Return whether the issuer did what was asked, and said so, perhaps after a while."""
    return event.status == 200 or event.outcome == "hung"


@contextmanager
def short_pauses() -> Iterator[None]:
    """Shorten what a full disk makes sidekey wait for, and put the real times back afterwards."""
    before = [(module, name, getattr(module, name)) for module in (journal, refresh) for name in _SHORT]
    try:
        for module, name, _ in before:
            setattr(module, name, _SHORT[name])
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


_SHORT = {"SAVING": 0.02, "_PAUSE": 0.01}


class JumpingClock(OffsetClock):
    """A wall clock that is set to any time, and a clock since the boot that only goes on."""

    since_boot = 0.0

    def boot(self) -> float:
        return time.monotonic() + self.since_boot


class FillingDisk(FullDisk):
    """A file vault on a disk with room for so many saves; None is room enough."""

    room: int | None = None

    async def save(self, credential: Credential) -> None:
        if self.room is not None:
            if self.room <= 0:
                raise VaultUnwritable("no space left on device")
            self.room -= 1
        await super().save(credential)


class World(Rig):
    """A rig whose vault is sealed by the environment, or by a file that sidekey keeps."""

    def __init__(self, sandbox: Sandbox, root: Path, *, file_seal: bool) -> None:
        super().__init__(sandbox, root)
        self.clock: JumpingClock = JumpingClock()
        self.keys = [self.key]
        self.seal_file = root / "seal" / "key" if file_seal else None

    def vault(self, *keys: Secret) -> FillingDisk:
        text = " ".join(key.reveal() for key in keys or self.keys)
        seal = (
            FileSeal(self.seal_file, create=True)
            if self.seal_file
            else EnvironmentSeal("SIDEKEY_SEAL_KEY", text)
        )
        return FillingDisk(self.home, seal, aside=self.state)

    def put_a_new_key_first(self) -> None:
        """Do what a person does before a rotation, where the seal is theirs to keep."""
        if self.seal_file is None:
            self.keys.insert(0, new_seal_key())


class Books:
    """What the issuer knows, read from the outside of sidekey.

    Args:
        sandbox: the issuer.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self.by_hand: set[str] = set()
        self.good_after: dict[str, int] = defaultdict(int)

    def session(self, token: Secret | None) -> object | None:
        """Return which sign-in a refresh token belongs to."""
        entry = self._sandbox._issued._refresh_tokens.get(token.reveal()) if token else None
        return entry.session if entry else None

    def account(self, token: Secret | None) -> str | None:
        """Return whose a refresh token is."""
        entry = self._sandbox._issued._refresh_tokens.get(token.reveal()) if token else None
        return entry.session.account.account_id if entry else None

    def alive(self, token: Secret | None, session: object) -> bool:
        """Return whether a refresh token is good, and of this sign-in."""
        return token is not None and self._sandbox.knows(token) and self.session(token) is session

    def unsettled(self, token: str, events: list[Event]) -> list[Event]:
        """Return the refreshes with a token since it last stayed good.

        An answer that holds no other refresh token leaves the one that was sent good (RFC 6749 section 6).

        Args:
            token: its fingerprint.
            events: all refreshes with it.
        """
        heard = [number for number, event in enumerate(events, 1) if answered(event)]
        if heard and heard[-1] == len(events) and self._is_good(token):
            self.good_after[token] = len(events)
        settled = max(self.good_after[token], heard[-2] if len(heard) > 1 else 0)
        return events[settled:]

    def _is_good(self, token: str) -> bool:
        secrets = self._sandbox.issued_secrets()
        return any(found.fingerprint() == token and self._sandbox.knows(found) for found in secrets)

    def key(self) -> Secret:
        """Return a key that comes from no exchange."""
        key = self._sandbox.issue_key()
        self.by_hand.add(key.fingerprint())
        return key

    def spent_unheard(self) -> set[int]:
        """Return the sign-ins (their ids) of which an answer with new tokens never arrived."""
        entries = self._sandbox._issued._refresh_tokens
        spent = {
            Secret(token).fingerprint(): entry for token, entry in entries.items() if entry.state == "spent"
        }
        return {id(entry.session) for token, entry in spent.items() if self._unheard(token)}

    def _unheard(self, token: str) -> bool:
        """Return whether what spent a token was answered to nobody; a refusal that follows tells no more."""
        told = [event for event in self.sends()[token] if event.error is None]
        return bool(told) and told[-1].outcome == "dropped"

    def sends(self) -> dict[str, list[Event]]:
        """Return, for each refresh token, the requests that the issuer looked at or dropped."""
        found: dict[str, list[Event]] = defaultdict(list)
        for event in self._sandbox.events.of("refresh"):
            if answered(event) or event.outcome == "dropped" or event.error is not None:
                found[event.field("refresh_token") or ""].append(event)
        return found

    def traded_in(self, session: object) -> set[str]:
        """Return the fingerprints of a sign-in's refresh tokens that were answered with new ones."""
        heard = {
            event.field("refresh_token") or ""
            for event in self._sandbox.events.of("refresh")
            if answered(event)
        }
        return {s.fingerprint() for s in self._sandbox.issued_secrets() if self.session(s) is session} & heard

    def owners(self) -> dict[str, str | None]:
        """Return whose each exchanged key is: the issuer makes them in the order of its events."""
        secrets = self._sandbox.issued_secrets()
        tokens = {secret.fingerprint(): secret for secret in secrets}
        keys = [
            secret.fingerprint()
            for secret in secrets
            if secret.reveal().startswith("sk-proj-") and secret.fingerprint() not in self.by_hand
        ]
        exchanges = [
            event
            for event in self._sandbox.events.of("key_exchange")
            if answered(event) or event.outcome == "dropped"
        ]
        return {
            key: read_claims(tokens[event.field("subject_token") or ""]).account_id
            for key, event in zip(keys, exchanges, strict=True)
        }
