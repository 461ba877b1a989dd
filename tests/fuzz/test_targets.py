"""The fuzz targets hold over the corpus, and a fault that is planted is found."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.fault import Fault, demand
from fuzz.targets import CORPUS, TARGETS

ROOT = Path(__file__).parents[2]


def inputs() -> Iterator[tuple[str, Path]]:
    for name in TARGETS:
        for path in sorted((CORPUS / name).iterdir()):
            yield name, path


@pytest.mark.parametrize(("name", "path"), list(inputs()), ids=lambda value: getattr(value, "name", value))
def test_every_input_of_the_corpus_is_handled_as_it_must_be(name: str, path: Path) -> None:
    TARGETS[name](path.read_bytes())


def test_each_target_has_a_corpus() -> None:
    assert {folder.name for folder in CORPUS.iterdir()} == set(TARGETS)
    assert all(any((CORPUS / name).iterdir()) for name in TARGETS)


def test_a_demand_that_is_not_met_is_a_fault() -> None:
    with pytest.raises(Fault, match="why"):
        demand(False, "why")
    demand(True, "why")


def planted(data: bytes) -> None:
    """Break at what a fuzzer that is guided by coverage finds at once."""
    if data[:1] == b"G" and data[1:2] == b"E":
        raise Fault("planted")


def test_a_planted_fault_is_found_and_told(tmp_path: Path) -> None:
    target = tmp_path / "planted_target.py"
    target.write_text("from test_targets import planted as fuzz\n")
    ran = subprocess.run(
        [sys.executable, "-m", "fuzz", "planted_target:fuzz", "--seconds", "20", "--seed", "7"],
        cwd=ROOT,
        env={"PYTHONPATH": f"{tmp_path}:{Path(__file__).parent}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ran.returncode == 1, ran.stdout + ran.stderr
    assert "BROKEN" in ran.stdout
    assert "planted" in ran.stdout
