"""``sidekey import codex``."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from sidekey_auth.clock import SystemClock
from sidekey_auth.codex import CodexAuth, auth_path, parse_auth, read_auth_file, without_refresh_token
from sidekey_auth.codex_import import Imported, import_codex
from sidekey_auth.codex_paste import is_complete_json
from sidekey_auth.codex_preview import Preview, preview
from sidekey_auth.credential import Credential
from sidekey_auth.errors import Cancelled, ConfigurationError, SidekeyError
from sidekey_auth.renewal import can_refresh
from sidekey_proxy.place import Place, find_place

from .login import refresh_now
from .options import Config, Profile, Sandbox
from .output import Output, Report, for_people
from .terminal import Terminal
from .verb import output, run

app = typer.Typer(
    help="Take a credential over from another program.", no_args_is_help=True, rich_markup_mode=None
)


@app.command("codex")
def codex(
    source: Annotated[
        str | None, typer.Argument(metavar="[-]", help="A lone dash reads a paste, hidden when it is typed.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", metavar="FILE", help="The file: $CODEX_HOME/auth.json if left out."),
    ] = None,
    no_refresh_token: Annotated[
        bool, typer.Option("--no-refresh-token", help="Leave the refresh token to the Codex CLI.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
) -> None:
    """Take over what the Codex CLI has in its auth.json.

    It is shown first, with every secret masked, and stored when you confirm.

    Examples:

        sidekey import codex

        sidekey import codex --file ~/backup/auth.json --no-refresh-token

        ssh laptop cat .codex/auth.json | sidekey import codex - --yes
    """

    async def work() -> Report:
        if source not in {None, "-"} or (source and file):
            raise ConfigurationError("name a file with --file, or `-` for a paste, not both")
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        told = output()
        settings = place.issuer_settings()
        auth = parse_auth(_text(source, file), settings.allows)
        auth = without_refresh_token(auth) if no_refresh_token else auth
        stored = await place.vault.load(place.profile)
        told.figure(_previewed(preview(auth, SystemClock().wall(), stored)))
        _confirm(told, yes=yes, pasted=source == "-")
        return await take_over(place, auth)

    run(work(), "The import failed")


async def take_over(place: Place, auth: CodexAuth) -> Report:
    """Store what was read, make it whole, and say so."""
    async with place.issuers() as issuers:
        result = await import_codex(place.vault, issuers, auth, profile=place.profile)
    if result.needs_refresh:
        try:
            await refresh_now(place)
        except SidekeyError as error:
            result = replace(result, problem=error)
    return _told(result, auth)


def _told(result: Imported, auth: CodexAuth) -> Report:
    if result.kept:
        return _told_of_kept(result.credential)
    if result.problem is not None:
        raise SidekeyError(
            f"imported, but there is no API key: {result.problem}", remedy=result.problem.remedy
        )
    who = (auth.claims.email if auth.claims else None) or auth.account_id
    return Report(sentence=f"Imported Codex's sign-in{f' of {who}' if who else ''}.")


def _told_of_kept(credential: Credential) -> Report:
    """Return what is said where the stored sign-in came from the very file, and is newer."""
    if not can_refresh(credential):
        ended = credential.refresh_failure.message if credential.refresh_failure else "it was refused"
        raise SidekeyError(
            f"the sign-in in this file is stored already, and has ended: {ended}",
            remedy="Run `codex login` and import again, or run `sidekey login`.",
        )
    return Report(
        sentence="Nothing was imported: this sign-in is stored already, and newer there than in the file.",
        notes=(
            "sidekey has refreshed it since: the file's refresh token is spent, and the stored tokens stay.",
            "To take over a new sign-in of Codex, run `codex login` first.",
        ),
    )


def _text(source: str | None, file: Path | None) -> str:
    if source == "-":
        pasted = Terminal().secret_text("Paste the auth.json", is_complete_json)
        return pasted.reveal()
    path = file or auth_path(os.environ, Path.home())
    return read_auth_file(path)


def _confirm(told: Output, *, yes: bool, pasted: bool) -> None:
    if yes:
        return
    terminal = Terminal()
    if not terminal.interactive:
        how = "a paste through a pipe" if pasted else "this"
        raise ConfigurationError(f"{how} cannot be confirmed without a terminal", remedy="Add --yes.")
    if not terminal.confirm("Import this?"):
        raise Cancelled("Nothing was imported.")
    told.say("")


def _previewed(found: Preview) -> str:
    """Return the preview as text. Pure."""
    rows = [
        ("Mode in Codex", found.auth_mode or ""),
        ("API key", found.api_key or "absent"),
        ("id_token", _presence(found.id_token)),
        ("Access token", _presence(found.access_token)),
        ("Refresh token", _presence(found.refresh_token)),
        ("Account", found.account or ""),
        ("Plan", found.plan or ""),
        ("Expiry", _expiry(found)),
    ]
    facts = tuple((label, value) for label, value in rows if value)
    notes = tuple(note for note in (found.notice, *found.cautions) if note)
    return for_people(Report(facts=facts, notes=notes))


def _presence(there: bool) -> str:
    return "present" if there else "absent"


def _expiry(found: Preview) -> str:
    if found.expires_at is None:
        return ""
    moment = datetime.fromtimestamp(found.expires_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{moment} (expired)" if found.expired else moment
