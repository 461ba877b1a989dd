"""A running server as the rest of the machine sees it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from .conftest import House


def proc(pid: int, name: str) -> str:
    return Path(f"/proc/{pid}/{name}").read_text()


async def test_a_running_server_is_private_to_its_last_file(house: House) -> None:
    """The environment's owner is the system itself where a process is not dumpable: see proc(5)."""
    await house.signed_in()
    async with house.serving() as server:
        await server.url()
        pid = server.process.pid
        assert re.search(r"^Max core file size +0 ", proc(pid, "limits"), re.MULTILINE)
        assert re.search(r"^Umask:\t0077$", proc(pid, "status"), re.MULTILINE)
        assert os.stat(f"/proc/{pid}/environ").st_uid == 0  # noqa: PTH116 - a link's target is no matter
        house.canary.check(proc(pid, "cmdline"))
        modes = {path.stat().st_mode & 0o077 for path in (house.home, *house.home.rglob("*"))}
        assert modes == {0}


async def test_a_setting_lets_profilers_of_this_user_look_in(house: House) -> None:
    async with house.serving(SIDEKEY_ALLOW_PROFILING="true") as server:
        line = await server.logged("debuggers and profilers of this user may look into this process")
        assert line["level"] == "warning"
        pid = server.process.pid
        assert os.stat(f"/proc/{pid}/environ").st_uid == os.geteuid()  # noqa: PTH116
        assert re.search(r"^Max core file size +0 ", proc(pid, "limits"), re.MULTILINE)
