"""What a process could not save, merged with what it finds stored later. Pure.

``Unsaved`` is a record: what a change was based on, and what came out. ``merge`` is a three-way merge of
that record with what is stored now, so that neither the unsaved tokens nor what others stored is lost:

    stored now                                          what holds
    another sign-in than the base's (an import,         what is stored: a person decided so
        a login, a sign-out)
    the base's sign-in, and the result is a newer       the result, with mode and static key as stored
        sign-in (one that could not be saved)
    fewer refreshes than the result (the base itself,   the result's tokens, and its key where it made one
        or a restored backup: its token is spent)
    as many or more refreshes (another process)         the stored tokens
    a key that the base did not have                    the stored key, unless it is of older tokens
                                                        or, in a restored backup, the older key
    mode, static key                                    as stored, always: only a person changes them
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from .credential import Credential, Failure, bearer_of, from_document, to_document
from .errors import VaultUnreadable
from .made_keys import MOST_KEPT, MadeKey

_TOKENS: Final = (
    "id_token",
    "unverified_id_token",
    "access_token",
    "refresh_token",
    "last_refresh",
    "received_at",
    "issuer",
    "client_id",
    "note",
    "refresh_failure",
    "refreshes",
)
_KEY: Final = ("api_key", "key_source", "key_refused", "traded_again", "exchange_failure")


@dataclass(frozen=True, slots=True)
class Base:
    """What tells one state of a credential from another, without a secret.

    Attributes:
        sign_in, refreshes, generation: the credential's.
        verified: its newest id_token has been checked.
        note: how often the refresh token went out unanswered.
        api_key: the key's fingerprint, or None.
        key_refused: upstream has answered 401 to that key.
        refresh_failure, exchange_failure: the permanent failures that stand in it: token and code.
    """

    sign_in: int
    refreshes: int
    generation: int
    verified: bool
    note: int
    api_key: str | None
    key_refused: bool
    refresh_failure: str | None = None
    exchange_failure: str | None = None


@dataclass(frozen=True, slots=True)
class Unsaved:
    """A change that could not be written.

    Attributes:
        base: what it was based on.
        result: what came out.
    """

    base: Base
    result: Credential


def base_of(credential: Credential) -> Base:
    """Return what a change of this credential is based on."""
    return Base(
        sign_in=credential.sign_in,
        refreshes=credential.refreshes,
        generation=credential.generation,
        verified=credential.unverified_id_token is None,
        note=credential.note.sends if credential.note else 0,
        api_key=credential.api_key.fingerprint() if credential.api_key else None,
        key_refused=credential.key_refused,
        refresh_failure=_named(credential.refresh_failure),
        exchange_failure=_named(credential.exchange_failure),
    )


def _named(failure: Failure | None) -> str | None:
    return f"{failure.token} {failure.code}" if failure else None


def precious(unsaved: Unsaved) -> bool:
    """Return whether a record holds tokens or a key, which come only once; else it is a remark."""
    ours, base = base_of(unsaved.result), unsaved.base
    return (ours.sign_in, ours.refreshes, ours.verified, ours.api_key) != (
        base.sign_in,
        base.refreshes,
        base.verified,
        base.api_key,
    )


def merge(stored: Credential, unsaved: Unsaved) -> Credential:
    """Return what holds, by the table above; equal to ``stored`` where nothing of the record is left to save.

    Args:
        stored: what the vault holds now.
        unsaved: the record.
    """
    return _with_made_keys(_merged(stored, unsaved), stored, unsaved.result)


def _merged(stored: Credential, unsaved: Unsaved) -> Credential:
    base, result = unsaved.base, unsaved.result
    if stored.sign_in != result.sign_in:
        return _with_persons_choices(result, stored) if stored.sign_in == base.sign_in else stored
    now = base_of(stored)
    ours = base_of(result)
    tokens = result if _tokens_are_newer(ours, now, base) else stored
    key = result if _key_is_newer(ours, now, base) else stored
    merged = replace(
        stored,
        **{name: getattr(tokens, name) for name in _TOKENS},
        **{name: getattr(key, name) for name in _KEY},
    )
    return replace(merged, generation=_generation(merged, stored, result))


def _tokens_are_newer(ours: Base, now: Base, base: Base) -> bool:
    progress, stored = (ours.refreshes, ours.verified), (now.refreshes, now.verified)
    if progress != stored:
        return progress > stored
    # The same tokens: what differs is a note or a failure. Ours holds if only we have changed it.
    before = (base.note, base.refresh_failure)
    return (ours.note, ours.refresh_failure) != before == (now.note, now.refresh_failure)


def _key_is_newer(ours: Base, now: Base, base: Base) -> bool:
    if now.api_key == base.api_key:
        if ours.api_key != base.api_key:
            return True
        before = (base.key_refused, base.exchange_failure)
        return (ours.key_refused, ours.exchange_failure) != before == (now.key_refused, now.exchange_failure)
    if ours.api_key != base.api_key:
        # Both have another key than the base. That of the newer tokens holds; of equals, the stored one.
        return ours.refreshes > now.refreshes
    # The numbers tell a newer key of another process from the older one of a restored backup.
    return ours.refreshes > now.refreshes and ours.generation > now.generation


def _with_persons_choices(result: Credential, stored: Credential) -> Credential:
    static = stored.static_key
    # With another static key it is no longer the bearer that the result's own number stands for.
    number = result.generation + (1 if static != result.static_key else 0)
    generation = max(number, stored.generation + 1)
    return replace(result, static_key=static, generation=generation, sign_in=result.sign_in)


def _with_made_keys(merged: Credential, stored: Credential, result: Credential) -> Credential:
    """Return it with the records of all keys that were made, whoever's sign-in holds: they can be deleted."""
    newest = sorted({*stored.made_keys, *result.made_keys}, key=_by_age)[-MOST_KEPT:]
    more = [key for key in newest if key not in stored.made_keys]
    count = max(stored.keys_made + len(more), result.keys_made)
    return replace(merged, keys_made=count, made_keys=tuple(newest) if more else stored.made_keys)


def _by_age(key: MadeKey) -> tuple[float, str, str]:
    return key.at, key.name or "", key.last_four


def _generation(merged: Credential, stored: Credential, result: Credential) -> int:
    """Return the merged bearer's number: no number ever stands for two bearers, and none comes back."""
    highest = max(stored.generation, result.generation)
    held = bearer_of(merged, refused_too=True)
    for source in (stored, result):
        other = bearer_of(source, refused_too=True)
        if source.generation == highest and other and held and other.value != held.value:
            return highest + 1
    return highest


# --- the plain form, which only ever exists inside the seal ----------------------------------------------


def to_plain(unsaved: Unsaved) -> dict[str, Any]:
    """Return the record as JSON-able values, secrets in plain text: for the seal only."""
    return {"base": asdict(unsaved.base), "result": to_document(unsaved.result)}


def from_plain(profile: str, document: Mapping[str, Any]) -> Unsaved:
    """Return the record that a document holds.

    Raises:
        VaultUnreadable: a part of it is not of its type.
    """
    base, result = document.get("base"), document.get("result")
    if not isinstance(base, dict) or not isinstance(result, dict):
        raise VaultUnreadable("a record of what could not be saved is damaged")
    try:
        known = Base(**base)
    except TypeError:
        raise VaultUnreadable("a record of what could not be saved is damaged") from None
    return Unsaved(known, from_document(profile, result))
