"""What keeps a process's memory and files to itself: tried in processes of their own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

SCRIPT = """
import json, os, resource, subprocess, sys
from sidekey_proxy.running import hardening

most = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (most, most))

def umask():
    now = os.umask(0); os.umask(now)
    return now

def state():
    told = hardening.protection()
    return [umask(), resource.getrlimit(resource.RLIMIT_CORE)[0], told.dumpable, told.core_dumps]

CHILD = "import os, resource; print(os.umask(0), resource.getrlimit(resource.RLIMIT_CORE)[0])"

def child():
    said = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout
    return [int(word) for word in said.split()]
"""


def told(script: str) -> dict[str, object]:
    """Run a script with umask 027 and core dumps allowed, as far as they are, and return what it says."""
    run = subprocess.run(
        [sys.executable, "-c", f"{SCRIPT}\n{script}"],
        capture_output=True,
        text=True,
        check=True,
        umask=0o027,
    )
    answer: dict[str, object] = json.loads(run.stdout)
    return answer


def _largest() -> int:
    return resource.getrlimit(resource.RLIMIT_CORE)[1]


def test_a_protected_process_makes_private_files_and_no_core_dumps_and_is_not_dumpable() -> None:
    said = told(
        "before = state(); hardening.protect(); hardening.protect();"
        "print(json.dumps({'before': before, 'after': state()}))"
    )
    assert said["before"] == [0o027, _largest(), True, _largest() != 0]
    assert said["after"] == [0o077, 0, False, False]


def test_a_persons_own_program_gets_what_was_found_and_the_process_keeps_its_protection() -> None:
    said = told(
        "hardening.protect(); hardening.protect(); protected = child()\n"
        "with hardening.as_found():\n    free = child()\n"
        "print(json.dumps({'protected': protected, 'free': free, 'after': state()}))"
    )
    assert said["protected"] == [0o077, 0]
    assert said["free"] == [0o027, _largest()]
    assert said["after"] == [0o077, 0, False, False]


def test_an_unprotected_process_hands_down_what_it_has() -> None:
    said = told(
        "with hardening.as_found():\n    free = child()\nprint(json.dumps({'free': free, 'after': state()}))"
    )
    assert said["free"] == [0o027, _largest()]
    assert said["after"] == [0o027, _largest(), True, _largest() != 0]


def test_profilers_may_be_let_in_again_and_core_dumps_stay_off() -> None:
    said = told("hardening.protect(); hardening.admit_profilers(); print(json.dumps({'after': state()}))")
    assert said["after"] == [0o077, 0, True, False]
