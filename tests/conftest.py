"""What every test gets: a machine of its own, and a canary for every secret."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from canary import Canary

# A run under nohup hands an ignored SIGHUP down to the programs that some tests send just that signal.
signal.signal(signal.SIGHUP, signal.SIG_DFL)

_FOREIGN = (
    "SIDEKEY_",
    "CODEX_",
    "OPENAI_",
    "XDG_",
    "SSH_",
    "BROWSER",
    "DISPLAY",
    "WAYLAND_",
    "NOTIFY_",
    "LISTEN_",
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CANARY = pytest.StashKey[Canary]()


@pytest.fixture(autouse=True)
def canary(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Canary]:
    """Watch every secret of this test, and give it a home and a temporary folder of its own."""
    home, scratch = tmp_path / "user", tmp_path / "tmp"
    home.mkdir()
    scratch.mkdir()
    for name in list(os.environ):
        if name.startswith(_FOREIGN) or name.upper() in _PROXIES:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("TMPDIR", str(scratch))
    monkeypatch.setenv("SIDEKEY_HOME", str(tmp_path / "sidekey"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    structlog.reset_defaults()  # a command that an earlier test ran in this process may have silenced the log
    watcher = Canary(folders=[tmp_path / "sidekey", home, scratch])
    request.node.stash[_CANARY] = watcher
    with watcher.recording():
        yield watcher
    leaks = watcher.leaks_in_files()
    assert not leaks, f"secrets in files: {leaks}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a test whose output or log holds a secret."""
    report = yield
    watcher = item.stash.get(_CANARY, None)
    if watcher is not None and call.when == "call" and report.passed:
        output = f"{report.capstdout}\n{report.capstderr}\n{report.caplog}"
        if leaks := watcher.leaks_in(output):
            report.outcome = "failed"
            report.longrepr = f"secrets in the test's output or log: {leaks}"
    return report
