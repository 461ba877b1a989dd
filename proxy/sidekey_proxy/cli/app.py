"""The table of commands."""

from __future__ import annotations

from typing import Annotated

import typer

from . import demo, importing, key, login, programs, serve, settings, status, vault

app = typer.Typer(
    name="sidekey",
    help="The OpenAI key at your side: sign in once, and programs need no key of their own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

        typer.echo(f"sidekey {version('sidekey')}")
        raise typer.Exit


@app.callback()
def _sidekey(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The OpenAI key at your side: sign in once, and programs need no key of their own."""


app.command("serve")(serve.serve)
app.command("login")(login.login)
app.command("logout")(login.logout)
app.command("refresh")(login.refresh)
app.command("mode")(login.mode)
app.command("status")(status.status)
app.command("env")(programs.env)
app.command(
    "run",
    options_metavar="[OPTIONS] -- COMMAND [ARGUMENTS]",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)(programs.run_command)
app.command("demo")(demo.demo)
app.add_typer(importing.app, name="import")
app.add_typer(key.app, name="key")
app.add_typer(vault.seal_app, name="seal")
app.add_typer(vault.vault_app, name="vault")
app.add_typer(settings.app, name="config")
