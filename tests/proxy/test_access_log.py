"""A request's line: what its fields say, put into JSON by hand."""

from __future__ import annotations

import json
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.access_log import fields, json_line, json_members, timestamp
from sidekey_proxy.record import Ending, Replay, RequestRecord

texts = st.text(st.characters(codec=None))
seconds = st.floats(0, 1e6)
counts = st.integers(0, 2**62)
records = st.builds(
    RequestRecord,
    method=texts,
    path=texts,
    status=st.none() | st.integers(100, 999),
    code=st.none() | texts,
    ending=st.sampled_from(get_args(Ending)),
    first_byte=st.none() | seconds,
    total=seconds,
    bytes_up=counts,
    bytes_down=counts,
    client=texts,
    generation=st.none() | counts,
    replayed=st.none() | st.sampled_from(get_args(Replay)),
)


@given(records, texts, st.dictionaries(texts, st.booleans() | texts, max_size=2), st.floats(0, 4e9))
def test_the_line_says_what_the_fields_say_whatever_they_are(
    record: RequestRecord, path: str, always: dict[str, object], now: float
) -> None:
    line = json_line(record, path, json_members(always), now)
    assert line.isascii()
    assert "\n" not in line
    said = fields(record, path) | always | {"timestamp": timestamp(now)}
    assert json.loads(line) == said


def test_the_time_is_utc_to_the_microsecond() -> None:
    assert timestamp(1_764_000_000.25) == "2025-11-24T16:00:00.250000Z"
    assert timestamp(0.0) == "1970-01-01T00:00:00.000000Z"
