"""What browsers put into WebSocket subprotocols because they cannot put it into headers."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.exchange import Headers
from sidekey_proxy.message.subprotocols import client_keys, upward

NAME = b"Sec-WebSocket-Protocol"
entries = st.text(string.ascii_letters + "-._", min_size=1, max_size=12).map(str.encode)


def offered(*values: bytes) -> Headers:
    return tuple((NAME, value) for value in values)


def shown(*values: bytes) -> list[str]:
    return [key.reveal() for key in client_keys(offered(*values))]


def test_keys_are_found_wherever_they_stand() -> None:
    assert shown(b"realtime, openai-insecure-api-key.sk-side-a", b"x,OpenAI-Insecure-API-Key.sk-side-B") == [
        "sk-side-a",
        "sk-side-B",
    ]


@pytest.mark.parametrize("value", [b"", b"realtime", b"openai-insecure-api-key.", b"openai-insecure-api-key"])
def test_where_there_is_none_none_is_found(value: bytes) -> None:
    assert shown(value) == []


@given(st.lists(entries, max_size=4), st.lists(entries, max_size=4), entries)
def test_the_key_falls_and_all_others_keep_their_order(
    before: list[bytes], after: list[bytes], key: bytes
) -> None:
    value = b" , ".join([*before, b"openai-insecure-api-key." + key, *after])
    left = b", ".join([*before, *after])
    assert upward(offered(value)) == (offered(left) if left else ())


def test_a_key_falls_in_any_case() -> None:
    assert upward(offered(b"OpenAI-Insecure-API-Key.sk-side-a,realtime")) == offered(b"realtime")


@given(st.lists(entries, min_size=1, max_size=4).map(b",".join))
def test_a_value_without_a_key_passes_byte_for_byte(value: bytes) -> None:
    headers = ((b"a", b"openai-insecure-api-key.x"), *offered(value, b" odd ,, spacing "), (b"b", b""))
    assert upward(headers) == headers


def test_organization_and_project_fall_only_where_they_are_to() -> None:
    value = b"realtime, openai-organization.org-1, openai-project.proj_1, openai-beta.realtime-v1"
    assert upward(offered(value)) == offered(value)
    assert upward(offered(value), organization=False) == offered(b"realtime, openai-beta.realtime-v1")
