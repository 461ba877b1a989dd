"""``sidekey seal new``, ``sidekey seal rotate`` and ``sidekey vault reset``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sidekey_auth.errors import Cancelled
from sidekey_auth.seal import new_seal_key
from sidekey_proxy.place import find_place

from .options import Config, Profile, Sandbox
from .output import Report
from .terminal import Terminal
from .verb import run

seal_app = typer.Typer(
    help="Make or replace the key that encrypts the vault.", no_args_is_help=True, rich_markup_mode=None
)
vault_app = typer.Typer(help="Look after the vault itself.", no_args_is_help=True, rich_markup_mode=None)


@seal_app.command("new")
def new_seal(
    profile: Profile = None,  # noqa: ARG001 - as every command; a fresh key is nobody's yet
    sandbox: Sandbox = False,  # noqa: ARG001 - the same
) -> None:
    """Print a fresh key, and store nothing.

    It is for SIDEKEY_SEAL_KEY, or for the file that SIDEKEY_SEAL_KEY_FILE names.

    Examples:

        (umask 077; sidekey seal new > seal.key)
    """
    sys.stdout.write(new_seal_key().reveal() + "\n")


@seal_app.command("rotate")
def rotate_seal(profile: Profile = None, sandbox: Sandbox = False, config: Config = None) -> None:
    """Seal everything anew with a new key; the old one falls.

    All profiles have the same seal. With the OS keyring sidekey makes the new key. With SIDEKEY_SEAL_KEY or
    SIDEKEY_SEAL_KEY_FILE, put a new key before the old one first, run this, and remove the old one. An
    interrupted run is finished by the next.

    Examples:

        sidekey seal rotate
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        rotation = await place.vault.rotate()
        count = f"{rotation.documents} document" + ("" if rotation.documents == 1 else "s")
        notes = (rotation.next_step,) if rotation.next_step else ()
        return Report(sentence=f"Sealed {count} anew.", notes=notes)

    run(work(), "Rotating the seal failed")


@vault_app.command("reset")
def reset_vault(
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Move a vault that cannot be read aside.

    A new one can be begun then. Nothing is deleted; all profiles of the vault are moved.

    Examples:

        sidekey vault reset
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        question = f"Move the vault in {place.folder} aside? You will have to sign in again."
        if not yes and not Terminal().confirm(question):
            raise Cancelled("Nothing was changed.")
        aside = await place.vault.reset()
        if aside is None:
            return Report(sentence=f"There is no vault in {place.folder}.")
        return Report(sentence=f"Moved the vault aside, to {aside}.")

    run(work(), "Resetting the vault failed")
