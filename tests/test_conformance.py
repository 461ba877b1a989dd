"""docs/conformance.md names, clause by clause, tests that show what docs/http.md says: they are all there."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Final

import pytest

TESTS: Final = Path(__file__).parent
ROOT: Final = TESTS.parent
NAMED = re.compile(r"`([\w/]+\.py)::([\w:]+)`")
COMMAND = re.compile(r"`make ([a-z]+)`")


def rows() -> dict[str, str]:
    """Return what each clause is shown by; the rows of a table stand behind its line of dashes."""
    found = {}
    section, in_table = "", False
    for line in (ROOT / "docs" / "conformance.md").read_text().splitlines():
        if line.startswith("## "):
            section, in_table = line[3:], False
        elif line.startswith("|---"):
            in_table = True
        elif line.startswith("| ") and in_table:
            what, _rfc, shown_by = (cell.strip() for cell in line.strip("|").split("|"))
            clause = f"{section}: {what}"
            assert clause not in found, f"twice: {clause}"
            found[clause] = shown_by
    return found


ROWS: Final = rows()


@functools.cache
def names_in(file: Path) -> frozenset[str]:
    """Return the names of a file's tests, those of a class as ``Class::test``."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{name}" for name in _functions(node.body)}
        names |= _functions([node])
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def _functions(nodes: list[ast.stmt]) -> set[str]:
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("clause", ROWS)
def test_each_clause_is_shown_by_tests_that_are_there(clause: str) -> None:
    shown_by = ROWS[clause].split("<br>")
    for one in shown_by:
        named, command = NAMED.fullmatch(one), COMMAND.fullmatch(one)
        if named:
            file = TESTS / named[1]
            assert file.name.startswith("test_"), "pytest would not collect it"
            assert file.is_file()
            assert named[2] in names_in(file)
        else:
            assert command, f"neither a test nor a command: {one}"
            assert f"\n{command[1]}:" in (ROOT / "Makefile").read_text()


def test_every_section_of_what_is_done_is_shown() -> None:
    done = re.findall(r"^## (.+)$", (ROOT / "docs" / "http.md").read_text(), re.MULTILINE)
    shown = {clause.partition(": ")[0] for clause in ROWS}
    assert set(done) <= shown
