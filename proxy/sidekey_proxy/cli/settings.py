"""``sidekey config show``."""

from __future__ import annotations

import typer

from sidekey_proxy.place import find_place

from .describe import settings_report
from .options import Config, Json, Profile, Sandbox
from .output import Report
from .verb import run

app = typer.Typer(help="Look at the settings.", no_args_is_help=True, rich_markup_mode=None)


@app.command("show")
def show(
    profile: Profile = None, sandbox: Sandbox = False, config: Config = None, as_json: Json = False
) -> None:
    """Print every setting, its value, and who decided it.

    Examples:

        sidekey config show

        SIDEKEY_LISTEN=0.0.0.0:8484 sidekey config show --json
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        return settings_report(place.configuration)

    run(work(), "The settings cannot be used", as_json=as_json)
