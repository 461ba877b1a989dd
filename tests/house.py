"""The whole product on real sockets: a sandbox, a sealed vault, and sidekey processes on top of them."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from canary import Canary
from processes import Finished, Server, serving, sidekey
from sidekey_auth.credential import Credential, next_generation
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals import seal_source
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault
from sidekey_proxy.sandbox import Sandbox, SandboxSettings

CLIENT_KEY = "sk-side-canary-0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass
class House:
    """One person's machine: SIDEKEY_HOME, a seal, a client key, and the sandbox in OpenAI's place."""

    sandbox: Sandbox
    canary: Canary
    environment: dict[str, str]
    client_key: str = CLIENT_KEY

    @property
    def home(self) -> Path:
        return Path(self.environment["SIDEKEY_HOME"])

    def vault(self) -> FileVault:
        return FileVault(self.home, seal_source(self.environment))

    async def signed_in(self, *, age: float = 0.0, lifetime: float = 3600.0, **changes: object) -> Credential:
        """Store a credential as a sign-in leaves it, obtained ``age`` seconds ago."""
        tokens = self.sandbox.sign_in()
        now = time.time()
        id_token = self.sandbox.id_token(lifetime=lifetime - age, iat=int(now - age))
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
        vault = self.vault()
        await vault.create()
        async with vault.lock(credential.profile):
            await vault.save(credential)
        await vault.close()

    async def stored(self, profile: str = "default") -> Credential:
        vault = self.vault()
        try:
            return await vault.load(profile)
        finally:
            await vault.close()

    def serving(self, *arguments: str, **environment: str) -> AbstractAsyncContextManager[Server]:
        return serving(*arguments, canary=self.canary, environment={**self.environment, **environment})

    async def run(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Finished:
        return await sidekey(
            *arguments, canary=self.canary, environment={**self.environment, **environment}, stdin=stdin
        )

    def count(self, kind: str) -> int:
        return self.sandbox.events.seen(kind)  # type: ignore[arg-type]


@asynccontextmanager
async def furnished(canary: Canary, **settings: Any) -> AsyncIterator[House]:
    """Build a house around a sandbox that approves every sign-in; it is torn down when the block ends.

    Args:
        canary: of the test.
        **settings: of the sandbox, where they are to be others.
    """
    chosen = SandboxSettings(**{"auto_approve": True, "any_redirect_port": True, **settings})
    async with Sandbox(chosen) as sandbox:
        Secret(CLIENT_KEY)
        environment = {
            "SIDEKEY_HOME": os.environ["SIDEKEY_HOME"],
            "SIDEKEY_SEAL_KEY": new_seal_key().reveal(),
            "SIDEKEY_CLIENT_KEY": CLIENT_KEY,
            "SIDEKEY_ISSUER": sandbox.issuer,
            "SIDEKEY_UPSTREAM": sandbox.upstream,
            "SIDEKEY_ALLOW_UPSTREAM": sandbox.base_url,
        }
        yield House(sandbox, canary, environment)
