"""The form of a sealed document: what stands around the seal, and inside it. Pure.

Around it, readable, so that people and backups can tell files apart::

    {"format": 1, "vault": "<id>", "profile": "<name>", "sealed": "<Fernet token>"}

Inside, all of it again with the kind, so that no blob passes for another, however files are moved about::

    {"format": 1, "kind": "credential", "vault": "<id>", "profile": "<name>", "content": {…}}
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from sidekey_auth.errors import VaultUnreadable, WrongSeal
from sidekey_auth.seal import Seal
from sidekey_auth.unchained import unchained

FORMAT: Final = 1
_NEWER: Final = "It was written by a newer sidekey: update this one."

Kind = Literal["credential", "client-key", "seal-check", "unsaved"]


@dataclass(frozen=True, slots=True)
class Address:
    """Which document it is.

    Attributes:
        kind: what it holds.
        profile: whose it is; empty where it is the whole vault's.
    """

    kind: Kind
    profile: str = ""

    def __str__(self) -> str:
        if self.kind == "credential":
            return f"the credential of profile {self.profile}"
        if self.kind == "unsaved":
            return f"what could not be saved for profile {self.profile}"
        return "the local client key" if self.kind == "client-key" else "the vault"


CLIENT_KEY: Final = Address("client-key")
SEAL_CHECK: Final = Address("seal-check")
"""An empty document: whoever opens it has the vault's present seal."""


def credential_of(profile: str) -> Address:
    """Return the address of a profile's credential."""
    return Address("credential", profile)


def unsaved_of(profile: str) -> Address:
    """Return the address of what could not be saved for a profile; such a document lies outside the vault."""
    return Address("unsaved", profile)


def close_document(vault: str, address: Address, content: Mapping[str, Any], seal: Seal) -> bytes:
    """Return the bytes of a sealed document.

    Args:
        vault: the vault's id.
        address: which document it is.
        content: what it holds, JSON-able.
        seal: the keys; the first one encrypts.
    """
    place = {"format": FORMAT, "vault": vault, "profile": address.profile}
    inside = {**place, "kind": address.kind, "content": dict(content)}
    return json.dumps({**place, "sealed": seal.close(json.dumps(inside).encode())}).encode() + b"\n"


@unchained
def open_document(vault: str, address: Address, data: bytes, seal: Seal) -> dict[str, Any]:
    """Return the content of a sealed document.

    Args:
        vault: the vault's id.
        address: which document it has to be.
        data: its bytes.
        seal: the keys.

    Raises:
        WrongSeal: another seal made it, or it is damaged.
        VaultUnreadable: it is not a document, or not this one.
    """
    envelope = _parsed(address, data)
    _check_place(vault, address, envelope)
    token = envelope.get("sealed")
    if not isinstance(token, str):
        raise VaultUnreadable(f"{address} is damaged: there is nothing sealed in it")
    try:
        inside = _parsed(address, seal.open(token))
    except WrongSeal:
        raise WrongSeal(f"{address} does not open: another seal made it, or it is damaged") from None
    _check_place(vault, address, inside)
    if inside.get("kind") != address.kind:
        raise VaultUnreadable(f"what is stored as {address} is something else")
    content = inside.get("content")
    if not isinstance(content, dict):
        raise VaultUnreadable(f"{address} is damaged: it has no content")
    return content


def _parsed(address: Address, data: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        raise VaultUnreadable(f"{address} is damaged: it is not JSON") from None
    if not isinstance(parsed, dict):
        raise VaultUnreadable(f"{address} is damaged: it is not a JSON object")
    return parsed


def _check_place(vault: str, address: Address, found: Mapping[str, Any]) -> None:
    form = found.get("format")
    if type(form) is not int or form < FORMAT:
        raise VaultUnreadable(f"{address} is damaged: its format is unknown")
    if form > FORMAT:
        raise VaultUnreadable(f"{address} has the format {form}", remedy=_NEWER)
    if found.get("vault") != vault:
        raise VaultUnreadable(
            f"what is stored as {address} belongs to another vault",
            remedy="Restore the folder as a whole from one backup, or run `sidekey vault reset`.",
        )
    if found.get("profile") != address.profile:
        raise VaultUnreadable(f"what is stored as {address} is another profile's")


def write_identity(vault: str) -> bytes:
    """Return the bytes of ``vault.json``."""
    return json.dumps({"format": FORMAT, "id": vault}).encode() + b"\n"


@unchained
def read_identity(data: bytes) -> str:
    """Return the vault's id from the bytes of ``vault.json``.

    Raises:
        VaultUnreadable: it is damaged, or of a newer format.
    """
    try:
        parsed = json.loads(data)
        form, vault = parsed["format"], parsed["id"]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise VaultUnreadable("vault.json is damaged") from None
    if type(form) is int and form > FORMAT:
        raise VaultUnreadable(f"vault.json has the format {form}", remedy=_NEWER)
    if form != FORMAT or not isinstance(vault, str) or not vault.isalnum() or not vault.isascii():
        raise VaultUnreadable("vault.json is damaged")
    return vault
