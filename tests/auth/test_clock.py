"""Which of a system's clocks is read: one that cannot be set and runs on through sleep."""

from __future__ import annotations

import time

import pytest

from sidekey_auth.clock import SystemClock, clock_through_sleep

LINUX = {"CLOCK_MONOTONIC": 1, "CLOCK_MONOTONIC_RAW": 4, "CLOCK_BOOTTIME": 7}
DARWIN = {"CLOCK_MONOTONIC": 6, "CLOCK_MONOTONIC_RAW": 4, "CLOCK_UPTIME_RAW": 8}
FREEBSD = {"CLOCK_MONOTONIC": 4, "CLOCK_UPTIME": 5}


@pytest.mark.parametrize(
    ("platform", "clocks", "name"),
    [
        ("linux", LINUX, "CLOCK_BOOTTIME"),
        ("android", LINUX, "CLOCK_BOOTTIME"),
        ("darwin", DARWIN, "CLOCK_MONOTONIC_RAW"),
        ("darwin", {"CLOCK_MONOTONIC": 6}, "CLOCK_MONOTONIC"),
        ("ios", DARWIN, "CLOCK_MONOTONIC_RAW"),
    ],
)
def test_the_clock_is_the_one_that_runs_on_through_sleep(
    platform: str, clocks: dict[str, int], name: str
) -> None:
    assert clock_through_sleep(platform, clocks) == clocks[name]


@pytest.mark.parametrize(
    ("platform", "clocks"),
    [
        ("win32", {}),
        ("freebsd14", FREEBSD),
        ("linux", {"CLOCK_MONOTONIC": 1, "CLOCK_MONOTONIC_RAW": 4}),  # there, both stand still in sleep
    ],
)
def test_where_no_clock_is_known_to_do_so_pythons_own_is_read(platform: str, clocks: dict[str, int]) -> None:
    assert clock_through_sleep(platform, clocks) is None


def test_the_machines_own_clock_is_read() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
    clock = SystemClock()
    first, second = clock.boot(), clock.boot()
    assert before <= first <= second


def test_a_clock_without_one_through_sleep_still_runs_forward() -> None:
    before = time.monotonic()
    assert SystemClock(through_sleep=None).boot() >= before
