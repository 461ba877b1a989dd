"""The machines on which sidekey is killed: a home for each seal, and what runs in each role."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from canary import Canary
from house import CLIENT_KEY, House
from sidekey_auth.credential import Credential
from sidekey_auth.seal import new_seal_key
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_auth.vaults.file import FileVault
from sidekey_proxy.place import READY_FILE
from sidekey_proxy.sandbox import Sandbox
from sidekey_proxy.sandbox.ready import Whereabouts, write_ready_file

LIBRARY = """
import asyncio
from sidekey_auth import open_credential

async def main():
    async with open_credential() as credential:
        await credential.fresh()

asyncio.run(main())
"""

LIBRARY_WITH_OWN_SEAL = """
import asyncio
from sidekey_proxy.place import find_place

async def main():
    place = find_place(sandbox=True)
    async with place.issuers() as issuers:
        broker = place.broker(issuers)
        await broker.take_up()
        await broker.renew_due()
        await broker.stop()

asyncio.run(main())
"""

SEALS = ("environment", "file", "own")
KEYRING = "keyring"
"""Asks for a D-Bus session; see ``kills``."""
ROLES = ("refresh", "serve", "library", "login", "first login", "import")
# `serve --sandbox` has a sandbox of its own, which nobody else can look into.
SCENES = tuple((role, seal) for role in ROLES for seal in SEALS if (role, seal) != ("serve", "own"))

# Its socket, and two trials in each of three folders.
SERVE_RENAMES = 7


@dataclass
class Home(House):
    """One person's machine with one of the seals."""

    seal: str = "environment"

    @property
    def home(self) -> Path:
        folder = super().home
        return folder / "sandbox" if self.seal == "own" else folder

    def vault(self) -> FileVault:
        if self.seal == "own":
            return FileVault(self.home, FileSeal(self.home / "seal", create=True), aside=self.home / "state")
        return super().vault()

    @property
    def flags(self) -> tuple[str, ...]:
        return ("--sandbox",) if self.seal == "own" else ()

    def sendings(self, token: Secret) -> int:
        """Return how often the issuer has seen a refresh token."""
        mark = token.fingerprint()
        return sum(event.field("refresh_token") == mark for event in self.sandbox.events.of("refresh"))


@dataclass(frozen=True, slots=True)
class Job:
    """What is run: a command, or a program."""

    arguments: tuple[str, ...] = ()
    program: str = ""
    skip: int = 0
    """Files that it renames before its note."""


def new_home(folder: Path, seal: str, sandbox: Sandbox, canary: Canary) -> Home:
    """Make a home in a folder that is not there yet."""
    folder.mkdir(mode=0o700)
    environment = {
        "SIDEKEY_HOME": str(folder / "sidekey"),
        "SIDEKEY_STATE_HOME": str(folder / "state"),
        "SIDEKEY_CLIENT_KEY": CLIENT_KEY,
        "SIDEKEY_CALLBACK_PORTS": "0",
        "SIDEKEY_ISSUER": sandbox.issuer,
        "SIDEKEY_UPSTREAM": sandbox.upstream,
        "SIDEKEY_ALLOW_UPSTREAM": sandbox.base_url,
    }
    home = Home(sandbox, canary, environment, seal=seal)
    if seal == "environment":
        environment["SIDEKEY_SEAL_KEY"] = new_seal_key().reveal()
    elif seal == "file":
        file = folder / "seal.key"
        file.write_text(new_seal_key().reveal())
        file.chmod(0o600)
        canary.allow_file(file)
        environment["SIDEKEY_SEAL_KEY_FILE"] = str(file)
    elif seal == "own":
        home.home.mkdir(mode=0o700, parents=True)
        home.home.parent.chmod(0o700)
        whereabouts = Whereabouts(sandbox.base_url, Secret("no control in this test"))
        write_ready_file(home.home / READY_FILE, whereabouts)
        for name in (READY_FILE, "seal"):
            canary.allow_file(home.home / name)
    return home


async def prepare(home: Home, role: str) -> tuple[Job, Credential]:
    """Return what is to be killed, and the sign-in whose refresh token it sends or replaces."""
    match role:
        case "refresh":
            return Job(("refresh",)), await home.signed_in()
        case "serve":
            listen = ("--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
            return Job(("serve", *listen), skip=SERVE_RENAMES), await home.signed_in(age=3500)
        case "library":
            program = LIBRARY_WITH_OWN_SEAL if home.seal == "own" else LIBRARY
            return Job(program=program), await home.signed_in(age=4000)
        case "login":
            return Job(("login", "--device")), await home.signed_in()
        case "first login":
            return Job(("login", "--device")), Credential()
    return _codex(home)


def _codex(home: Home) -> tuple[Job, Credential]:
    """Return the import of a file whose id_token has expired, so that a refresh follows at once."""
    signed_in = home.sandbox.sign_in()
    assert signed_in.refresh_token is not None
    assert signed_in.access_token is not None
    file = home.home.parent / "auth.json"
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    document = {
        "auth_mode": "chatgpt",
        "OPENAI_API_KEY": None,
        "tokens": {
            "id_token": home.sandbox.id_token(lifetime=-60.0).reveal(),
            "access_token": signed_in.access_token.reveal(),
            "refresh_token": signed_in.refresh_token.reveal(),
            "account_id": home.sandbox.account.account_id,
        },
        "last_refresh": "2026-01-01T00:00:00Z",
    }
    file.write_text(json.dumps(document))
    home.canary.allow_file(file)
    job = Job(("import", "codex", "--file", str(file), "--yes"))
    return job, Credential(refresh_token=signed_in.refresh_token)
