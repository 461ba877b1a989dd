"""How many files this process may have open: each stream that passes through takes two descriptors."""

from __future__ import annotations

import contextlib
import sys
from typing import Final

_ENOUGH: Final = 1_048_576
"""Where the hard limit is none at all, or more: a table of descriptors takes memory, too."""


def allow_many() -> int | None:
    """Raise the soft limit to the hard one, and return it; None where the system has no such limit.

    The usual soft limit of 1,024 is there for programs that call ``select``, and would be reached with 500
    streams; the hard one is what the administrator means (systemd.exec(5), ``LimitNOFILE=``).
    """
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - not on Windows

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS calls its hard limit infinite, and refuses what is above another one.
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
