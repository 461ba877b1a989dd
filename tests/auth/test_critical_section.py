"""A critical section goes on, whatever becomes of its caller, the event loop, or the process's signals."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidekey_auth.critical_section import active, in_critical_section

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


async def test_the_result_and_the_error_are_the_callers() -> None:
    async def fails() -> None:
        raise LookupError("gone")

    async def succeeds() -> int:
        assert active()
        return 7

    assert await in_critical_section(succeeds) == 7
    with pytest.raises(LookupError, match="gone"):
        await in_critical_section(fails)
    assert not active()


async def test_a_cancelled_caller_gets_its_cancellation_when_the_work_is_done() -> None:
    inside, go = threading.Event(), threading.Event()
    kept: list[str] = []

    async def work() -> str:
        inside.set()
        await asyncio.to_thread(go.wait)
        return "token"

    caller = asyncio.create_task(in_critical_section(work, kept.append))
    await asyncio.to_thread(inside.wait)
    for _ in range(3):
        caller.cancel()
        await asyncio.sleep(0)
    assert not caller.done()
    go.set()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert kept == ["token"]


def test_the_end_of_asyncio_run_waits_for_the_work() -> None:
    inside, go = threading.Event(), threading.Event()
    kept: list[str] = []

    async def work() -> None:
        inside.set()
        await asyncio.to_thread(go.wait)
        kept.append("token")

    async def program() -> None:
        task = asyncio.create_task(in_critical_section(work))
        await asyncio.to_thread(inside.wait)
        asyncio.get_running_loop().call_soon(go.set)
        assert not task.done()

    asyncio.run(program())
    assert kept == ["token"]


def test_a_loop_that_is_closed_meanwhile_does_not_end_the_work() -> None:
    inside, go, done = threading.Event(), threading.Event(), threading.Event()

    async def work() -> None:
        inside.set()
        await asyncio.to_thread(go.wait)
        done.set()

    async def program() -> None:
        tasks.append(asyncio.create_task(in_critical_section(work)))
        await asyncio.to_thread(inside.wait)

    tasks: list[asyncio.Task[None]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(program())
    loop.run_until_complete(loop.shutdown_default_executor())
    tasks[0]._log_destroy_pending = False  # type: ignore[attr-defined]
    loop.close()
    go.set()
    assert done.wait(30)


async def test_where_no_thread_can_be_had_nothing_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []

    async def work() -> None:
        begun.append("begun")

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError(f"can't start new thread {thread.name}")

    with monkeypatch.context() as full:
        full.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await in_critical_section(work)
    assert (begun, active()) == ([], False)
    await in_critical_section(work)
    assert begun == ["begun"]


# --- signals, in real processes -----------------------------------------------------------------------------


@asynccontextmanager
async def at_work(how: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(Path(__file__).with_name("section_at_work.py")),
        how,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"in\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def finish(process: asyncio.subprocess.Process) -> list[str]:
    async with asyncio.timeout(30):
        out, _ = await process.communicate(b"\n")
    return out.decode().split("\n")[:-1]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("number", SIGNALS)
async def test_a_signal_in_a_section_takes_effect_when_it_is_done(number: signal.Signals, times: int) -> None:
    async with at_work("inside") as process:
        for _ in range(times):
            process.send_signal(number)
        assert await finish(process) == ["done"]
        assert process.returncode == -number


@pytest.mark.parametrize("number", SIGNALS)
async def test_outside_of_a_section_a_signal_ends_the_process_at_once(number: signal.Signals) -> None:
    async with at_work("outside") as process:
        process.send_signal(number)
        assert await finish(process) == []
        assert process.returncode == -number


@pytest.mark.parametrize("number", SIGNALS)
async def test_a_handler_of_the_programs_own_is_left_alone(number: signal.Signals) -> None:
    async with at_work("foreign") as process:
        process.send_signal(number)
        assert process.stdout is not None
        assert await process.stdout.readline() == f"heard {number}\n".encode()
        assert await finish(process) == ["done", "after"]
        assert process.returncode == 0
