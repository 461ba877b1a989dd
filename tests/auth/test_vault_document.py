"""The form of a sealed document."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.errors import VaultUnreadable, WrongSeal
from sidekey_auth.seal import Seal, new_seal_key
from sidekey_auth.vaults.document import (
    CLIENT_KEY,
    SEAL_CHECK,
    close_document,
    credential_of,
    open_document,
    read_identity,
    write_identity,
)

SEAL = Seal((new_seal_key(),))
VAULT = "0123456789abcdef"
DEFAULT = credential_of("default")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=6,
)


def closed(content: dict[str, Any] | None = None) -> bytes:
    return close_document(VAULT, DEFAULT, content or {"api_key": "sk-canary-0000000000000000"}, SEAL)


@given(st.dictionaries(st.text(), JSON))
def test_what_was_closed_opens(content: dict[str, Any]) -> None:
    assert open_document(VAULT, DEFAULT, close_document(VAULT, DEFAULT, content, SEAL), SEAL) == content


def test_only_where_it_belongs_can_be_read_from_outside() -> None:
    envelope = json.loads(closed())
    assert envelope.keys() == {"format", "vault", "profile", "sealed"}
    assert (envelope["format"], envelope["vault"], envelope["profile"]) == (1, VAULT, "default")
    assert b"sk-canary" not in closed()


@pytest.mark.parametrize(
    ("vault", "address"),
    [
        ("fedcba9876543210", DEFAULT),
        (VAULT, credential_of("work")),
        (VAULT, CLIENT_KEY),
        (VAULT, SEAL_CHECK),
    ],
)
@pytest.mark.parametrize("disguised", [False, True])
def test_no_document_passes_for_another(vault: str, address: Any, disguised: bool) -> None:
    """Not even when what stands around the seal is changed to fit: all of it stands inside, too."""
    data = closed()
    if disguised:
        data = json.dumps({**json.loads(data), "vault": vault, "profile": address.profile}).encode()
    with pytest.raises(VaultUnreadable):
        open_document(vault, address, data, SEAL)


def test_documents_without_a_profile_do_not_pass_for_each_other() -> None:
    data = close_document(VAULT, CLIENT_KEY, {"client_key": "x"}, SEAL)
    with pytest.raises(VaultUnreadable, match="something else"):
        open_document(VAULT, SEAL_CHECK, data, SEAL)


def test_another_seal_is_told_from_damage_in_the_form() -> None:
    with pytest.raises(WrongSeal):
        open_document(VAULT, DEFAULT, closed(), Seal((new_seal_key(),)))
    with pytest.raises(VaultUnreadable) as caught:
        open_document(VAULT, DEFAULT, closed()[:-20], SEAL)
    assert not isinstance(caught.value, WrongSeal)


def test_a_newer_format_asks_for_a_newer_sidekey() -> None:
    data = json.dumps({**json.loads(closed()), "format": 2}).encode()
    with pytest.raises(VaultUnreadable) as caught:
        open_document(VAULT, DEFAULT, data, SEAL)
    assert "update" in caught.value.remedy


@given(st.binary(max_size=200))
def test_garbage_is_unreadable_and_nothing_else(data: bytes) -> None:
    with pytest.raises(VaultUnreadable):
        open_document(VAULT, DEFAULT, data, SEAL)
    with pytest.raises(VaultUnreadable):
        read_identity(data)


@given(JSON)
def test_other_json_is_unreadable_and_nothing_else(value: Any) -> None:
    data = json.dumps(value).encode()
    with pytest.raises(VaultUnreadable):
        open_document(VAULT, DEFAULT, data, SEAL)
    with pytest.raises(VaultUnreadable):
        read_identity(data)


@given(st.sampled_from(["format", "vault", "profile", "sealed"]), JSON)
def test_a_field_of_another_value_is_unreadable_and_nothing_else(field: str, value: Any) -> None:
    envelope = json.loads(closed())
    if envelope[field] == value:
        return
    with pytest.raises(VaultUnreadable):
        open_document(VAULT, DEFAULT, json.dumps({**envelope, field: value}).encode(), SEAL)


@given(st.dictionaries(st.sampled_from(["format", "kind", "vault", "profile", "content"]), JSON))
def test_a_wrong_inside_is_unreadable_and_nothing_else(inside: dict[str, Any]) -> None:
    data = json.dumps({**json.loads(closed()), "sealed": SEAL.close(json.dumps(inside).encode())}).encode()
    with pytest.raises(VaultUnreadable):
        open_document(VAULT, DEFAULT, data, SEAL)


@given(st.data())
def test_a_changed_or_missing_byte_is_unreadable_or_harmless(data: st.DataObject) -> None:
    whole = bytearray(closed())
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        whole[position] = data.draw(st.integers(0, 255))
    else:
        del whole[position]
    try:
        content = open_document(VAULT, DEFAULT, bytes(whole), SEAL)
    except VaultUnreadable:
        return
    assert content == {"api_key": "sk-canary-0000000000000000"}


def test_very_deep_json_is_unreadable() -> None:
    for data in (b"[" * 200_000, b'{"format":' * 100_000, b'{"format": ' + b"9" * 10_000 + b"}"):
        with pytest.raises(VaultUnreadable):
            open_document(VAULT, DEFAULT, data, SEAL)
        with pytest.raises(VaultUnreadable):
            read_identity(data)


def test_the_identity_comes_back() -> None:
    assert read_identity(write_identity(VAULT)) == VAULT


@pytest.mark.parametrize("vault", ["", "../x", 7, None, "é"])
def test_an_odd_identity_is_unreadable(vault: object) -> None:
    with pytest.raises(VaultUnreadable):
        read_identity(json.dumps({"format": 1, "id": vault}).encode())
