"""``sidekey key set`` and ``sidekey key clear``: the static API key."""

from __future__ import annotations

import typer

from sidekey_auth.secret import Secret
from sidekey_auth.stored_credential import clear_static_key, set_static_key
from sidekey_proxy.place import Place, find_place

from .options import Config, Profile, Sandbox
from .output import Report
from .terminal import Terminal
from .verb import run

app = typer.Typer(help="Store or remove a static API key.", no_args_is_help=True, rich_markup_mode=None)


@app.command("set")
def set_key(profile: Profile = None, sandbox: Sandbox = False, config: Config = None) -> None:
    """Store a static API key, typed hidden or read from standard input.

    It is what mode api_key uses, and what mode chatgpt falls back to. A signed-in profile stays in its mode.

    Examples:

        sidekey key set

        sidekey key set --profile work < key.txt
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        return await store_key(place, Terminal().secret_line("API key"))

    run(work(), "Storing the API key failed")


@app.command("clear")
def clear_key(profile: Profile = None, sandbox: Sandbox = False, config: Config = None) -> None:
    """Remove the static API key; a sign-in stays.

    Examples:

        sidekey key clear
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        return await remove_key(place)

    run(work(), "Removing the API key failed")


async def store_key(place: Place, key: Secret) -> Report:
    """Store the key, and say so."""
    stored = await set_static_key(place.vault, key, profile=place.profile)
    role = "the fallback of the sign-in" if stored.mode == "chatgpt" else "what requests are sent with"
    return Report(sentence=f"Stored the API key {key.masked()}: it is {role}.")


async def remove_key(place: Place) -> Report:
    """Remove the key, and say so."""
    removed = await clear_static_key(place.vault, profile=place.profile)
    if removed is None:
        return Report(sentence="There was no API key to remove.")
    return Report(sentence=f"Removed the API key {removed.masked()}.")
