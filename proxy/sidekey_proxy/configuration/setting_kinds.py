"""The kinds of values that settings have: how each is written, read and shown. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar
from urllib.parse import urlsplit

from sidekey_auth.credential import checked_profile
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.hosts import is_loopback_host, parse_host
from sidekey_auth.key_name import checked_template
from sidekey_auth.upstream import parse_allowed, parse_base
from sidekey_proxy.addresses import ListenAddress, parse_listen

T = TypeVar("T")

_TRUE: Final = ("true", "yes", "on", "1")
_FALSE: Final = ("false", "no", "off", "0")
_LONGEST_SECONDS: Final = 31 * 24 * 3600
_HIGHEST_PORT: Final = 65535
_USUAL_PORTS: Final = {"https": ":443", "http": ":80"}


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One kind of value.

    Attributes:
        allowed: what may be written, for people: it ends the sentence "Allowed: …".
        read: makes the value of what a TOML file holds; ValueError where it cannot, its text the reason.
        from_text: makes what a TOML file would hold of an environment variable's or a flag's text.
        plain: makes of the value what a TOML file would hold.
    """

    allowed: str
    read: Callable[[Any], T]
    from_text: Callable[[str], Any]
    plain: Callable[[T], Any]


def _read_bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004 - every refusal of a value is a ValueError here
    return value


def _bool_from_text(text: str) -> Any:
    word = text.lower()
    return True if word in _TRUE else False if word in _FALSE else text


def _read_text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError  # noqa: TRY004
    if not value.isprintable():
        raise ValueError("it holds a character that does not print")
    return value.strip()


def _same(value: Any) -> Any:
    return value


BOOLEAN: Final[Kind[bool]] = Kind("true or false", _read_bool, _bool_from_text, _same)
TEXT: Final[Kind[str]] = Kind("a text", _read_text, _same, _same)


def choice(*words: str) -> Kind[Any]:
    """Return the kind of a value that is one of a few words."""

    def read(value: Any) -> str:
        text = _read_text(value)
        if text not in words:
            raise ValueError
        return text

    quoted = [f'"{word}"' for word in words]
    return Kind(f"{', '.join(quoted[:-1])} or {quoted[-1]}", read, _same, _same)


def _number(text: str) -> Any:
    try:
        return int(text) if re.fullmatch(r"[0-9]+", text) else float(text)
    except ValueError:
        return text


def seconds(*, at_least: float) -> Kind[float]:
    """Return the kind of a duration in seconds, at most 31 days.

    Args:
        at_least: the shortest one allowed, in seconds.
    """

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError
        if not at_least <= value <= _LONGEST_SECONDS:
            raise ValueError
        return float(value)

    def plain(value: float) -> int | float:
        return int(value) if value.is_integer() else value

    return Kind(f"a number of seconds, from {at_least:g} to {_LONGEST_SECONDS}", read, _number, plain)


_UNITS: Final = {"KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}


def _read_size(value: Any) -> int:
    if isinstance(value, str) and (written := re.fullmatch(r"([0-9]{1,9}) ?([KMG]iB)", value.strip())):
        return int(written[1]) * _UNITS[written[2]]
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _read_count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError
    return value


def _plain_size(value: int) -> int | str:
    unit = next((unit for unit in ("GiB", "MiB", "KiB") if value and not value % _UNITS[unit]), None)
    return f"{value // _UNITS[unit]} {unit}" if unit else value


def _read_port(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _HIGHEST_PORT:
        raise ValueError
    return value


def _read_address(value: Any) -> ListenAddress:
    return parse_listen(str(value) if type(value) is int else _read_text(value))


def _read_host(value: Any) -> str:
    return parse_host(_read_text(value))


def _read_origin(value: Any) -> str:
    """Return a browser's Origin as it stands in its header (RFC 6454 section 6.1): without a usual port."""
    text = _read_text(value)
    parts = urlsplit(text)
    if not parts.scheme or not parts.netloc or parts.path or parts.query or parts.fragment:
        raise ValueError
    if "@" in parts.netloc or not text.isascii():
        raise ValueError("an origin is scheme, host and port as a browser writes them")
    return text.lower().removesuffix(_USUAL_PORTS.get(parts.scheme, ""))


def _read_upstream(value: Any) -> str:
    return str(parse_base(_read_text(value)))


def _read_allowed_upstream(value: Any) -> str:
    return str(parse_allowed(_read_text(value)))


def _read_issuer(value: Any) -> str:
    text = _read_text(value).rstrip("/")
    origin = parse_base(text).origin
    if origin.scheme != "https" and not is_loopback_host(origin.host):
        raise ValueError("an issuer is reached by https:// except on this machine")
    return text


def _read_path(value: Any) -> Path | None:
    text = _read_text(value)
    return Path(text) if text else None


def _read_profile(value: Any) -> str:
    try:
        return checked_profile(_read_text(value))
    except ConfigurationError:
        raise ValueError from None


def _read_key_name(value: Any) -> str:
    return checked_template(_read_text(value))


def _some_text(value: Any) -> str:
    text = _read_text(value)
    if not text:
        raise ValueError
    return text


COUNT: Final[Kind[int]] = Kind("a number, or 0 for no limit", _read_count, _number, _same)
SIZE: Final[Kind[int]] = Kind(
    'a size such as "64 MiB" (KiB, MiB, GiB), or a number of bytes', _read_size, _number, _plain_size
)
PORT: Final[Kind[int]] = Kind("a port from 1 to 65535, or 0 for any free one", _read_port, _number, _same)
ADDRESS: Final[Kind[ListenAddress]] = Kind(
    'addresses such as "127.0.0.1:8484", "[::1]:8484", "https://0.0.0.0:8443" or '
    '"unix:/run/sidekey.sock?mode=0660"',
    _read_address,
    _same,
    str,
)
HOST: Final[Kind[str]] = Kind("host names or IP addresses, without a port", _read_host, _same, _same)
ORIGIN: Final[Kind[str]] = Kind('origins such as "https://app.example"', _read_origin, _same, _same)
UPSTREAM: Final[Kind[str]] = Kind(
    'a base URL such as "https://api.openai.com/v1"', _read_upstream, _same, _same
)
ALLOWED_UPSTREAM: Final[Kind[str]] = Kind(
    'hosts or origins such as "gateway.example" or "https://gateway.example:8443"',
    _read_allowed_upstream,
    _same,
    _same,
)
ISSUER: Final[Kind[str]] = Kind('a URL such as "https://auth.openai.com"', _read_issuer, _same, _same)
PATH: Final[Kind[Path | None]] = Kind("a path, or nothing", _read_path, _same, lambda path: str(path or ""))
PROFILE: Final[Kind[str]] = Kind(
    "1 to 64 of a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends",
    _read_profile,
    _same,
    _same,
)
KEY_NAME: Final[Kind[str]] = Kind(
    "a text, in which {host}, {profile} and {date} may stand", _read_key_name, _same, _same
)
SOME_TEXT: Final[Kind[str]] = Kind("a text that is not empty", _some_text, _same, _same)


def list_of(item: Kind[T], of: str = "", *, at_least: int = 0) -> Kind[tuple[T, ...]]:
    """Return the kind of a list: an array in TOML, comma-separated in a variable or flag.

    Args:
        item: the kind of each entry; one entry may stand without its list.
        of: what the entries are, for people; what the item says where it is left out.
        at_least: how many entries there must be.
    """

    def read(value: Any) -> tuple[T, ...]:
        values = value if isinstance(value, list) else [value]
        entries = tuple(dict.fromkeys(item.read(entry) for entry in values))
        if len(entries) < at_least:
            raise ValueError("the list is empty")
        return entries

    def from_text(text: str) -> list[Any]:
        return [item.from_text(entry.strip()) for entry in text.split(",") if entry.strip()]

    def plain(value: tuple[T, ...]) -> list[Any]:
        return [item.plain(entry) for entry in value]

    return Kind(f"a list of {of or item.allowed}", read, from_text, plain)
