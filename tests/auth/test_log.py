"""The library's log: standard, silent until a program wants it, readable, with its fields at hand."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from sidekey_auth.log import PARENT, Event, get_logger
from sidekey_auth.secret import Secret


class Kept(logging.Handler):
    """Keeps records."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler, logger = Kept(), logging.getLogger(PARENT)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield handler
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_a_line_of_plain_logging_says_the_event_and_its_fields(kept: Kept) -> None:
    get_logger("sidekey.test").info("refreshed", rotated=True, token=None, seconds=1.5)

    (record,) = kept.records
    assert record.getMessage() == "refreshed rotated=True token=None seconds=1.5"
    assert (record.name, record.levelname) == ("sidekey.test", "INFO")


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_each_method_is_a_level_and_names_who_called_it(kept: Kept, level: str) -> None:
    getattr(get_logger("sidekey.test"), level)("it rains")

    (record,) = kept.records
    assert record.levelname == level.upper()
    assert record.funcName == "test_each_method_is_a_level_and_names_who_called_it"
    assert record.pathname == __file__


def test_a_structured_handler_finds_event_and_fields_on_the_record(kept: Kept) -> None:
    get_logger("sidekey.test").warning("it rains", degree=3)

    (record,) = kept.records
    assert (record.__dict__["event"], record.__dict__["degree"]) == ("it rains", 3)
    assert record.msg == Event("it rains", {"degree": 3})


def test_a_field_that_is_called_like_a_part_of_the_record_is_still_said(kept: Kept) -> None:
    get_logger("sidekey.test").info("busy", name="default", message="m", args="a", asctime="now")

    (record,) = kept.records
    assert record.name == "sidekey.test"
    assert record.getMessage() == "busy name=default message=m args=a asctime=now"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("the disk is full", "'the disk is full'"),
        ("", "''"),
        ("a=b", "'a=b'"),
        ('say "x"', "'say \"x\"'"),
        ("\x1b[2J", r"'\x1b[2J'"),
        ("end\n", r"'end\n'"),
        (Secret("canary-of-the-log"), "***"),
    ],
)
def test_the_end_of_a_value_can_be_seen(value: object, shown: str) -> None:
    assert str(Event("said", {"value": value, "then": 1})) == f"said value={shown} then=1"


def test_a_value_of_several_lines_stands_below_and_forges_none() -> None:
    event = Event("broke off", {"trace": "Traceback:\n  it\x1b broke\u2028ERROR forged", "code": 1})

    assert str(event).split("\n") == [
        "broke off code=1",
        "trace:",
        "    Traceback:",
        "    '  it\\x1b broke'",
        "    ERROR forged",
    ]


def test_no_handler_sees_what_looks_like_a_secret(kept: Kept) -> None:
    jwt = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"

    get_logger("sidekey.test").error(
        f"no {jwt}", reason=f"not {jwt}", api_key="plain", token=Secret("canary-x-y")
    )

    (record,) = kept.records
    assert record.getMessage() == "no *** reason='not ***' api_key=*** token=***"
    assert jwt not in repr(record.__dict__)
    assert "plain" not in repr(record.__dict__)


def test_a_line_that_nobody_wants_is_not_even_made(kept: Kept) -> None:
    logging.getLogger(PARENT).setLevel(logging.WARNING)

    get_logger("sidekey.test").info("unheard")

    assert kept.records == []


def test_percent_signs_mean_nothing(kept: Kept) -> None:
    get_logger("sidekey.test").info("100 %s full", disk="50 %d")

    assert kept.records[0].getMessage() == "100 %s full disk='50 %d'"


SILENT = "from sidekey_auth.log import get_logger; get_logger('sidekey.test').error('broke', code=1)"


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )


def test_a_program_that_configures_no_logging_sees_nothing() -> None:
    done = run(SILENT)

    assert (done.stdout, done.stderr) == ("", "")


def test_a_program_that_configures_logging_sees_it_on_standard_error() -> None:
    done = run(f"import logging; logging.basicConfig(); {SILENT}")

    assert (done.stdout, done.stderr) == ("", "ERROR:sidekey.test:broke code=1\n")
