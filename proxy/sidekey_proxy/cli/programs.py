"""``sidekey env`` and ``sidekey run``: sending programs to the proxy."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Final

import typer

from sidekey_auth.errors import ConfigurationError, SidekeyError
from sidekey_proxy import logs
from sidekey_proxy.addresses import base_url, nearest
from sidekey_proxy.configuration.settings import Settings
from sidekey_proxy.place import find_place, new_client_key
from sidekey_proxy.running.hardening import as_found

from .environment import SHELLS, Shell, child_environment, detect_shell, exports, proxy_variables
from .options import Config, Profile, Sandbox
from .output import CANCELLED
from .verb import output, run, run_in_fast_loop

_FORWARDED: Final = ("SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGQUIT")
_NOT_FOUND, _NOT_EXECUTABLE, _KILLED = 127, 126, 128


def env(
    shell: Annotated[
        str | None,
        typer.Option(metavar="|".join(SHELLS), help="For which shell: that of $SHELL if left out."),
    ] = None,
    listen: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Where the proxy listens, if not where the settings say."),
    ] = None,
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
) -> None:
    """Print what sends the programs of this shell to the proxy.

    The client key is among it: do not let it be recorded.

    Examples:

        eval "$(sidekey env)"

        sidekey env --shell fish | source

        sidekey env --shell powershell | Invoke-Expression
    """

    async def work() -> int:
        chosen = _shell(shell)
        flags = {"profile": profile, "listen": [listen] if listen else None}
        place = find_place(config=config, sandbox=sandbox, flags=flags)
        key = await place.client_key()
        variables = proxy_variables(_base_url(place.settings), key, os.environ)
        sys.stdout.write(exports(variables, chosen))
        return 0

    run(work(), "The environment cannot be told")


def run_command(
    context: typer.Context,
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
) -> None:
    """Run a command with a proxy of its own.

    The proxy listens on a free port, asks for a one-off key that only the command is given, and ends with it.
    The command's exit code is passed on.

    Examples:

        sidekey run -- python my_program.py

        sidekey run --profile work -- node my_program.mjs
    """
    command = context.args
    if not command:
        raise typer.Exit(
            output().fail(
                ConfigurationError("there is no command", remedy="Name it behind `--`."),
                "sidekey cannot run it",
            )
        )

    from sidekey_proxy.running.serving import Keys, running  # noqa: PLC0415 - `sidekey env` is to be quick

    async def work() -> int:
        flags = {"profile": profile, "listen": ["127.0.0.1:0"]}
        place = find_place(config=config, sandbox=sandbox, flags=flags).without_admin_listener()
        key = new_client_key()
        lines = logs.configure(level="warning", form=place.settings.log_format)
        async with running(place, lines, Keys(key, key)) as proxy:
            url = proxy.server.addresses.base_url
            assert url is not None  # noqa: S101 - it listens on a port
            return await run_child(command, child_environment(url, key, os.environ))

    codes: list[int] = []

    async def keep() -> None:
        codes.append(await work())

    try:
        run_in_fast_loop(keep())
    except SidekeyError as error:
        raise typer.Exit(output().fail(error, "sidekey cannot run the command")) from None
    except KeyboardInterrupt:
        raise typer.Exit(CANCELLED) from None
    raise typer.Exit(codes[0])


async def run_child(command: list[str], environment: Mapping[str, str]) -> int:
    """Run a command to its end and return its exit code as a shell would.

    Signals that are meant for the command are passed on to it; Ctrl-C reaches it from the terminal itself.
    """
    try:
        with as_found():
            child = await asyncio.create_subprocess_exec(*command, env=dict(environment))
    except FileNotFoundError:
        sys.stderr.write(f"sidekey: {command[0]}: command not found\n")
        return _NOT_FOUND
    except OSError as error:
        sys.stderr.write(f"sidekey: {command[0]}: {error.strerror}\n")
        return _NOT_EXECUTABLE
    with _signals_for(child):
        code = await child.wait()
    return code if code >= 0 else _KILLED - code


@contextlib.contextmanager
def _signals_for(child: asyncio.subprocess.Process) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = [getattr(signal, name) for name in _FORWARDED if hasattr(signal, name)]

    def forward(number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)

    with contextlib.suppress(NotImplementedError):  # Windows has no signal handlers in its loop
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        for number in numbers:
            loop.add_signal_handler(number, forward, number)
    try:
        yield
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in (signal.SIGINT, *numbers):
                loop.remove_signal_handler(number)


def _base_url(settings: Settings) -> str:
    port = nearest(settings.listen)
    if port is None:
        raise ConfigurationError(
            "there is no base URL: the proxy listens on Unix sockets only",
            remedy="Add a port to `listen`, or name one with --listen.",
        )
    return base_url(port, settings.hosts)


def _shell(wanted: str | None) -> Shell:
    if wanted is None:
        return detect_shell(os.environ, sys.platform)
    for shell in SHELLS:
        if shell == wanted:
            return shell
    raise ConfigurationError(f"--shell cannot be {wanted!r}: one of {', '.join(SHELLS)}")
