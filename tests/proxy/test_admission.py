"""Counting what there is at once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.listener.admission import Admission, Ceilings


def test_without_ceilings_everything_is_let_in() -> None:
    admission = Admission()
    assert [admission.connect("a") for _ in range(100)] == [None] * 100
    assert [admission.begin() for _ in range(100)] == [None] * 100


def test_each_ceiling_has_its_own_answer() -> None:
    admission = Admission(Ceilings(connections=2, connections_per_client=1, requests=1))
    assert admission.connect("a") is None
    refusals = [admission.connect("a"), admission.connect("b")]
    assert [refused and (refused.status, refused.code) for refused in refusals] == [
        (429, "sidekey_too_many_connections"),
        (503, "sidekey_too_busy"),
    ]
    assert admission.begin() is None
    refused = admission.begin()
    assert refused is not None
    assert (refused.status, "max_requests" in refused.message) == (503, True)


def test_a_ceiling_can_be_changed_while_connections_are_open() -> None:
    admission = Admission(Ceilings(connections=1))
    admission.connect("a")
    admission.ceilings = Ceilings(connections=2)
    assert admission.connect("b") is None
    assert admission.connect("c") is not None


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=60))
def test_whoever_leaves_is_counted_no_more(steps: list[tuple[str, bool]]) -> None:
    admission = Admission(Ceilings(connections_per_client=2))
    there: list[str] = []
    for client, comes in steps:
        if comes:
            refused = admission.connect(client)
            there.append(client)
            assert (refused is not None) == (there.count(client) > 2)
        elif client in there:
            there.remove(client)
            admission.disconnect(client)
    assert admission.connections == len(there)
