"""What keeps a process's memory and files to itself: no core dumps, not dumpable, umask 077.

Every sidekey process holds a seal, tokens or a client key, and its environment may hold them, too. Not being
dumpable (Linux) means that other processes of the same user can neither trace it nor read its memory and
environment in ``/proc``, and that no core dump is made wherever ``core_pattern`` leads. Root still can.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PRIVATE: Final = 0o077
_PR_GET_DUMPABLE: Final = 3
_PR_SET_DUMPABLE: Final = 4


@dataclass(frozen=True, slots=True)
class Protection:
    """How well this process is protected.

    Attributes:
        core_dumps: a crash could write memory to a disk.
        dumpable: other processes of this user may look inside; None where the system has no such switch.
    """

    core_dumps: bool
    dumpable: bool | None


class _Found:
    """What the process was started with; programs that it starts for a person get it back."""

    umask: int | None = None
    core: int | None = None


_found: Final = _Found()


def protect() -> None:
    """Protect this process from now on: to be called before anything secret is read.

    A system that does not have one of these switches, or forbids it, goes without.
    """
    umask = os.umask(PRIVATE)
    _found.umask = umask if _found.umask is None else _found.umask
    core = _set_core_limit(0)
    _found.core = core if _found.core is None else _found.core
    _set_dumpable(False)


def admit_profilers() -> None:
    """Let debuggers and profilers of this user in (the setting ``allow_profiling``); core dumps stay off."""
    _set_dumpable(True)


@contextlib.contextmanager
def as_found() -> Iterator[None]:
    """Start a person's own program inside this block: it gets the umask and the core limit of before.

    Whether a program can be looked into is decided anew when it is started, so that this stays as it is.
    """
    if _found.umask is None:
        yield
        return
    os.umask(_found.umask)
    if _found.core is not None:
        _set_core_limit(_found.core)
    try:
        yield
    finally:
        os.umask(PRIVATE)
        _set_core_limit(0)


def protection() -> Protection:
    """Return how well this process is protected."""
    return Protection(core_dumps=_core_limit() != 0, dumpable=_dumpable())


def _core_limit() -> int | None:
    """Return the largest core dump in bytes (-1: any), or None where the system has no such limit."""
    if sys.platform == "win32":
        return 0  # there are none unless an administrator asks for them
    import resource  # noqa: PLC0415 - not on Windows

    return resource.getrlimit(resource.RLIMIT_CORE)[0]


def _set_core_limit(limit: int) -> int | None:
    """Set the soft limit, which children can raise again, and return the one before."""
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not on Windows

    before, hard = resource.getrlimit(resource.RLIMIT_CORE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (limit, hard))
    return before


def _dumpable() -> bool | None:
    found = _prctl(_PR_GET_DUMPABLE, 0)
    return None if found is None or found < 0 else found == 1


def _set_dumpable(dumpable: bool) -> None:  # noqa: FBT001 - the system's own argument
    _prctl(_PR_SET_DUMPABLE, int(dumpable))


def _prctl(option: int, value: int) -> int | None:
    if sys.platform != "linux":
        return None
    import ctypes  # noqa: PLC0415 - takes a while, and only Linux needs it

    try:
        return int(ctypes.CDLL(None).prctl(option, value, 0, 0, 0))
    except (OSError, AttributeError):  # a static or an odd C library
        return None
