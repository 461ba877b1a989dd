"""Remembers every secret that a test makes, and finds it where it must not be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from unittest import mock

from sidekey_auth.secret import Secret

SHORTEST = 12
"""Characters; shorter values would be found by accident."""


class Canary:
    """The secrets of one test.

    Args:
        folders: where sidekey writes; looked through after the test.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._folders = list(folders)
        self._secrets: set[str] = set()
        self._allowed: set[str] = set()
        self._inputs: set[Path] = set()

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Remember the value of every Secret that is made meanwhile."""
        original = Secret.__init__

        def remember(secret: Secret, value: str) -> None:
            original(secret, value)
            self.add(value)

        with mock.patch.object(Secret, "__init__", remember):
            yield

    def add(self, value: str) -> None:
        """Remember one more secret, such as one that another process made."""
        if len(value) >= SHORTEST:
            self._secrets.add(value)

    def allow(self, value: str) -> None:
        """Take a value off the list that a command shows on purpose, such as `sidekey env`'s client key."""
        self._allowed.add(value)

    def allow_file(self, path: Path) -> None:
        """Leave out a file that the test itself wrote as an input."""
        self._inputs.add(path.resolve())

    def watch(self, folder: Path) -> None:
        """Look through one more folder after the test."""
        self._folders.append(folder)

    def leaks_in(self, text: str) -> list[str]:
        """Return the secrets that stand in a text, shortened so that the report does not leak them again."""
        return [f"{value[:4]}…({len(value)})" for value in self._secrets - self._allowed if value in text]

    def check(self, text: str) -> str:
        """Return the text, or fail if it holds a secret."""
        leaks = self.leaks_in(text)
        assert not leaks, f"secrets in: {text[:200]!r}: {leaks}"
        return text

    def leaks_in_files(self) -> dict[str, list[str]]:
        """Return the secrets that stand in files, by file."""
        found = {}
        for path in self._files():
            if leaks := self.leaks_in(path.read_bytes().decode("utf-8", "replace")):
                found[str(path)] = leaks
        return found

    def _files(self) -> Iterator[Path]:
        for folder in self._folders:
            for path in folder.rglob("*"):
                if path.is_file() and path.resolve() not in self._inputs:
                    yield path
