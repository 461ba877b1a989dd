"""How a command runs: in an event loop, with its errors told in one place."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import typer

from sidekey_auth.errors import Cancelled, SidekeyError
from sidekey_proxy import logs

from .output import Output, Report


def output(*, as_json: bool = False) -> Output:
    """Return where this process prints."""
    return Output(sys.stdout, sys.stderr, as_json=as_json)


def run(work: Coroutine[Any, Any, Report | int], what: str, *, as_json: bool = False) -> None:
    """Run a command to its end, print its result or what went wrong, and exit.

    Args:
        work: what is to be done; it returns a report, or an exit code where it has printed all itself.
        what: what has failed if it fails, such as ``The sign-in failed``.
        as_json: ``--json`` was given.
    """
    # What a warning would say, the command itself tells at its end.
    logs.configure(level="error")
    told = output(as_json=as_json)
    try:
        result = asyncio.run(work)
        code = result if isinstance(result, int) else told.show(result)
    except Cancelled as error:
        code = told.fail(error)
    except SidekeyError as error:
        code = told.fail(error, what)
    except KeyboardInterrupt:
        code = told.fail(Cancelled("Cancelled."))
    raise typer.Exit(code)


def run_in_fast_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in uvloop where there is one, else in asyncio's own loop."""
    if sys.platform == "win32":
        asyncio.run(work)
        return
    import uvloop  # noqa: PLC0415 - not on Windows

    uvloop.run(work)
