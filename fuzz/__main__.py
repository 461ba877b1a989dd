"""``python -m fuzz``: runs targets under atheris, each in a process of its own, some at a time."""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from .targets import CORPUS, CRASHES, FOUND, HERE, TARGETS

_ROUND: Final = 600.0
"""Seconds that a target runs before the next one's turn, where nobody says when it is enough."""
_HANG: Final = 10
"""Seconds after which one input counts as a hang."""
_LONGEST_INPUT: Final = 4096
_MEMORY: Final = 1024
_GRACE: Final = 60.0
"""Seconds that a process may take to start and to end."""
_LAST_LINES: Final = 60
_PROGRESS: Final = "#"
"""What libFuzzer's lines begin with that tell how far it is."""

_EPILOG: Final = f"""\
targets: {", ".join(TARGETS)}; or module:function, any function of bytes

examples:
  python -m fuzz                          all of them in turn, until Ctrl-C or a fault
  python -m fuzz --seconds 60             all of them, 60 s together
  python -m fuzz requests --seconds 600
  python -m fuzz answers --input FILE     one input again, such as one of {CRASHES.name}/
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Fuzz what is asked for; return the exit code: 0, or 1 where something was found."""
    chosen = _parser().parse_args(arguments)
    if importlib.util.find_spec("atheris") is None:
        print("atheris is missing; it exists for Linux and Python 3.11 to 3.13", file=sys.stderr)
        return 2
    names = chosen.targets or list(TARGETS)
    if chosen.input is not None:
        return max(_run(name, [str(chosen.input)], _GRACE) for name in names)
    with ThreadPoolExecutor(chosen.jobs) as together:
        for seconds, seed in _rounds(chosen, len(names)):
            codes = together.map(lambda name: _fuzz(name, seconds, seed), names)  # noqa: B023 - all end in here
            if any(list(codes)):
                return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fuzz",
        description="Look for bytes that break sidekey.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("targets", nargs="*", metavar="TARGET", type=_target, help="what to fuzz (all)")
    add("--seconds", type=float, metavar="S", help="for all targets together (until Ctrl-C)")
    add("--seed", type=int, default=0, metavar="N", help="of chance (0: another one each time)")
    add("--jobs", type=int, default=os.cpu_count(), metavar="N", help="processes at a time (one a core)")
    add("--input", type=Path, metavar="FILE", help="run this one input, and show what it breaks")
    return parser


def _target(text: str) -> str:
    if text not in TARGETS and ":" not in text:
        raise argparse.ArgumentTypeError(f"{text!r} is none of {', '.join(TARGETS)}")
    return text


def _rounds(chosen: argparse.Namespace, count: int) -> Iterator[tuple[float, int]]:
    """Yield how long each target runs, with which seed, round by round."""
    if chosen.seconds is not None:
        yield chosen.seconds * min(chosen.jobs, count) / count, chosen.seed
        return
    for number in itertools.count():
        yield _ROUND, chosen.seed + number if chosen.seed else 0


def _fuzz(name: str, seconds: float, seed: int) -> int:
    place = name.replace(":", ".")
    found, corpus = FOUND / place, CORPUS / place
    for folder in (found, CRASHES):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={max(round(seconds), 1)}",
        f"-seed={seed}",
        f"-timeout={_HANG}",
        f"-max_len={_LONGEST_INPUT}",
        f"-rss_limit_mb={_MEMORY}",
        f"-artifact_prefix={CRASHES / place}-",
        f"-dict={HERE / 'words.dict'}",
        "-print_final_stats=1",
        str(found),
    ]
    return _run(name, options + [str(corpus)] * corpus.is_dir(), seconds + _GRACE)


def _run(name: str, options: list[str], patience: float) -> int:
    began = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            [sys.executable, "-m", "fuzz.worker", name, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=patience,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        _tell(f"{name}: it does not end")
        _tell(_last_lines(late.stdout or b""))
        return 1
    if done.returncode:
        _tell(f"{name}: BROKEN after {time.monotonic() - began:.0f} s")
        _tell(_last_lines(done.stdout))
        return 1
    _tell(f"{name}: {_executed(done.stdout)} inputs in {time.monotonic() - began:.0f} s, nothing found")
    return 0


def _last_lines(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").splitlines()
    return "\n".join([line for line in lines if not line.startswith(_PROGRESS)][-_LAST_LINES:])


def _executed(output: bytes) -> str:
    for line in output.decode("utf-8", "replace").splitlines():
        if line.startswith("stat::number_of_executed_units:"):
            return line.rpartition(" ")[2]
    return "some"


def _tell(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(0)
