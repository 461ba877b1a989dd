"""The log: one line per event, for people or programs, with every secret masked."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from typing import Any

import pexpect
import pytest
import structlog

from canary import Canary
from sidekey_auth.log import get_logger
from sidekey_auth.secret import Secret
from sidekey_proxy import logs
from sidekey_proxy.logs import Log, configure, redactor
from sidekey_proxy.record import RequestRecord

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture(autouse=True)
def _logging_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("NO_COLOR", raising=False)
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    logging.getLogger("aiohttp.access").disabled = False


def record(**changes: Any) -> RequestRecord:
    values: dict[str, Any] = {
        "method": "POST",
        "path": "/v1/responses",
        "status": 200,
        "code": None,
        "ending": "whole",
        "first_byte": 0.12345678,
        "total": 1.5,
        "bytes_up": 10,
        "bytes_down": 2000,
        "client": "127.0.0.1",
        "generation": 1764000000000,
        "replayed": "done",
    }
    return RequestRecord(**values | changes)


def as_json(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_request_is_one_line_with_all_that_is_known_of_it() -> None:
    stream = io.StringIO()

    configure(stream=stream).request(record())

    (line,) = as_json(stream)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "method": "POST",
        "path": "/v1/responses",
        "status": 200,
        "code": None,
        "ending": "whole",
        "first_byte": 0.123457,
        "total": 1.5,
        "bytes_up": 10,
        "bytes_down": 2000,
        "client": "127.0.0.1",
        "generation": 1764000000000,
        "replayed": "done",
    }


def test_a_requests_line_has_no_query_and_no_key_in_its_path() -> None:
    stream = io.StringIO()

    configure(stream=stream).request(record(path="/v1/sk-proj-canary012345/x?prompt=hello"))

    assert as_json(stream)[0]["path"] == "/v1/***/x"


@pytest.mark.parametrize("method", ["jsk-side-0123456789abcdefPOST", "get", "A" * 25, "M1"])
def test_a_method_that_could_be_a_key_is_not_shown(method: str) -> None:
    stream = io.StringIO()
    configure(stream=stream).request(record(method=method))
    (line,) = as_json(stream)
    assert line["method"] == "?"


def test_only_requests_that_failed_are_logged_at_level_warning() -> None:
    stream = io.StringIO()
    log = configure(level="warning", stream=stream)

    log.request(record())
    log.request(record(status=401))
    log.request(record(status=None, first_byte=None, ending="gone"))
    log.request(record(status=502))
    log.request(record(ending="cut"))

    assert [(line["level"], line["status"]) for line in as_json(stream)] == [
        ("warning", 502),
        ("warning", 200),
    ]


def test_a_message_says_when_who_and_how_grave() -> None:
    stream = io.StringIO()
    configure(stream=stream, always={"sandbox": True})

    with structlog.contextvars.bound_contextvars(profile="work"):
        structlog.get_logger("sidekey.test").warning("it rains", degree=3)

    (line,) = as_json(stream)
    assert line.pop("timestamp").startswith("20")
    assert line == {
        "event": "it rains",
        "level": "warning",
        "logger": "sidekey.test",
        "degree": 3,
        "profile": "work",
        "sandbox": True,
    }


@pytest.mark.parametrize(
    ("level", "said"), [("debug", "diwe"), ("info", "iwe"), ("warning", "we"), ("error", "e")]
)
def test_what_is_below_the_level_is_left_out(level: Any, said: str) -> None:
    ours, theirs = io.StringIO(), io.StringIO()

    for stream, logger in ((ours, structlog.get_logger()), (theirs, logging.getLogger("foreign"))):
        configure(level=level, stream=stream)
        for method in ("debug", "info", "warning", "error"):
            getattr(logger, method)(method[0])

    assert "".join(line["event"] for line in as_json(ours)) == said
    assert "".join(line["event"] for line in as_json(theirs)) == said


def test_the_standard_librarys_records_come_out_as_the_same_lines() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("aiohttp.server").error("bad %s from %s", "request", f"?code={'x' * 8}")
    broken = logging.LogRecord("broken", logging.WARNING, "x.py", 1, "takes %s %s", ("one",), None)
    logging.getLogger().handlers[-1].emit(broken)
    logging.getLogger("aiohttp.access").info("GET /v1/models?api_key=plain")
    warnings.showwarning("old", UserWarning, "x.py", 1)

    lines = as_json(stream)
    assert [(line["logger"], line["level"]) for line in lines] == [
        ("aiohttp.server", "error"),
        ("broken", "warning"),
        ("py.warnings", "warning"),
    ]
    assert lines[0]["event"] == "bad request from ?code=***"
    assert lines[1]["event"] == "takes %s %s"


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("method", ["debug", "info", "warning", "error"])
def test_what_the_library_logs_comes_out_as_if_the_proxy_had_logged_it(
    form: Any, method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs.structlog.processors, "TimeStamper", lambda **_: lambda _l, _m, event: event)
    lines = []
    fields = {
        "rotated": True,
        "reason": f"no luck with {JWT}",
        "id_token": True,
        "api_key": "plain-key",
        "nested": {"refresh_token": "plain-token", "seconds": 1.5},
        "trace": "Traceback:\n  it broke\n",
        "nothing": None,
    }

    for logger in (structlog.get_logger("sidekey.broker"), get_logger("sidekey.broker")):
        stream = io.StringIO()
        configure(level="debug", form=form, stream=stream, always={"sandbox": True})
        with structlog.contextvars.bound_contextvars(profile="work"):
            getattr(logger, method)("renewal failed", **fields)
        lines.append(stream.getvalue())

    as_the_proxy, as_the_library = lines
    assert as_the_library == as_the_proxy
    assert "plain-" not in as_the_library
    assert JWT not in as_the_library


def test_what_the_library_logs_below_the_level_is_left_out() -> None:
    stream = io.StringIO()
    configure(level="error", stream=stream)

    get_logger("sidekey.broker").warning("it rains")

    assert stream.getvalue() == ""


def test_fields_of_other_libraries_records_stay_out() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("theirs").warning("it rains", extra={"degree": 3})

    (line,) = as_json(stream)
    assert sorted(line) == ["event", "level", "logger", "timestamp"]


async def test_a_task_that_failed_unseen_is_logged_with_its_secrets_masked() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    async def fails() -> None:
        raise RuntimeError(f"no luck with {JWT}")

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    del task

    (line,) = as_json(stream)
    assert line["logger"] == "asyncio"
    assert "no luck with ***" in line["exception"]
    assert JWT not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_secret_comes_through_by_any_way(form: Any, canary: Canary) -> None:
    stream = io.StringIO()
    log = configure(form=form, stream=stream)
    secret = Secret("canary without any form")
    redactor.watch(secret)
    plain = secret.reveal()
    canary.allow(plain)  # pytest's own handler shows it unmasked; ours is looked at below
    logger = structlog.get_logger("sidekey.test")

    event = f"event {plain}"
    logger.info(event, value=plain, nested={"a": [plain, JWT]}, secret=secret, api_key="plain-key")
    logger.info("named", **{f"k{plain}": 1, "access_token": "plain-token"})
    structlog.contextvars.bind_contextvars(bound=plain)
    try:
        local = plain
        raise ValueError(f"cannot use {local}") from KeyError(f"Bearer {plain.replace(' ', '-')}")
    except ValueError as error:
        error.add_note(f"noted {plain}")
        logger.exception("failed")
        logger.warning("failed", exc_info=error)
        logging.getLogger("x").exception("failed")
        log.uncaught(type(error), error, error.__traceback__)

    said = stream.getvalue()
    assert plain not in said
    assert plain.replace(" ", "-") not in said
    assert JWT not in said
    assert "plain-key" not in said
    assert "plain-token" not in said
    assert said.count("cannot use ***") == 4
    assert said.count("noted ***") == 4


def test_a_line_for_people_cannot_move_their_cursor_or_forge_another_line() -> None:
    stream = io.StringIO()
    log = configure(form="console", stream=stream)

    log.request(record(path="/v1/\x1b[2J\r\nforged", client="a\x9bb\u2028c"))

    said = stream.getvalue()
    assert said.count("\n") == 1
    assert not {"\x1b", "\r", "\x9b", "\u2028"} & set(said)


def test_a_line_for_people_leaves_out_what_is_not_there() -> None:
    stream = io.StringIO()

    configure(form="console", stream=stream).request(record(replayed=None))

    assert "path=/v1/responses" in stream.getvalue()
    assert "None" not in stream.getvalue()


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_stream_that_is_gone_or_cannot_spell_breaks_nothing(form: Any) -> None:
    gone = io.StringIO()
    log = configure(form=form, stream=gone)
    gone.close()
    log.request(record())
    structlog.get_logger().info("into the void")

    raw = io.BytesIO()
    narrow = io.TextIOWrapper(raw, encoding="ascii")
    configure(form=form, stream=narrow)
    structlog.get_logger().info("grün")

    assert b"gr\\xfcn" in raw.getvalue() or b"gr\\u00fcn" in raw.getvalue()


def test_configuring_again_moves_loggers_that_are_already_there() -> None:
    first, second = io.StringIO(), io.StringIO()
    logger = structlog.get_logger("sidekey.test")

    for stream in (first, second):
        configure(stream=stream)
        logger.info("ours")
        logging.getLogger("theirs").warning("theirs")

    assert [line["event"] for line in as_json(first)] == ["ours", "theirs"]
    assert [line["event"] for line in as_json(second)] == ["ours", "theirs"]


SCRIPT = """
import structlog, sys
from sidekey_proxy import logs
log = logs.configure()
sys.excepthook = log.uncaught
structlog.get_logger("sidekey.test").info("hello", answer=42)
raise RuntimeError("Bearer abc")
"""


def test_on_a_terminal_lines_are_coloured_and_elsewhere_json_on_standard_error() -> None:
    child = pexpect.spawn(
        sys.executable, ["-c", SCRIPT], encoding="utf-8", timeout=30, env={**os.environ, "TERM": "xterm"}
    )
    shown = child.read()
    child.close()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False, timeout=30
    )

    assert "\x1b[" in shown
    assert "hello" in shown
    assert "Bearer ***" in shown
    assert done.stdout == ""
    assert done.returncode == 1
    hello, uncaught = (json.loads(line) for line in done.stderr.splitlines())
    assert (hello["event"], hello["answer"]) == ("hello", 42)
    assert uncaught["exception"].endswith("RuntimeError: Bearer ***")


def test_no_color_leaves_the_colours_out() -> None:
    env = {**os.environ, "NO_COLOR": "1", "TERM": "xterm"}
    child = pexpect.spawn(sys.executable, ["-c", SCRIPT], encoding="utf-8", timeout=30, env=env)
    shown = child.read()
    child.close()

    assert "hello" in shown
    assert "\x1b[" not in shown


def test_a_log_can_be_had_without_taking_over_the_process() -> None:
    stream = io.StringIO()

    Log(stream, logging.INFO, None, {}).request(record())

    assert as_json(stream)[0]["event"] == "request"
    assert logs.redactor is redactor
