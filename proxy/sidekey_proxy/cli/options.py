"""The options that every command takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Profile = Annotated[
    str | None,
    typer.Option(
        "--profile", metavar="NAME", help="Which stored credential: `default` if nothing names one."
    ),
]
Sandbox = Annotated[
    bool,
    typer.Option("--sandbox", help="Work with the running sandbox, never with a real credential."),
]
Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="The settings' file: SIDEKEY_CONFIG if left out."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
