"""How a command runs: in an event loop, with its errors told in one place."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

import typer

from sidekey_auth.critical_section import when_put_off
from sidekey_auth.errors import Cancelled, SidekeyError
from sidekey_proxy import logs

from .output import Output, Report

_ENDED_BY_SIGNAL = 128
"""What shells add to a signal's number in an exit code."""


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
    interruption = _Interruption(told)
    try:
        with when_put_off(interruption.tell):
            result = asyncio.run(interruption.watched(work))
        code = result if isinstance(result, int) else told.show(result)
    except asyncio.CancelledError:
        told.fail(Cancelled("Cancelled; what the issuer answered is saved."))
        code = _ENDED_BY_SIGNAL + interruption.number
    except Cancelled as error:
        code = told.fail(error)
    except SidekeyError as error:
        code = told.fail(error, what)
    except KeyboardInterrupt:
        code = told.fail(Cancelled("Cancelled."))
    raise typer.Exit(code)


class _Interruption:
    """What a signal does while a refresh token is on its way: the command ends when its answer is saved."""

    def __init__(self, told: Output) -> None:
        self._told = told
        self._task: asyncio.Task[Any] | None = None
        self.number = 0

    async def watched(self, work: Coroutine[Any, Any, Report | int]) -> Report | int:
        """Do the work in a way that ``tell`` can cancel."""
        self._task = asyncio.current_task()
        return await work

    def tell(self, number: int) -> None:
        """Say that the end has to wait, and cancel what does not."""
        first, self.number = self.number == 0, self.number or number
        if first:  # the next signal may come while this is printed
            self._told.say("Waiting for the issuer's answer to a refresh: ending now would lose the sign-in.")
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)


def run_in_fast_loop(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine in uvloop where there is one, else in asyncio's own loop."""
    if sys.platform == "win32":
        asyncio.run(work)
        return
    import uvloop  # noqa: PLC0415 - not on Windows

    uvloop.run(work)
