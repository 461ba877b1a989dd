"""Settings from the file, the environment and the command line: whichever comes later wins.

Everything that is wrong is said at once. A value is never repeated in an error: it may be a secret in the
wrong place.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.secret import Secret

from .contradictions import contradictions
from .folders import default_config_file
from .preset_key import preset_client_key
from .settings import SETTINGS, VARIABLE_PREFIX, Setting, Settings

DEFAULT: Final = "default"

# Read by the vault, or before any setting is: known here so that they are not taken for mistakes.
ENVIRONMENT_ONLY: Final = (
    "SIDEKEY_CLIENT_KEY",
    "SIDEKEY_CLIENT_KEY_FILE",
    "SIDEKEY_CONFIG",
    "SIDEKEY_HOME",
    "SIDEKEY_SEAL_KEY",
    "SIDEKEY_SEAL_KEY_FILE",
    "SIDEKEY_STATE_HOME",
)
_ELSEWHERE: Final = {
    "sandbox": "the sandbox is asked for with --sandbox on the command line, and nowhere else",
    "api_key": "an API key is stored with `sidekey key set`",
    "client_key": "it is given as SIDEKEY_CLIENT_KEY or SIDEKEY_CLIENT_KEY_FILE in the environment",
    "seal_key": "it is given as SIDEKEY_SEAL_KEY or SIDEKEY_SEAL_KEY_FILE in the environment",
    "home": "it is given as SIDEKEY_HOME in the environment",
    "state_home": "it is given as SIDEKEY_STATE_HOME in the environment",
    "config": "it is given as --config, or as SIDEKEY_CONFIG in the environment",
}
# Kubernetes and Docker put these into every container beside a service that is called sidekey.
_SERVICE_LINK = re.compile(
    r"SIDEKEY_(?:\w+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_\w+)?|PORT_[0-9]+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)"
)
_SERVICE_LINK_URL = re.compile(r"(?:tcp|udp|sctp)://")


@dataclass(frozen=True, slots=True)
class Configuration:
    """What was decided, and by whom.

    Attributes:
        settings: every setting's value.
        came_from: for each setting ``default``, ``file …``, ``environment …`` or ``command line …``.
        file: the settings' file, where one was read.
        client_key: the local client key that the environment presets.
    """

    settings: Settings
    came_from: Mapping[str, str]
    file: Path | None = None
    client_key: Secret | None = None


@dataclass(frozen=True, slots=True)
class _Source:
    """One place that settings come from.

    Attributes:
        name: for people.
        values: by the setting's name, in TOML's terms.
        folder: what relative paths are relative to; None is the working directory.
        keys: how the place itself calls a setting.
    """

    name: str
    values: Mapping[str, Any]
    folder: Path | None = None
    keys: Mapping[str, str] = field(default_factory=dict)

    def came_from(self, name: str) -> str:
        key = self.keys.get(name)
        return f"{self.name} {key}" if key else self.name

    def sentence(self, name: str, rest: str) -> str:
        where = self.name.removeprefix("file ")
        return f"{where}: {self.keys.get(name, f'`{name}`')} {rest}"


def load(
    environ: Mapping[str, str],
    *,
    config_file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Configuration:
    """Return the settings, having read the file that is named or lies in the usual place.

    Args:
        environ: the environment.
        config_file: what ``--config`` said.
        flags: by setting name what the command line said; None means that it said nothing.

    Raises:
        ConfigurationError: what cannot be used, all of it, a line each.
    """
    problems: list[str] = []
    sources = (
        _file_source(_config_path(environ, config_file), problems),
        _environment_source(environ, problems),
        _flag_source(flags or {}),
    )
    values, came_from = _merge(sources, problems)
    client_key = _client_key(environ, problems)
    settings = Settings(**values)
    problems += (_contradiction(sources, came_from, *found) for found in contradictions(settings))
    if problems:
        raise ConfigurationError(
            "\n".join(dict.fromkeys(problems)),
            remedy="config.example.toml describes every setting.",
        )
    read = sources[0]
    return Configuration(
        settings=settings,
        came_from=came_from,
        file=Path(read.name.removeprefix("file ")) if read.name else None,
        client_key=client_key,
    )


# --- deciding -------------------------------------------------------------------------------------------


def _merge(sources: Sequence[_Source], problems: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return each setting's value and where it came from; a value that cannot be used is a problem."""
    values = {name: setting.default for name, setting in SETTINGS.items()}
    came_from = dict.fromkeys(SETTINGS, DEFAULT)
    for source in sources:
        for name, raw in source.values.items():
            try:
                value = SETTINGS[name].kind.read(raw)
            except ValueError as error:
                problems.append(source.sentence(name, _refusal(SETTINGS[name], str(error))))
                continue
            values[name] = _placed(value, source.folder)
            came_from[name] = source.came_from(name)
    return values, came_from


def _refusal(setting: Setting, reason: str) -> str:
    because = f" ({reason})" if reason else ""
    return f"has a value that cannot be used{because}. Allowed: {setting.kind.allowed}."


def _placed(value: Any, folder: Path | None) -> Any:
    if not isinstance(value, Path):
        return value
    path = value.expanduser()
    return folder / path if folder else path.absolute()


def _contradiction(
    sources: Iterable[_Source],
    came_from: Mapping[str, str],
    name: str,
    reason: str,
) -> str:
    for source in sources:
        if name in source.values and came_from[name] == source.came_from(name):
            return source.sentence(name, f"cannot be used: {reason}.")
    return f"`{name}` cannot be used: {reason}."


def _unknown(key: str, known: Collection[str], shown: str) -> str:
    name = key.rpartition(".")[2].lower().removeprefix(VARIABLE_PREFIX.lower()).replace("-", "_")
    if name in _ELSEWHERE:
        return f"is not a setting: {_ELSEWHERE[name]}."
    # SIDEKEY_PORT wants to be SIDEKEY_LISTEN: what is only in people's heads is close to no name.
    meant = {"port": ["listen"], "host": ["listen", "hosts"], "base_url": ["upstream"]}.get(name)
    exact = [known_name for known_name in (key.replace(".", "_"), name) if known_name in known]
    close = meant or exact[:1] or difflib.get_close_matches(name, [*known], n=2, cutoff=0.6)
    hint = (
        f"; did you mean {' or '.join(shown.format(name=n, NAME=n.upper()) for n in close)}?"
        if close
        else "."
    )
    sections = " (settings stand at the top level, outside sections)" if "." in key else ""
    return f"is not a setting{sections}{hint}"


# --- the file -------------------------------------------------------------------------------------------


def _config_path(environ: Mapping[str, str], config_file: Path | None) -> Path | None:
    named = config_file or (Path(environ["SIDEKEY_CONFIG"]) if environ.get("SIDEKEY_CONFIG") else None)
    if named:
        return named.expanduser().absolute()
    usual = default_config_file()
    return usual if usual.is_file() else None


def _file_source(path: Path | None, problems: list[str]) -> _Source:
    if path is None:
        return _Source("", {})
    source = _Source(f"file {path}", {})
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}.")
        return source
    except UnicodeDecodeError:
        problems.append(f"{path}: is not UTF-8, as TOML must be.")
        return source
    except tomllib.TOMLDecodeError as error:
        problems.append(f"{path}: is not TOML: {_place_only(error)}.")
        return source
    known, unknown = _sorted_out(table)
    problems += (source.sentence(key, _unknown(key, SETTINGS, "`{name}`")) for key in unknown)
    return _Source(source.name, known, path.parent)


def _place_only(error: tomllib.TOMLDecodeError) -> str:
    # The parser's text may quote a character or a key of the file; only where it is, is told.
    place = re.search(r"\(at (.+)\)\Z", str(error))
    return f"the mistake is at {place[1]}" if place else "it has a mistake"


def _sorted_out(table: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    known: dict[str, Any] = {}
    unknown: list[str] = []
    for key, value in table.items():
        if key in SETTINGS:
            known[key] = value
        elif isinstance(value, dict) and value:
            unknown += (f"{key}.{inner}" for inner in value)
        else:
            unknown.append(key)
    return known, unknown


# --- the environment and the command line ---------------------------------------------------------------


def _environment_source(environ: Mapping[str, str], problems: list[str]) -> _Source:
    by_variable = {setting.variable: setting for setting in SETTINGS.values()}
    source = _Source("environment", {}, keys={s.name: s.variable for s in SETTINGS.values()})
    values: dict[str, Any] = {}
    for variable, text in sorted(environ.items()):
        if variable in by_variable:
            # Compose files set variables to nothing when they mean to leave them out.
            if text.strip():
                setting = by_variable[variable]
                values[setting.name] = setting.kind.from_text(text.strip())
        elif _is_mistaken(variable, text):
            names = [*SETTINGS, *(name.removeprefix(VARIABLE_PREFIX).lower() for name in ENVIRONMENT_ONLY)]
            problems.append(f"environment: {variable} {_unknown(variable, names, 'SIDEKEY_{NAME}')}")
    return _Source(source.name, values, keys=source.keys)


def _is_mistaken(variable: str, text: str) -> bool:
    if not variable.startswith(VARIABLE_PREFIX) or variable in ENVIRONMENT_ONLY:
        return False
    linked = _SERVICE_LINK.fullmatch(variable) or (
        variable.endswith("_PORT") and _SERVICE_LINK_URL.match(text)
    )
    return not linked


def _flag_source(flags: Mapping[str, Any]) -> _Source:
    values: dict[str, Any] = {}
    for name, given in flags.items():
        from_text = SETTINGS[name].kind.from_text
        if isinstance(given, str):
            values[name] = from_text(given)
        elif isinstance(given, list | tuple) and given:
            values[name] = [entry for text in given for entry in from_text(text)]
        elif isinstance(given, bool | int | float):
            values[name] = given
    return _Source("command line", values, keys={name: SETTINGS[name].flag for name in values})


def _client_key(environ: Mapping[str, str], problems: list[str]) -> Secret | None:
    try:
        return preset_client_key(environ)
    except ConfigurationError as error:
        problems.append(f"environment: {error}")
        return None
