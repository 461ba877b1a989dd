"""Runs sidekey's commands and library programs in forks of this process; started by ``killer``.

One job a line on standard input, one result a line on standard output. What the commands need is loaded once,
so that a thousand of them cost little. A job that is to be killed is followed by ``tracer``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from soak.tracer import follow

LOADED = (
    "sidekey_auth.opened",
    "sidekey_auth.signin",
    "sidekey_auth.codex_import",
    *(f"sidekey_proxy.cli.{name}" for name in ("app", "importing", "login", "serve", "status")),
    "sidekey_proxy.running.hardening",
)


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in a fork, and return what became of it."""
    folder = tempfile.mkdtemp()
    out, err = Path(folder, "out"), Path(folder, "err")
    waiting, released = os.pipe()
    child = os.fork()
    if child == 0:
        os.read(waiting, 1)
        _play(job, out, err)  # it ends as a program does: all the way up
    result: dict[str, Any] = {}
    if job["follow"]:
        trace = follow(child, released, **job["follow"])
        status = trace.status
        result = {"calls": trace.calls, "window": trace.window, "renames": trace.renames}
    else:
        os.write(released, b"\n")
        _, status = os.waitpid(child, 0)
    os.close(waiting)
    os.close(released)
    result |= {"code": os.waitstatus_to_exitcode(status), "out": out.read_text(), "err": err.read_text()}
    shutil.rmtree(folder)
    return result


def _play(job: dict[str, Any], out: Path, err: Path) -> None:
    """Be the command, or the program, from here on."""
    for number, path in ((0, Path(os.devnull)), (1, out), (2, err)):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(job["environment"])
    if job["program"]:
        exec(compile(job["program"], "program", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own
        sys.exit(0)
    sys.argv = ["sidekey", *job["arguments"]]
    from sidekey_proxy.cli import main

    main()
    sys.exit(0)


if __name__ == "__main__":
    for name in LOADED:
        import_module(name)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), flush=True)  # noqa: T201 - the protocol
