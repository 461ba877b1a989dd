"""What importing the library brings along, and what it leaves to those who need it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import sidekey_auth

ALL = """
import importlib, pkgutil, sidekey_auth
for found in pkgutil.walk_packages(sidekey_auth.__path__, "sidekey_auth."):
    importlib.import_module(found.name)
"""
FRESH = """
import sidekey_auth.broker, sidekey_auth.log, sidekey_auth.seals, sidekey_auth.sources.chatgpt
import sidekey_auth.sources.static, sidekey_auth.upstream, sidekey_auth.vaults.file, sidekey_auth.opened
"""


def loaded(script: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{script}\nimport sys, json; print(json.dumps(list(sys.modules)))"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return set(json.loads(done.stdout))


def test_the_library_brings_nothing_of_the_proxys() -> None:
    names = {name.partition(".")[0] for name in loaded(ALL)}

    assert "aiohttp" in names
    assert not names & {
        *("httptools", "prometheus_client", "pydantic", "rich", "segno", "sidekey_proxy", "structlog"),
        *("typer", "uvloop"),
    }


def test_the_package_alone_loads_no_other_module() -> None:
    before = loaded("import __future__, importlib")

    assert loaded("import sidekey_auth") - before == {"sidekey_auth"}


def test_an_error_can_be_named_without_loading_anything_else() -> None:
    before = loaded("import __future__, importlib")
    added = loaded("from sidekey_auth import SidekeyError") - before

    assert added == {"sidekey_auth", "sidekey_auth.errors"}


def test_what_a_bearer_in_the_vault_needs_loads_no_http_no_jwt_and_no_keyring() -> None:
    names = {name.partition(".")[0] for name in loaded(FRESH)}

    assert not names & {"aiohttp", "jwt", "keyring", "multidict", "tenacity", "yarl"}


@pytest.mark.parametrize("name", sidekey_auth.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(sidekey_auth, name).__name__ == name
    assert name in dir(sidekey_auth)


def test_any_other_name_is_not() -> None:
    with pytest.raises(AttributeError, match="'sidekey_auth' has no attribute 'nothing'"):
        sidekey_auth.nothing  # type: ignore[attr-defined]  # noqa: B018
