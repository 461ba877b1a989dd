"""``sidekey key set`` and ``sidekey key clear``: the static API key."""

from __future__ import annotations

import time
from dataclasses import replace

import typer

from sidekey_auth.credential import next_generation
from sidekey_auth.errors import SidekeyError
from sidekey_auth.secret import Secret, is_token
from sidekey_proxy.place import Place, find_place

from .options import Config, Profile, Sandbox
from .output import Report
from .terminal import Terminal
from .verb import run

app = typer.Typer(help="Store or remove a static API key.", no_args_is_help=True, rich_markup_mode=None)

_SHORTEST = 8


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
        key = _checked(Terminal().secret_line("API key"))
        return await store_key(place, key)

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
    async with place.vault.lock(place.profile):
        old = await place.vault.load(place.profile)
        generation = next_generation(old.generation, time.time())
        await place.vault.save(replace(old, static_key=key, generation=generation))
    role = "the fallback of the sign-in" if old.mode == "chatgpt" else "what requests are sent with"
    return Report(sentence=f"Stored the API key {key.masked()}: it is {role}.")


async def remove_key(place: Place) -> Report:
    """Remove the key, and say so."""
    async with place.vault.lock(place.profile):
        old = await place.vault.load(place.profile)
        if old.static_key is None:
            return Report(sentence="There was no API key to remove.")
        generation = next_generation(old.generation, time.time())
        await place.vault.save(replace(old, static_key=None, generation=generation))
    return Report(sentence=f"Removed the API key {old.static_key.masked()}.")


def _checked(key: Secret) -> Secret:
    if len(key.reveal()) < _SHORTEST or not is_token(key.reveal()):
        raise SidekeyError(
            "this is not an API key", remedy="Copy it whole from https://platform.openai.com/api-keys."
        )
    return key
