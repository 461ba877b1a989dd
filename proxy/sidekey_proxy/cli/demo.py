"""``sidekey demo``: see it work, without any account."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack

import aiohttp
import typer

from sidekey_auth.errors import ConfigurationError, SidekeyError
from sidekey_auth.secret import Secret
from sidekey_proxy import logs
from sidekey_proxy.place import find_place
from sidekey_proxy.running.serving import Keys, running, until_told_to_stop
from sidekey_proxy.sandbox_run import SANDBOX_PORT, running_sandbox, sign_in_if_nobody_is

from .environment import detect_shell, exports, proxy_variables
from .options import Profile, Sandbox
from .serve import AdminListen, Listen, SandboxPort
from .verb import output, run_in_fast_loop

_QUESTION = "Say that sidekey put the key on this request, and that no program had to know it."


def demo(
    listen: Listen = None,
    admin_listen: AdminListen = None,
    sandbox_port: SandboxPort = SANDBOX_PORT,
    profile: Profile = None,
    sandbox: Sandbox = False,  # noqa: ARG001 - as every command; a demo is never anything else
) -> None:
    """See it work without any account.

    It starts the proxy with the sandbox, sends a request, and says what to try next.

    Examples:

        sidekey demo

        sidekey demo --listen 127.0.0.1:9000
    """

    async def work() -> None:
        async with AsyncExitStack() as stack:
            started = await stack.enter_async_context(running_sandbox(sandbox_port))
            flags = {"listen": listen, "admin_listen": admin_listen, "profile": profile}
            place = find_place(sandbox=True, running=started.whereabouts, flags=flags)
            lines = logs.configure(level=place.settings.log_level, form=place.settings.log_format)
            await sign_in_if_nobody_is(place, started)
            key = await place.client_key()
            proxy = await stack.enter_async_context(running(place, lines, Keys(key, key)))
            url = proxy.server.addresses.base_url
            if url is None:
                raise ConfigurationError("a demo needs a port", remedy="Name one with --listen.")
            say(f"\nPOST {url}/responses, streamed, with no OpenAI key:\n")
            await show_answer(url, key)
            say("\n\nIn another terminal (Ctrl-C ends this one):\n")
            sys.stdout.write(
                exports(proxy_variables(url, key, os.environ), detect_shell(os.environ, sys.platform))
            )
            sys.stdout.flush()
            await asyncio.Event().wait()

    try:
        run_in_fast_loop(until_told_to_stop(work()))
    except SidekeyError as error:
        raise typer.Exit(output().fail(error, "The demo cannot start")) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None


async def show_answer(url: str, key: Secret) -> None:
    """Send a request as any program would, and print the answer as it streams in."""
    body = {"model": "gpt-5-mini", "input": _QUESTION, "stream": True}
    headers = {"Authorization": f"Bearer {key.reveal()}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/responses", json=body) as response,
    ):
        async for line in response.content:
            if line.startswith(b"data: {"):
                event = json.loads(line.removeprefix(b"data: "))
                if event["type"] == "response.output_text.delta":
                    sys.stdout.write(event["delta"])
                    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line for people."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
