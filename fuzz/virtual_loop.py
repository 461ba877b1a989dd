"""An event loop without sockets whose time passes at once, so that every wait ends and every hang is seen.

It stands on two methods that every loop on ``asyncio.BaseEventLoop`` has: ``_selector.select``, which waits,
and ``_process_events``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final

from .fault import Fault

_MOST_TURNS: Final = 20_000
"""Turns of the loop that one input may take; they take some hundreds."""


class VirtualLoop(asyncio.BaseEventLoop):
    """Runs one input's work to its end.

    Attributes:
        broken: what tasks and callbacks raised that nobody waited for.
    """

    def __init__(self) -> None:
        super().__init__()
        self.broken: list[str] = []
        self._now = 0.0
        self._turns = 0
        self._selector = self
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Return the loop's own time, in seconds."""
        return self._now

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something to its end, and close the loop.

        Raises:
            Fault: it does not come to its end, or something that it started broke.
        """
        try:
            self.run_until_complete(work)
        finally:
            for task in asyncio.all_tasks(self):
                task.cancel()
            self.close()
        if self.broken:
            raise Fault(f"an exception escaped: {self.broken}")

    def select(self, timeout: float | None) -> list[Any]:
        """Let time pass until the next timer, since nothing comes from outside."""
        self._turns += 1
        if self._turns > _MOST_TURNS:
            raise Fault("it never comes to rest")
        if timeout is None:
            raise Fault("it waits for what can never come")
        self._now += max(timeout, 0.0)
        return []

    def _process_events(self, event_list: list[Any]) -> None:
        pass

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.broken.append(f"{context['message']}: {context.get('exception')!r}")
