"""One person's file vault and state folder, the sandbox as issuer, and brokers in the role of processes."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from sidekey_auth.broker import Broker
from sidekey_auth.claims import read_claims
from sidekey_auth.codex import CodexAuth
from sidekey_auth.credential import Credential, TokenSet, next_generation
from sidekey_auth.errors import VaultUnwritable
from sidekey_auth.issuer import Issuers
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.merge import Unsaved
from sidekey_auth.renewal import ExchangePolicy
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.environment import EnvironmentSeal
from sidekey_auth.secret import Secret
from sidekey_auth.sources.chatgpt import ChatGptSource
from sidekey_auth.sources.static import StaticSource
from sidekey_auth.timing import Timing
from sidekey_auth.vaults.file import FileVault
from sidekey_proxy.sandbox import Sandbox

STATIC = Secret("sk-static-canary-0123456789")


def codex_auth(tokens: TokenSet) -> CodexAuth:
    """Return what is read from an auth.json with these tokens."""
    assert tokens.id_token is not None
    assert tokens.refresh_token is not None
    return CodexAuth(
        id_token=tokens.id_token,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        claims=read_claims(tokens.id_token),
        token_id=tokens.refresh_token.fingerprint(),
    )


class OffsetClock:
    """The machine's clocks, set forward by a test."""

    offset = 0.0

    def wall(self) -> float:
        return time.time() + self.offset

    def boot(self) -> float:
        return time.monotonic() + self.offset


class FullDisk(FileVault):
    """A file vault whose disk is full while ``full`` holds."""

    full = False
    full_aside = False

    async def save(self, credential: Credential) -> None:
        if self.full:
            raise VaultUnwritable("no space left on device")
        await super().save(credential)

    async def put_aside(self, unsaved: Unsaved) -> str:
        if self.full_aside:
            raise VaultUnwritable("no space left on device")
        return await super().put_aside(unsaved)


class Rig:
    """One person's vault, the issuer, and processes on top of them."""

    def __init__(self, sandbox: Sandbox, root: Path) -> None:
        self.sandbox = sandbox
        self.home, self.state = root / "vault", root / "state"
        self.key = new_seal_key()
        self.clock = OffsetClock()
        self.settings = IssuerSettings(issuer=sandbox.issuer, request_timeout=3.0, retry_wait=0.01)
        self.brokers: list[Broker] = []
        self.issuers: list[Issuers] = []

    def vault(self, *keys: Secret) -> FullDisk:
        text = " ".join(key.reveal() for key in keys or (self.key,))
        return FullDisk(self.home, EnvironmentSeal("SIDEKEY_SEAL_KEY", text), aside=self.state)

    def broker(self, vault: FileVault | None = None, policy: ExchangePolicy = "always") -> Broker:
        issuers = Issuers(self.settings)
        self.issuers.append(issuers)
        timing = Timing(self.clock, margin=300)
        source = ChatGptSource(issuers, self.settings.client_id, policy, timing, self.clock)
        sources = {"chatgpt": source, "api_key": StaticSource()}
        made = Broker(vault or self.vault(), sources, timing=timing, clock=self.clock)  # type: ignore[arg-type]
        self.brokers.append(made)
        return made

    async def signed_in(self, **changes: object) -> Credential:
        tokens = self.sandbox.sign_in()
        assert tokens.id_token is not None
        generation = next_generation(0, time.time())
        credential = Credential(
            mode="chatgpt",
            generation=generation,
            sign_in=generation,
            api_key=self.sandbox.issue_key(),
            id_token=tokens.id_token,
            access_token=tokens.access_token,
            refresh_token=tokens.refresh_token,
            last_refresh=datetime.now(UTC),
            received_at=time.time(),
            key_source=tokens.id_token.fingerprint(),
        )
        credential = replace(credential, **changes)  # type: ignore[arg-type]
        vault = self.vault()
        await vault.create()
        async with vault.lock("default"):
            await vault.save(credential)
        return credential

    async def stored(self, *keys: Secret) -> Credential:
        return await self.vault(*keys).load("default")

    async def live(self, *keys: Secret) -> bool:
        token = (await self.stored(*keys)).refresh_token
        return token is not None and self.sandbox.knows(token)

    def count(self, kind: str) -> int:
        return self.sandbox.events.seen(kind)  # type: ignore[arg-type]

    def aside(self) -> list[Path]:
        return sorted(self.state.glob("*")) if self.state.exists() else []
