"""All that is stored for one profile, and its plain form inside the seal. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

from .errors import ConfigurationError, VaultUnreadable
from .made_keys import MadeKey, from_list, to_list
from .secret import Secret, secret_or_none
from .unchained import unchained

Mode = Literal["chatgpt", "api_key", "workload"]
MODES: Final[tuple[Mode, ...]] = get_args(Mode)

DEFAULT_PROFILE: Final = "default"
_PROFILE_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


def checked_profile(name: str) -> str:
    """Return the profile's name if it can be one.

    Raises:
        ConfigurationError: it has characters that a file name or a log line should not have.
    """
    if not _PROFILE_NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} cannot be a profile's name",
            remedy="Use 1 to 64 of a-z, 0-9, '.', '_' and '-', with a letter or digit at both ends.",
        )
    return name


@dataclass(frozen=True, slots=True)
class Bearer:
    """The value put after ``Authorization: Bearer `` upstream.

    Attributes:
        value: the API key or token itself.
        generation: the credential's generation that it belongs to.
        origin: the mode it comes from; ``api_key`` in mode ``chatgpt`` means the fallback.
    """

    value: Secret
    generation: int
    origin: Mode


@dataclass(frozen=True, slots=True)
class TokenSet:
    """What the issuer's token endpoint returned; a refresh may leave any of them out (RFC 6749 section 6)."""

    id_token: Secret | None = None
    access_token: Secret | None = None
    refresh_token: Secret | None = None


@dataclass(frozen=True, slots=True)
class RefreshNote:
    """Written when the connection stands, before the first byte of a refresh: this very token goes out now.

    A note counts what was sent. Where no byte of the refresh left after all, the note before it is put back.

    Attributes:
        token: the refresh token's fingerprint.
        sends: how many times it has been sent without an answer, this one included.
        at: Unix time in seconds.
        in_doubt: an answer to it left open whether it was spent; that is counted in no send.
    """

    token: str
    sends: int
    at: float
    in_doubt: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """A permanent failure, remembered for the very token that it struck, so that nobody is asked again.

    Attributes:
        token: the fingerprint of the refused token (a refresh token, or the id_token of a key exchange).
        code: for programs, such as ``refresh_token_reused`` or ``no_platform_key``.
        message: for people.
        at: Unix time in seconds.
    """

    token: str
    code: str
    message: str
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """All that is stored for one profile.

    Attributes:
        profile: its name.
        mode: where the bearer comes from.
        generation: the number of the present bearer; it only ever grows.
        api_key: the Platform API key that the id_token was traded for.
        static_key: the API key that a person stored: mode ``api_key``, and the fallback of ``chatgpt``.
        id_token: the newest id_token whose signature and account have been checked.
        unverified_id_token: one that a refresh returned and that has not been checked yet.
        access_token, refresh_token: as the issuer returned them.
        last_refresh: when the tokens were last obtained.
        issuer, client_id: whom the tokens came from, and for which client; None means the settings'.
        received_at: Unix time in seconds at which the id_token arrived.
        key_source: fingerprint of the id_token that ``api_key`` was traded for.
        key_refused: upstream has answered 401 to ``api_key``.
        traded_again: fingerprint of the id_token that, for want of a refresh token, was traded once more.
        note: the refresh that is under way, or whose answer was lost.
        refresh_failure: a permanent failure of the refresh token.
        exchange_failure: a permanent failure of the key exchange.
        sign_in: which sign-in the tokens belong to: the generation that a sign-in, an import or a sign-out
            was stored with. It grows; two credentials with the same number have the same origin.
        refreshes: how often the tokens of this sign-in were refreshed. The higher number is the newer token.
        imported_token: fingerprint of the refresh token that an import brought, also after a refresh or a
            sign-out: the same file again is known by it.
        imported_from: the program that the tokens were imported from, such as ``codex``, and that may still
            use them; None after a sign-in of one's own.
        keys_made: how many API keys this profile has made, ever.
        made_keys: the newest of them, oldest first (see ``made_keys``).
    """

    profile: str = DEFAULT_PROFILE
    mode: Mode = "api_key"
    generation: int = 0
    api_key: Secret | None = None
    static_key: Secret | None = None
    id_token: Secret | None = None
    unverified_id_token: Secret | None = None
    access_token: Secret | None = None
    refresh_token: Secret | None = None
    last_refresh: datetime | None = None
    issuer: str | None = None
    client_id: str | None = None
    received_at: float | None = None
    key_source: str | None = None
    key_refused: bool = False
    traded_again: str | None = None
    note: RefreshNote | None = None
    refresh_failure: Failure | None = None
    exchange_failure: Failure | None = None
    sign_in: int = 0
    refreshes: int = 0
    imported_token: str | None = None
    imported_from: str | None = None
    keys_made: int = 0
    made_keys: tuple[MadeKey, ...] = ()

    @property
    def signed_in(self) -> bool:
        """Whether anything of a sign-in or an import is stored."""
        return any(
            (self.api_key, self.id_token, self.unverified_id_token, self.refresh_token, self.access_token)
        )

    def secrets(self) -> tuple[Secret, ...]:
        """Return every secret it holds."""
        values = (getattr(self, item.name) for item in fields(self))
        return tuple(value for value in values if isinstance(value, Secret))


def bearer_of(credential: Credential, *, refused_too: bool = False) -> Bearer | None:
    """Return what is put on a request now, or None: the mode's own key, else the static key as fallback.

    Args:
        credential: as it stands.
        refused_too: where there is nothing else, serve the own key though upstream has refused it: its
            answer is truer than a memory of one.
    """
    own = credential.api_key if credential.mode == "chatgpt" else None
    if own and not credential.key_refused:
        return Bearer(own, credential.generation, "chatgpt")
    if credential.static_key:
        return Bearer(credential.static_key, credential.generation, "api_key")
    return Bearer(own, credential.generation, "chatgpt") if own and refused_too else None


def next_generation(last: int, now: float) -> int:
    """Return the generation of a sign-in, an import or a stored key: max(last + 1, Unix time in ms).

    Args:
        last: the generation before.
        now: Unix time in seconds.
    """
    return max(last + 1, int(now * 1000))


def signed_out(credential: Credential, now: float) -> Credential:
    """Return what stays after a sign-out: the static key, a tombstone's generation, which keys were made."""
    generation = next_generation(credential.generation, now)
    return Credential(
        profile=credential.profile,
        mode="api_key",
        generation=generation,
        sign_in=generation,
        static_key=credential.static_key,
        imported_token=credential.imported_token,
        keys_made=credential.keys_made,
        made_keys=credential.made_keys,
    )


def key_refused(credential: Credential, key: Secret) -> Credential:
    """Return the credential after upstream answered 401 to a key; unchanged where it is not the present one.

    The fallback that serves from now on is another bearer, so it has a number of its own.
    """
    if credential.api_key != key or credential.key_refused:
        return credential
    generation = credential.generation + (1 if credential.static_key else 0)
    return replace(credential, key_refused=True, generation=generation)


def key_accepted(credential: Credential, key: Secret) -> Credential:
    """Return the credential after upstream let a key pass that it had refused before."""
    if credential.api_key != key or not credential.key_refused:
        return credential
    generation = credential.generation + (1 if credential.static_key else 0)
    return replace(credential, key_refused=False, generation=generation)


def with_tokens(credential: Credential, tokens: TokenSet, now: float) -> Credential:
    """Return the credential with what a refresh returned: absent tokens keep the old ones.

    The id_token stays apart until it has been checked.

    Args:
        credential: as it was when the refresh was sent.
        tokens: the issuer's answer.
        now: Unix time in seconds.
    """
    return replace(
        credential,
        unverified_id_token=tokens.id_token or credential.unverified_id_token,
        access_token=tokens.access_token or credential.access_token,
        refresh_token=tokens.refresh_token or credential.refresh_token,
        last_refresh=datetime.fromtimestamp(now, UTC),
        refreshes=credential.refreshes + 1,
        note=None,
        refresh_failure=None,
    )


# --- the plain form, which only ever exists inside the seal ----------------------------------------------

FORMAT: Final = 1
_SECRETS = ("api_key", "static_key", "id_token", "unverified_id_token", "access_token", "refresh_token")
_PLAIN: Final[Mapping[str, tuple[type, ...]]] = {
    "generation": (int,),
    "issuer": (str,),
    "client_id": (str,),
    "received_at": (int, float),
    "key_source": (str,),
    "key_refused": (bool,),
    "traded_again": (str,),
    "sign_in": (int,),
    "refreshes": (int,),
    "imported_token": (str,),
    "imported_from": (str,),
    "keys_made": (int,),
}
_RECORDS: Final[Mapping[str, type[RefreshNote | Failure]]] = {
    "note": RefreshNote,
    "refresh_failure": Failure,
    "exchange_failure": Failure,
}


def to_document(credential: Credential) -> dict[str, Any]:
    """Return the credential as JSON-able values, secrets in plain text: for the seal only."""
    document: dict[str, Any] = {"mode": credential.mode}
    for name in _SECRETS:
        secret: Secret | None = getattr(credential, name)
        document[name] = secret.reveal() if secret else None
    for name in _PLAIN:
        document[name] = getattr(credential, name)
    for name, record in _RECORDS.items():
        value = getattr(credential, name)
        document[name] = {f.name: getattr(value, f.name) for f in fields(record)} if value else None
    last = credential.last_refresh
    document["last_refresh"] = last.astimezone(UTC).isoformat() if last else None
    document["made_keys"] = to_list(credential.made_keys)
    return document


@unchained
def from_document(profile: str, document: Mapping[str, Any]) -> Credential:
    """Return the credential that a document holds.

    Raises:
        VaultUnreadable: a field is not of its type; the message names the field, never its value.
    """
    mode = document.get("mode", "api_key")
    if mode not in MODES:
        raise VaultUnreadable("the vault's field mode holds an unknown mode", remedy="Update sidekey.")
    values: dict[str, Any] = {"profile": profile, "mode": mode}
    for name in _SECRETS:
        values[name] = secret_or_none(_typed(document, name, (str,)))
    for name, types in _PLAIN.items():
        value = _typed(document, name, types)
        if value is not None:
            values[name] = value
    for name, record in _RECORDS.items():
        value = _typed(document, name, (dict,))
        values[name] = _record(name, record, value) if value is not None else None
    last = _typed(document, "last_refresh", (str,))
    values["last_refresh"] = _time("last_refresh", last) if last else None
    values["made_keys"] = _made_keys(_typed(document, "made_keys", (list,)))
    return Credential(**values)


def _typed(document: Mapping[str, Any], name: str, types: tuple[type, ...]) -> Any:
    value = document.get(name)
    wrong_bool = isinstance(value, bool) and bool not in types
    if value is not None and (wrong_bool or not isinstance(value, types)):
        raise VaultUnreadable(f"the vault's field {name} is not of its type")
    return value


def _record(name: str, record: type[RefreshNote | Failure], value: dict[str, Any]) -> RefreshNote | Failure:
    try:
        return record(**value)
    except TypeError:
        raise VaultUnreadable(f"the vault's field {name} is not of its type") from None


def _time(name: str, text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise VaultUnreadable(f"the vault's field {name} is not a time") from None


def _made_keys(values: list[Any] | None) -> tuple[MadeKey, ...]:
    try:
        return from_list(values or [])
    except ValueError:
        raise VaultUnreadable("the vault's field made_keys is not of its type") from None
