"""What two instances say to each other when one takes over from the other."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.addresses import Address, UnixAddress
from sidekey_proxy.running import handover
from sidekey_proxy.running.handover import MOST_SOCKETS, Offered, TakeOverFailed

SOCKETS = (
    Offered("clients", Address("127.0.0.1", 0)),
    Offered("clients", Address("0.0.0.0", 8443, tls=True), given=True),
    Offered("admin", UnixAddress("/run/s", 0o660), file=(1, 2)),
    Offered("take-over", UnixAddress("/gate"), file=(1, 3)),
)


def test_every_message_reads_back_as_it_was_said() -> None:
    handover.heard_ask(handover.ask())
    assert handover.heard_offer(handover.offer(SOCKETS), 4) == SOCKETS
    assert handover.heard_serving(handover.serving({3, 1}), 4) == {1, 3}
    handover.heard_draining(handover.draining())


def test_a_message_at_another_place_is_unexpected() -> None:
    with pytest.raises(TakeOverFailed, match="unexpected"):
        handover.heard_draining(handover.ask())


def test_a_refusal_is_told_with_its_reason_wherever_it_comes() -> None:
    with pytest.raises(TakeOverFailed, match="it goes on"):
        handover.heard_draining(handover.refused("it goes on"))
    with pytest.raises(TakeOverFailed, match="it goes on"):
        handover.heard_offer(handover.refused("it goes on"), 0)


def test_a_closed_connection_is_no_message() -> None:
    with pytest.raises(TakeOverFailed, match="closed"):
        handover.heard_offer(handover.offer(SOCKETS)[:-1], 4)


def test_another_version_is_not_guessed_at() -> None:
    told = json.loads(handover.ask()) | {"version": 2}
    with pytest.raises(TakeOverFailed, match="in another way"):
        handover.heard_ask(json.dumps(told).encode() + b"\n")


def test_descriptors_that_do_not_fit_the_offer_are_refused() -> None:
    with pytest.raises(TakeOverFailed, match="4 sockets, and 3 came"):
        handover.heard_offer(handover.offer(SOCKETS), 3)


def test_more_sockets_than_fit_a_message_are_refused() -> None:
    with pytest.raises(TakeOverFailed, match="more than"):
        handover.offer(SOCKETS[:1] * (MOST_SOCKETS + 1))


@pytest.mark.parametrize("kept", [[4], [-1], ["0"], [True], "0", None])
def test_a_successor_can_keep_only_what_was_offered(kept: object) -> None:
    line = json.dumps({"sidekey": "serving", "version": 1, "kept": kept}).encode() + b"\n"
    with pytest.raises(TakeOverFailed, match="not offered"):
        handover.heard_serving(line, 4)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "owner"},
        {"address": "nowhere"},
        {"file": [1]},
        {"file": "12"},
        {"file": [1, {}]},
        {"role": {}},
    ],
)
def test_a_socket_that_is_described_in_an_unknown_way_is_refused(change: dict[str, object]) -> None:
    told = json.loads(handover.offer(SOCKETS[2:3]))
    told["sockets"][0] |= change
    with pytest.raises(TakeOverFailed, match="unknown way"):
        handover.heard_offer(json.dumps(told).encode() + b"\n", 1)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.binary()
    | JSON.map(lambda value: json.dumps({"sidekey": "offer", "version": 1, "sockets": value}).encode())
)
def test_no_bytes_fail_in_another_way(line: bytes) -> None:
    for read in (handover.heard_ask, lambda line: handover.heard_offer(line, 1), handover.heard_draining):
        try:
            read(line + b"\n")
        except TakeOverFailed:
            continue
