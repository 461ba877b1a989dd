"""The keys that encrypt a vault."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.errors import SealError, WrongSeal
from sidekey_auth.seal import Seal, new_seal_key, parse_seal
from sidekey_auth.secret import Secret

OLD, NEW = new_seal_key(), new_seal_key()


def test_a_new_key_is_32_random_bytes() -> None:
    keys = [new_seal_key().reveal() for _ in range(100)]
    assert {len(base64.urlsafe_b64decode(key)) for key in keys} == {32}
    assert len(set(keys)) == 100


def test_a_seal_opens_what_it_closed_and_shows_nothing_of_it() -> None:
    seal = Seal((new_seal_key(),))
    closed = seal.close(b"sk-canary-in-plain-text")
    assert seal.open(closed) == b"sk-canary-in-plain-text"
    assert "canary" not in closed
    assert closed != seal.close(b"sk-canary-in-plain-text")


def test_the_first_key_encrypts_and_each_key_opens() -> None:
    both = Seal((NEW, OLD))
    assert both.open(Seal((OLD,)).close(b"x")) == b"x"
    assert Seal((NEW,)).open(both.close(b"x")) == b"x"
    with pytest.raises(WrongSeal):
        Seal((OLD,)).open(both.close(b"x"))


@given(st.text(max_size=200))
def test_what_is_not_sealed_never_opens(token: str) -> None:
    with pytest.raises(WrongSeal):
        Seal((OLD,)).open(token)


@given(st.binary(max_size=300), st.data())
def test_a_changed_bit_never_opens(content: bytes, data: st.DataObject) -> None:
    seal = Seal((OLD,))
    raw = bytearray(base64.urlsafe_b64decode(seal.close(content)))
    position = data.draw(st.integers(0, len(raw) - 1))
    raw[position] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(WrongSeal):
        seal.open(base64.urlsafe_b64encode(bytes(raw)).decode())


@pytest.mark.parametrize("between", [" ", ",", ", ", "\n", "\r\n", "\n\n\t"])
def test_keys_are_separated_by_commas_spaces_or_lines(between: str) -> None:
    text = f"\n {NEW.reveal()}{between}{OLD.reveal()}{between}"
    assert parse_seal(text, "the test").keys == (NEW, OLD)


def test_a_key_needs_no_padding_and_counts_once() -> None:
    bare = NEW.reveal().rstrip("=")
    assert parse_seal(f"{bare} {NEW.reveal()}", "the test").keys == (NEW,)


def test_a_seal_is_written_as_it_is_read() -> None:
    seal = Seal((NEW, OLD))
    assert parse_seal(seal.written().reveal(), "the test") == seal


@pytest.mark.parametrize("text", ["", " \n", ",,"])
def test_an_empty_seal_is_an_error_that_names_its_source(text: str) -> None:
    with pytest.raises(SealError, match="SIDEKEY_SEAL_KEY is set and holds no seal key") as caught:
        parse_seal(text, "SIDEKEY_SEAL_KEY")
    assert "sidekey seal new" in caught.value.remedy


@pytest.mark.parametrize(
    "bad",
    [
        "correct-horse-battery-staple",
        "A" * 42,
        "A" * 45,
        "A" * 42 + "!=",
        base64.b64encode(b"\xff" * 32).decode(),
        base64.urlsafe_b64encode(b"canary-31-bytes-canary-31-bytes").decode(),
        "é" * 43,
    ],
)
def test_a_bad_key_is_named_by_its_source_and_never_shown(bad: str) -> None:
    with pytest.raises(SealError) as alone:
        parse_seal(bad, "SIDEKEY_SEAL_KEY")
    assert str(alone.value) == "what is in SIDEKEY_SEAL_KEY is not a seal key"
    with pytest.raises(SealError) as second:
        parse_seal(f"{OLD.reveal()},{bad}", "SIDEKEY_SEAL_KEY")
    assert str(second.value) == "key 2 in SIDEKEY_SEAL_KEY is not a seal key"
    assert bad not in alone.value.remedy + second.value.remedy


def test_a_seal_does_not_show_its_keys() -> None:
    seal = Seal((Secret(OLD.reveal()), NEW))
    assert OLD.reveal() not in repr(seal)
    assert repr(seal) == "Seal(keys=(***, ***))"
