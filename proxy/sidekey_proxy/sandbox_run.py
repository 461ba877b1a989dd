"""``--sandbox``: the sandbox beside a serving proxy, and the sign-in that it makes by itself."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import structlog

from sidekey_auth.clock import SystemClock
from sidekey_auth.credential import Credential, next_generation

from .configuration.folders import home
from .place import READY_FILE, Place
from .sandbox import Sandbox, SandboxSettings
from .sandbox.ready import Whereabouts, write_ready_file

log = structlog.get_logger("sidekey.sandbox")

SANDBOX_PORT: Final = 8486


@dataclass(frozen=True, slots=True)
class StartedSandbox:
    """A sandbox that this process has started.

    Attributes:
        sandbox: itself.
        whereabouts: what other processes are told.
    """

    sandbox: Sandbox
    whereabouts: Whereabouts


@asynccontextmanager
async def running_sandbox(port: int) -> AsyncIterator[StartedSandbox]:
    """Run a sandbox until the block ends, findable for every command with ``--sandbox``.

    Args:
        port: 0 takes a free one.

    Raises:
        ConfigurationError: the port is taken.
    """
    folder = home(os.environ, sandbox=True)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    ready = folder / READY_FILE
    async with Sandbox(SandboxSettings(port=port)) as sandbox:
        whereabouts = Whereabouts(sandbox.base_url, sandbox.control_token)
        write_ready_file(ready, whereabouts)
        try:
            yield StartedSandbox(sandbox, whereabouts)
        finally:
            ready.unlink(missing_ok=True)


async def sign_in_if_nobody_is(place: Place, started: StartedSandbox) -> None:
    """Sign the sandbox's person in, unless the profile is signed in to this very sandbox already.

    A sandbox forgets everything when it ends, so what an earlier one issued counts as nobody.
    """
    sandbox = started.sandbox
    await place.vault.create()
    async with place.vault.lock(place.profile):
        old = await place.vault.load(place.profile)
        if old.refresh_token is not None and sandbox.knows(old.refresh_token):
            return
        await place.vault.save(_signed_in(old, sandbox))
    log.info("signed in to the sandbox", account=sandbox.account.email)


def _signed_in(old: Credential, sandbox: Sandbox) -> Credential:
    tokens = sandbox.sign_in()
    now = SystemClock().wall()
    assert tokens.id_token is not None  # noqa: S101 - a sign-in gives one
    generation = next_generation(old.generation, now)
    return replace(
        Credential(
            profile=old.profile,
            static_key=old.static_key,
            keys_made=old.keys_made,
            made_keys=old.made_keys,
        ),
        mode="chatgpt",
        generation=generation,
        sign_in=generation,
        api_key=sandbox.issue_key(),
        id_token=tokens.id_token,
        access_token=tokens.access_token,
        refresh_token=tokens.refresh_token,
        last_refresh=datetime.fromtimestamp(now, UTC),
        received_at=now,
        key_source=tokens.id_token.fingerprint(),
    )
