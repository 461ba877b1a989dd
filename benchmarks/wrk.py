"""Load of plain requests: wrk, with a POST of a few hundred bytes that shows the client key."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

from .programs import BenchmarkFailed, Running, found, pinned

CONNECTIONS: Final = 32

_BODY: Final = (
    '{"model":"gpt-5-mini","stream":false,"input":[{"role":"user","content":"'
    + "What is the weather like in Paris? " * 14
    + '"}]}'
)

# The key stands in a file, since anybody can read a command line.
_SCRIPT: Final = """
wrk.method = "POST"
wrk.body = [[{body}]]
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json"
wrk.headers["User-Agent"] = "OpenAI/Python 2.8.0"
wrk.headers["X-Stainless-Lang"] = "python"
wrk.headers["X-Stainless-Retry-Count"] = "0"
wrk.headers["Authorization"] = "Bearer {key}"
"""


def missing() -> str | None:
    """Return what has to be installed first, if anything."""
    return None if found("wrk") else "wrk (on Debian: apt install wrk)"


def send_requests(proxy: Running, seconds: float, folder: Path, core: int) -> int:
    """Send requests over kept-alive connections for some time, and return how many were answered.

    Args:
        proxy: where to.
        seconds: for how long; wrk counts whole ones.
        folder: for wrk's script.
        core: where wrk runs.

    Raises:
        BenchmarkFailed: some were not answered as they should be.
    """
    script = folder / "wrk.lua"
    script.write_text(_SCRIPT.format(body=_BODY, key=proxy.key))
    url = f"http://127.0.0.1:{proxy.port}/v1/responses"
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "-s", str(script), url]
    with pinned(core):
        finished = subprocess.run(command, text=True, capture_output=True, check=False)
    return answered(finished.stdout + finished.stderr)


def answered(report: str) -> int:
    """Return how many requests wrk reports. Pure.

    Raises:
        BenchmarkFailed: some failed, or it is no report.
    """
    count = re.search(r"(\d+) requests in", report)
    if count is None or not int(count[1]) or re.search(r"Non-2xx|Socket errors", report):
        raise BenchmarkFailed(f"wrk was not content:\n{report}")
    return int(count[1])
