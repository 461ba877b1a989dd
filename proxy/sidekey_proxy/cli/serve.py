"""``sidekey serve``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sidekey_auth.errors import ConfigurationError, SidekeyError
from sidekey_proxy.place import Place, find_place
from sidekey_proxy.running import descriptors, service
from sidekey_proxy.running.serving import until_told_to_stop
from sidekey_proxy.sandbox_run import SANDBOX_PORT, running_sandbox, sign_in_if_nobody_is

from .options import Config, Profile, Sandbox
from .verb import output, run_in_fast_loop

Listen = Annotated[
    list[str] | None,
    typer.Option(
        "--listen",
        metavar="ADDRESS",
        help="Where clients connect: HOST:PORT, https://HOST:PORT or unix:PATH (127.0.0.1:8484).",
    ),
]
AdminListen = Annotated[
    list[str] | None,
    typer.Option(
        "--admin-listen",
        metavar="ADDRESS",
        help="Where /livez, /readyz and /status are (127.0.0.1:8485).",
    ),
]
Upstream = Annotated[
    str | None,
    typer.Option(metavar="URL", help="The API behind the proxy.", show_default="https://api.openai.com/v1"),
]
NoClientKey = Annotated[
    bool,
    typer.Option(
        "--no-client-key", help="Ask clients for no key. On loopback, or a Unix socket of mode 0600."
    ),
]
SandboxPort = Annotated[
    int, typer.Option("--sandbox-port", metavar="PORT", help="With --sandbox: where it listens.")
]
TakeOver = Annotated[
    bool,
    typer.Option(
        "--take-over",
        help="Have the running server's sockets; it finishes its open requests and ends.",
    ),
]


def serve(
    config: Config = None,
    listen: Listen = None,
    admin_listen: AdminListen = None,
    upstream: Upstream = None,
    profile: Profile = None,
    sandbox: Sandbox = False,
    no_client_key: NoClientKey = False,
    sandbox_port: SandboxPort = SANDBOX_PORT,
    take_over: TakeOver = False,
) -> None:
    """Run the proxy.

    With --sandbox it starts a stand-in for OpenAI beside itself, and signs in there when nobody is.

    Examples:

        sidekey serve

        sidekey serve --sandbox

        sidekey serve --listen 0.0.0.0:8484 --config sidekey.toml

        sidekey serve --take-over
    """
    flags = {
        "listen": listen,
        "admin_listen": admin_listen,
        "upstream": upstream,
        "profile": profile,
        "client_key_required": False if no_client_key else None,
    }

    async def work() -> None:
        if sandbox:
            if take_over:
                raise ConfigurationError("a sandbox is in its server's memory: it cannot be taken over")
            await _serve_sandbox(config, flags, sandbox_port)
            return

        def find() -> Place:
            return find_place(config=config, flags=flags)

        await service.serve(find(), find, take_over=take_over)

    descriptors.allow_many()
    try:
        run_in_fast_loop(until_told_to_stop(work()))
    except SidekeyError as error:
        raise typer.Exit(output().fail(error, "sidekey cannot serve")) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def _serve_sandbox(config: Path | None, flags: Mapping[str, Any], port: int) -> None:
    if flags["upstream"] is not None:
        raise ConfigurationError(
            "--sandbox and --upstream exclude each other: the sandbox is the upstream",
            remedy="Leave one of them out.",
        )
    async with running_sandbox(port) as started:

        def find() -> Place:
            return find_place(config=config, sandbox=True, running=started.whereabouts, flags=flags)

        place = find()
        service.log_as(place)
        await sign_in_if_nobody_is(place, started)
        await service.serve(place, find)
