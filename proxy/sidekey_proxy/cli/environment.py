"""The variables that send a program to sidekey, and how each shell sets them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Final, Literal, get_args
from urllib.parse import urlsplit

from sidekey_auth.secret import Secret

Shell = Literal["bash", "fish", "powershell"]
SHELLS: Final[tuple[Shell, ...]] = get_args(Shell)
LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
SECRET_VARIABLES: Final = frozenset(
    {"SIDEKEY_SEAL_KEY", "SIDEKEY_SEAL_KEY_FILE", "SIDEKEY_CLIENT_KEY", "SIDEKEY_CLIENT_KEY_FILE"}
)
# PowerShell ends a string at any of these, and takes two for one (about_Quoting_Rules).
_POWERSHELL_QUOTES: Final = "'\u2018\u2019\u201a\u201b"


def proxy_variables(url: str, client_key: Secret, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that send a program to sidekey, in plain text: to be set or printed on request.

    ``NO_PROXY`` is extended, so that no client key travels through a proxy that stands in the environment.

    Args:
        url: sidekey's base URL.
        client_key: the program's key.
        environ: the environment that they are added to.
    """
    names = (*LOOPBACK_NAMES, urlsplit(url).hostname or "")
    no_proxy = extended_no_proxy((environ.get("NO_PROXY", ""), environ.get("no_proxy", "")), names)
    return {
        "OPENAI_BASE_URL": url,
        "OPENAI_API_KEY": client_key.reveal(),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
    }


def extended_no_proxy(present: Iterable[str], names: Iterable[str]) -> str:
    """Return a list for ``NO_PROXY`` with all entries of the present ones and these names, each once.

    Args:
        present: values of the variable, in either spelling.
        names: hosts that no proxy shall see. A lone ``*`` already says all, and only alone.
    """
    lists = [[entry.strip() for entry in value.split(",")] for value in present]
    if ["*"] in lists:
        return "*"
    entries: dict[str, str] = {}
    for entry in [*(entry for entries in lists for entry in entries), *names]:
        if entry:
            entries.setdefault(entry.lower(), entry)
    return ",".join(entries.values())


def exports(variables: Mapping[str, str], shell: Shell) -> str:
    """Return the lines that set variables in a shell, whatever their values are.

    Args:
        variables: by name.
        shell: ``bash`` stands for every POSIX shell.

    Raises:
        ValueError: a value holds a NUL, which no environment can.
    """
    if any("\0" in value for value in variables.values()):
        raise ValueError("a variable cannot hold a NUL")
    return "".join(f"{_export(name, value, shell)}\n" for name, value in variables.items())


def _export(name: str, value: str, shell: Shell) -> str:
    if shell == "fish":
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"set -gx {name} '{escaped}'"
    if shell == "powershell":
        doubled = "".join(c * 2 if c in _POWERSHELL_QUOTES else c for c in value)
        return f"$env:{name} = '{doubled}'"
    return f"export {name}={shlex.quote(value)}"


def detect_shell(environ: Mapping[str, str], platform: str) -> Shell:
    """Return the shell that a person probably uses.

    Args:
        environ: the environment; ``SHELL`` names the login shell.
        platform: as in ``sys.platform``.
    """
    shell = PurePath(environ.get("SHELL", "").replace("\\", "/")).name.removesuffix(".exe")
    if shell == "fish":
        return "fish"
    if shell in {"pwsh", "powershell"} or (not shell and platform == "win32"):
        return "powershell"
    return "bash"


def without_secrets(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables that open the vault or the proxy."""
    return {name: value for name, value in environ.items() if name.upper() not in SECRET_VARIABLES}


def child_environment(url: str, client_key: Secret, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a command that ``sidekey run`` starts.

    Args:
        url: the proxy's base URL.
        client_key: its one-off key.
        environ: the environment of sidekey itself.
    """
    return without_secrets(environ) | proxy_variables(url, client_key, environ)
