from __future__ import annotations

import pytest

from benchmarks.programs import BenchmarkFailed
from benchmarks.wrk import answered

REPORT = """\
Running 5s test @ http://127.0.0.1:8484/v1/responses
  1 threads and 32 connections
  34512 requests in 5.00s, 28.14MB read
Requests/sec:   6901.23
"""


def test_the_number_of_answered_requests_is_read_from_the_report() -> None:
    assert answered(REPORT) == 34_512


@pytest.mark.parametrize(
    "trouble",
    [
        REPORT + "  Non-2xx or 3xx responses: 3\n",
        REPORT + "  Socket errors: connect 0, read 1, write 0, timeout 0\n",
        REPORT.replace("34512", "0"),
        "unable to connect to 127.0.0.1:8484 Connection refused\n",
    ],
)
def test_a_load_that_was_not_served_well_gives_no_figure(trouble: str) -> None:
    with pytest.raises(BenchmarkFailed):
        answered(trouble)
