"""How many files a process may have open: tried in processes of their own, since a hard limit never grows."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

SCRIPT = """
import json, resource, sys
from sidekey_proxy.running.descriptors import allow_many

resource.setrlimit(resource.RLIMIT_NOFILE, tuple(json.loads(sys.argv[1])))
said = allow_many()
print(json.dumps([said, *resource.getrlimit(resource.RLIMIT_NOFILE)]))
"""


@pytest.mark.parametrize(
    ("before", "after"), [((256, 1000), (1000, 1000)), ((1000, 1000), (1000, 1000)), ((70, 900), (900, 900))]
)
def test_as_many_files_may_be_open_as_the_hard_limit_allows(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    command = [sys.executable, "-c", SCRIPT, json.dumps(before)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == [after[0], *after]
