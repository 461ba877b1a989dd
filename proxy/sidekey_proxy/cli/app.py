"""The table of commands; the modules of those that are not asked for are not loaded."""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, Any, Final

import typer

_HERE: Final = __package__
_COMMANDS: Final = {
    "serve": ("serve", "serve"),
    "login": ("login", "login"),
    "logout": ("logout", "logout"),
    "refresh": ("login", "refresh"),
    "mode": ("login", "mode"),
    "status": ("status", "status"),
    "doctor": ("doctor", "doctor"),
    "env": ("programs", "env"),
    "run": ("programs", "run_command"),
    "demo": ("demo", "demo"),
}
_GROUPS: Final = {
    "import": ("importing", "app"),
    "key": ("key", "app"),
    "seal": ("vault", "seal_app"),
    "vault": ("vault", "vault_app"),
    "config": ("settings", "app"),
}
_RUN: Final[dict[str, Any]] = {
    "options_metavar": "[OPTIONS] -- COMMAND [ARGUMENTS]",
    "context_settings": {"allow_extra_args": True, "ignore_unknown_options": True},
}


def build(asked: str | None = None) -> typer.Typer:
    """Return the program.

    Args:
        asked: the only command that is needed; all of them where it is none.
    """
    app = typer.Typer(
        name="sidekey",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_sidekey)
    everything = asked not in {*_COMMANDS, *_GROUPS}
    for name, place in _COMMANDS.items():
        if everything or name == asked:
            app.command(name, **(_RUN if name == "run" else {}))(_loaded(*place))
    for name, place in _GROUPS.items():
        if everything or name == asked:
            app.add_typer(_loaded(*place), name=name)
    return app


def _loaded(module: str, name: str) -> Any:
    return getattr(import_module(f"{_HERE}.{module}"), name)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - slow, and rarely asked for

        typer.echo(f"sidekey {version('sidekey')}")
        raise typer.Exit


def _sidekey(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """The OpenAI key at your side: sign in once, and programs need no key of their own."""
