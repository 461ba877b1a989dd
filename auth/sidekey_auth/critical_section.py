"""Work that nothing may interrupt once it has begun: no cancellation, no end of an event loop, no signal.

A refresh token works once. Between its first byte on the wire and the saved answer, an interrupted program
loses the sign-in. So that stretch runs in a thread and an event loop of its own: its caller may be cancelled,
the caller's loop may stop, and the thread goes on. The interpreter waits for it before it exits.

Signals end a process whatever its threads do. While a section runs, those whose default would end the process
(SIGINT, SIGTERM, SIGHUP) are put off, if the section was begun in the main thread. Handlers that the program
has set itself are left alone. Only SIGKILL and a power cut are left, and for these there is the note.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, Generic, TypeVar

Result = TypeVar("Result")

_PUT_OFF: Final = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)


def active() -> bool:
    """Return whether this process is in a critical section."""
    return _guard.active


@contextmanager
def when_put_off(tell: Callable[[int], None]) -> Iterator[None]:
    """Tell of signals that are put off, until the block ends.

    The program then decides itself how it ends. Else the signal takes effect when the section is over.

    Args:
        tell: gets the signal's number; called in the main thread.
    """
    before, _guard.tell = _guard.tell, tell
    try:
        yield
    finally:
        _guard.tell = before


async def in_critical_section(
    work: Callable[[], Awaitable[Result]], then: Callable[[Result], None] | None = None
) -> Result:
    """Run work to its end, whatever becomes of the caller, and return its result.

    The work runs in another thread and event loop: it must not touch what belongs to the caller's loop. A
    caller that is cancelled gets its cancellation when the work is done.

    Args:
        work: makes the awaitable, in the other thread.
        then: gets the result in the caller's loop, also where the caller was cancelled.

    Raises:
        OSError, RuntimeError: the thread or its event loop could not be made; nothing was begun.
    """
    section = _Section(work)
    try:
        threading.Thread(target=section.run, name="sidekey-critical-section", daemon=False).start()
    except BaseException:
        section.leave()
        raise
    try:
        waiting = asyncio.wrap_future(section.done)
        cancelled = await _outlast(waiting)
        if then is not None and waiting.exception() is None:
            then(waiting.result())
        if cancelled is not None:
            raise cancelled
        return waiting.result()
    finally:
        _guard.tidy()


async def _outlast(waiting: asyncio.Future[Result]) -> asyncio.CancelledError | None:
    """Wait for a future to its end, and return the cancellation that came meanwhile."""
    cancelled = None
    while not waiting.done():
        try:
            await asyncio.wait((waiting,))
        except asyncio.CancelledError as error:
            cancelled = error
    return cancelled


class _Section(Generic[Result]):
    """One critical section, from its begin in the caller's thread to its end in its own."""

    def __init__(self, work: Callable[[], Awaitable[Result]]) -> None:
        self._work = work
        self._left = False
        self.done: Future[Result] = Future()
        self.done.set_running_or_notify_cancel()  # from here on no caller can cancel it
        _guard.enter()

    def run(self) -> None:
        """Do the work in an event loop of its own."""
        try:
            with asyncio.Runner() as runner:
                runner.get_loop().set_default_executor(_Executor())
                runner.run(self._settle())
        except BaseException as error:  # noqa: BLE001 - it belongs to the caller
            if not self.done.done():
                self.leave()
                self.done.set_exception(error)

    def leave(self) -> None:
        """Give the signals free, once."""
        if not self._left:
            self._left = True
            _guard.leave()

    async def _settle(self) -> None:
        """Tell the caller before the loop is closed, which may wait for a name look-up that hangs."""
        try:
            result = await self._work()
        finally:
            self.leave()
        self.done.set_result(result)


class _Executor(ThreadPoolExecutor):
    """Runs each blocking call in a thread of its own, and right here where there can be no thread any more.

    That is so when the interpreter is on its way out, and when the process may have no more threads. A pool
    would keep a call that it could not start in its queue, and run it later once more.
    """

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Run a call, and return its future."""
        future: Future[Any] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits
                future.set_exception(error)
            else:
                future.set_result(result)

        try:
            threading.Thread(target=run, name="sidekey-critical-call").start()
        except RuntimeError:
            run()
        return future


class _Guard:
    """Counts the sections under way, and puts signals off meanwhile."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sections = 0
        self._interrupted = False
        self._waiting: set[int] = set()
        self._replaced: dict[int, Any] = {}
        self.tell: Callable[[int], None] | None = None

    @property
    def active(self) -> bool:
        return self._sections > 0

    def enter(self) -> None:
        with self._lock:
            self._sections += 1
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _PUT_OFF:
            if number not in self._replaced and _ends_the_process(number, signal.getsignal(number)):
                self._replaced[number] = signal.signal(number, self._on_signal)

    def leave(self) -> None:
        with self._lock:
            self._sections -= 1
            if self._sections:
                return
            waiting, self._waiting, self._interrupted = self._waiting, set(), False
        for number in waiting:
            os.kill(os.getpid(), number)

    def tidy(self) -> None:
        """Give the signals back, where that can be done from here; else the handler steps aside by itself."""
        if self.active or threading.current_thread() is not threading.main_thread():
            return
        for number, before in list(self._replaced.items()):
            if signal.getsignal(number) == self._on_signal:
                signal.signal(number, before)
            del self._replaced[number]

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if not self.active:
            self._pass_on(number, frame)
        elif self.tell is not None:
            self.tell(number)
        elif number == signal.SIGINT and not self._interrupted:
            # The first Ctrl-C still stops what waits for the section; only the section itself goes on.
            self._interrupted = True
            self._pass_on(number, frame)
        else:
            self._waiting.add(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        before = self._replaced.get(number, signal.SIG_DFL)
        if callable(before):
            before(number, frame)
            return
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def _ends_the_process(number: int, handler: Any) -> bool:
    if handler == signal.SIG_DFL:
        return True
    if number != signal.SIGINT:
        return False
    # asyncio's own handler cancels the main task at the first Ctrl-C and raises at the second.
    runners = getattr(handler, "func", handler)
    return handler is signal.default_int_handler or isinstance(
        getattr(runners, "__self__", None), asyncio.Runner
    )


_guard: Final = _Guard()
