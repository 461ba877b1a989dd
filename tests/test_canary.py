"""The canary itself: a watcher that cannot find anything would make every other test worthless."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from canary import Canary
from sidekey_auth.secret import Secret


def test_a_secret_made_in_a_test_is_found_in_a_text(canary: Canary) -> None:
    Secret("sk-canary-0123456789")
    assert canary.leaks_in("a line with sk-canary-0123456789 in it") == ["sk-c…(20)"]


def test_a_secret_in_a_file_that_sidekey_wrote_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "leak").write_text("x sk-canary-abcdefghij x")
    watcher = Canary([folder])
    watcher.add("sk-canary-abcdefghij")
    assert list(watcher.leaks_in_files()) == [str(folder / "leak")]


def test_a_test_that_prints_a_secret_fails(tmp_path: Path) -> None:
    here = Path(__file__).parent
    for name in ("conftest.py", "canary.py"):
        (tmp_path / name).write_text((here / name).read_text())
    (tmp_path / "test_leak.py").write_text(
        "from sidekey_auth.secret import Secret\n"
        "def test_leak():\n"
        "    print(Secret('sk-canary-0123456789').reveal())\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", str(tmp_path)]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "secrets in the test's output or log: ['sk-c…(20)']" in result.stdout
