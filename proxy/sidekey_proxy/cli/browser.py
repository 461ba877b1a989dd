"""Which way of signing in suits this machine, and opening the browser where there is one."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final, Literal

from sidekey_proxy.running.hardening import as_found

from .environment import without_secrets

Way = Literal["browser", "no-browser", "device", "paste"]
Which = Callable[[str], str | None]

# A text browser would run where nobody sees it.
_TEXT_BROWSERS: Final = frozenset(
    {"browsh", "carbonyl", "elinks", "links", "links2", "lynx", "netrik", "retawq", "w3m", "www-browser"}
)
_CONTAINER_FILES: Final = ("/.dockerenv", "/run/.containerenv")
_PATIENCE: Final = 2.0


@dataclass(frozen=True, slots=True)
class Machine:
    """What the proposal depends on.

    Attributes:
        environ: the environment.
        platform: as in ``sys.platform``.
        in_container: whether this looks like a container.
        which: finds a program by its name, or returns None.
    """

    environ: Mapping[str, str]
    platform: str
    in_container: bool
    which: Which


@dataclass(frozen=True, slots=True)
class Proposal:
    """The way of signing in that suits a machine.

    Attributes:
        way: the way.
        reason: why, and what else there is, for people; empty where the browser opens as everybody expects.
    """

    way: Way
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """How opening the browser went.

    Attributes:
        program: what was started, or None where nothing could be.
        problem: why not, for people.
    """

    program: str | None
    problem: str = ""


# --- deciding -------------------------------------------------------------------------------------------


def propose(machine: Machine) -> Proposal:
    """Return the way of signing in that works on this machine without further ado. Pure.

    In an SSH session the browser is on the other end: the URL is printed, and a tunnel brings the callback
    here. Without a display, or in a container, whose loopback no browser reaches, there is the device code.
    """
    if machine.environ.get("SSH_CONNECTION") or machine.environ.get("SSH_TTY"):
        return Proposal(
            "no-browser",
            "This is an SSH session, so the address is printed; --device and --paste need no tunnel.",
        )
    if browser_commands(machine):
        return Proposal("browser")
    where = "This is a container" if machine.in_container else "There is no browser here"
    return Proposal("device", f"{where}, so a device code is used; --paste works, too.")


def browser_commands(machine: Machine) -> tuple[tuple[str, ...], ...]:
    """Return the commands to try in turn, each with ``%s`` where the URL goes. Pure but for ``which``."""
    chosen = _chosen_by_environment(machine)
    if machine.platform == "win32":
        # Not `start`: it belongs to cmd, which would take the URL apart at each "&".
        system: list[tuple[str, ...]] = [("rundll32", "url.dll,FileProtocolHandler", "%s")]
    elif machine.platform == "darwin":
        system = [("open", "%s")]
    else:
        system = _freedesktop(machine)
    return (*chosen, *(command for command in system if machine.which(command[0])))


def _chosen_by_environment(machine: Machine) -> list[tuple[str, ...]]:
    """Return what ``BROWSER`` names, as Python's webbrowser and xdg-open read it."""
    separator = ";" if machine.platform == "win32" else ":"
    commands: list[tuple[str, ...]] = []
    for entry in machine.environ.get("BROWSER", "").split(separator):
        try:
            words = shlex.split(entry, posix=machine.platform != "win32")
        except ValueError:
            continue
        words = words[:-1] if words[-1:] == ["&"] else words
        if not words or PurePath(words[0]).name in _TEXT_BROWSERS or not machine.which(words[0]):
            continue
        commands.append(tuple(words) if any("%s" in word for word in words) else (*words, "%s"))
    return commands


def _freedesktop(machine: Machine) -> list[tuple[str, ...]]:
    environ = machine.environ
    commands: list[tuple[str, ...]] = []
    if environ.get("WSL_DISTRO_NAME") or environ.get("WSL_INTEROP"):
        commands.append(("wslview", "%s"))
    if environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"):
        commands += [
            ("xdg-open", "%s"),
            ("gio", "open", "%s"),
            ("x-www-browser", "%s"),
            ("firefox", "%s"),
            ("chromium", "%s"),
            ("google-chrome", "%s"),
        ]
    return commands


# --- doing ----------------------------------------------------------------------------------------------


def this_machine(environ: Mapping[str, str] | None = None) -> Machine:
    """Return what can be seen of the machine that this runs on.

    Args:
        environ: the environment; the process's own where it is left out.
    """
    environ = os.environ if environ is None else environ
    marked = environ.get("container") or environ.get("KUBERNETES_SERVICE_HOST")
    path = environ.get("PATH")
    return Machine(
        environ=environ,
        platform=sys.platform,
        in_container=bool(marked) or any(Path(name).exists() for name in _CONTAINER_FILES),
        which=lambda name: shutil.which(name, path=path),
    )


def open_browser(url: str, machine: Machine | None = None, *, patience: float = _PATIENCE) -> Opened:
    """Open a URL in the person's browser, which gets it as one argument and none of sidekey's secrets.

    It blocks for up to ``patience`` seconds a command, to see whether the command fails.

    Args:
        url: an http or https URL.
        machine: where; this one where it is left out.
        patience: seconds after which a command that still runs counts as a browser.
    """
    if not url.startswith(("https://", "http://")):
        return Opened(None, "only http and https addresses are opened")
    machine = machine or this_machine()
    problem = "no browser was found"
    for command in browser_commands(machine):
        argv = [word.replace("%s", url) for word in command]
        reason = _start(argv, machine, patience)
        if not reason:
            return Opened(command[0])
        problem = f"{command[0]} {reason}"
    return Opened(None, problem)


def _start(argv: list[str], machine: Machine, patience: float) -> str:
    """Start a command apart from this terminal; return why it failed, or nothing."""
    program = machine.which(argv[0]) or argv[0]
    try:
        with as_found():
            process = subprocess.Popen(  # noqa: S603 - the person's own browser, and the URL is one argument
                [program, *argv[1:]],
                env=without_secrets(machine.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
    except OSError as error:
        return f"could not be started: {error.strerror}"
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        # Somebody has to collect it when it ends, however long the sign-in takes.
        threading.Thread(target=process.wait, name="browser", daemon=True).start()
        return ""
    return f"failed with exit code {status}" if status else ""
