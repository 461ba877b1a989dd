"""What a command prints, for people and for programs."""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pexpect
import pytest

from sidekey_auth.errors import (
    Cancelled,
    ConfigurationError,
    NoBearer,
    NoRefreshToken,
    PortsBusy,
    SidekeyError,
    SignInError,
)
from sidekey_auth.secret import Secret
from sidekey_proxy.cli.describe import settings_report
from sidekey_proxy.cli.output import (
    Output,
    Report,
    Table,
    exit_code,
    failure_for_people,
    for_people,
    for_programs,
)
from sidekey_proxy.configuration.config import load
from sidekey_proxy.configuration.settings import SETTINGS

REPORT = Report(
    sentence="Ready: the key is fresh.",
    facts=(("profile", "default"), ("account", "a@example.org [bold]x[/bold]")),
    table=Table(("name", "value"), (("a", "1"), ("long", "x" * 60))),
    notes=("Exported keys stay valid.",),
    document={"ready": True, "at": datetime(2026, 11, 24, tzinfo=UTC), "where": Path("vault")},
    exit_code=3,
)


def streams() -> tuple[io.TextIOWrapper, io.TextIOWrapper]:
    return io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")


def written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return io.BytesIO.getvalue(stream.buffer).decode(stream.encoding)  # type: ignore[arg-type]


def test_a_report_for_people_is_a_sentence_facts_rows_and_notes_without_markup() -> None:
    assert for_people(REPORT) == (
        "Ready: the key is fresh.\n"
        "profile  default\n"
        "account  a@example.org [bold]x[/bold]\n"
        "name  value\n"
        "a     1\n"
        f"long  {'x' * 60}\n"
        "Exported keys stay valid.\n"
    )


def test_a_narrow_terminal_folds_values_and_loses_none() -> None:
    shown = for_people(REPORT, width=40)

    assert max(map(len, shown.splitlines())) <= 40
    assert shown.count("x") - shown.count("x[/bold]") - shown.count("example") - shown.count("Ex") == 60


def test_colours_are_used_only_where_they_are_wanted() -> None:
    assert "\x1b[" in for_people(REPORT, colours=True)
    assert "\x1b" not in for_people(REPORT)


def test_nothing_in_a_report_can_move_the_cursor() -> None:
    evil = "a\x1b[2Jb\rc\u202ed\ne"
    shown = for_people(
        Report(sentence=evil, facts=((evil, evil),), table=Table((evil,), ((evil,),)), notes=(evil,))
    )

    assert "\x1b" not in shown
    assert "\r" not in shown
    assert "\u202e" not in shown
    assert len(shown.splitlines()) == 5


def test_programs_get_times_and_paths_as_text_and_never_a_secret() -> None:
    assert json.loads(for_programs(REPORT.document)) == {
        "ready": True,
        "at": "2026-11-24T00:00:00+00:00",
        "where": "vault",
    }
    with pytest.raises(TypeError, match="Secret"):
        for_programs({"key": Secret("sk-canary-in-a-document")})


def test_a_result_goes_to_standard_output_in_the_form_that_was_asked_for() -> None:
    for as_json in (False, True):
        out, err = streams()
        assert Output(out, err, as_json=as_json).show(REPORT) == 3
        assert written(err) == ""
        assert written(out).startswith("{" if as_json else "Ready")


@pytest.mark.parametrize(
    ("error", "what", "told"),
    [
        (
            PortsBusy("ports 1455 and 1457 are busy", remedy="Close the program that uses them."),
            "The sign-in failed",
            "The sign-in failed: ports 1455 and 1457 are busy\nClose the program that uses them.\n",
        ),
        (SignInError("no", remedy=""), "The sign-in failed", "The sign-in failed: no\n"),
        (NoRefreshToken(), "", "No refresh token available: run `sidekey login`\n"),
        (
            ConfigurationError("a: wrong\nb: wrong", remedy="See the example."),
            "The settings cannot be used",
            "The settings cannot be used:\na: wrong\nb: wrong\nSee the example.\n",
        ),
        (SidekeyError("a\nb"), "", "a\nb\n"),
        (SidekeyError("bad \x1b[2J"), "", "bad \\x1b[2J\n"),
        (SidekeyError(""), "It failed", "It failed.\n"),
        (SidekeyError("see /cb?code=canary-code"), "", "see /cb?code=***\n"),
    ],
)
def test_a_failure_says_what_why_and_what_to_do(error: SidekeyError, what: str, told: str) -> None:
    assert failure_for_people(error, what) == told


def test_a_failure_goes_to_standard_error_also_as_json() -> None:
    error = SignInError("no code")
    out, err = streams()
    assert Output(out, err).fail(error, "The sign-in failed") == 1
    assert written(err) == "The sign-in failed: no code\nRun `sidekey login` again.\n"

    out, err = streams()
    assert Output(out, err, as_json=True).fail(error, "The sign-in failed") == 1
    assert written(out) == ""
    assert json.loads(written(err)) == {
        "error": {
            "what": "The sign-in failed",
            "code": "sign_in_failed",
            "message": "no code",
            "remedy": "Run `sidekey login` again.",
        }
    }


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SidekeyError("x"), 1),
        (ConfigurationError("x"), 2),
        (NoBearer("x", state_code="signed_out"), 3),
        (Cancelled("x"), 130),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(error: SidekeyError, code: int) -> None:
    assert exit_code(error) == code


def test_a_stream_that_cannot_spell_gets_question_marks() -> None:
    out = io.TextIOWrapper(io.BytesIO(), "ascii")

    Output(out, streams()[1]).show(Report(sentence="sk-…abcd"))

    assert written(out) == "sk-?abcd\n"


def test_what_is_said_on_the_way_leaves_standard_output_alone() -> None:
    out, err = streams()
    output = Output(out, err)

    output.say("Opening the browser.\x07")
    output.figure("█▀\n ▄\n")

    assert written(out) == ""
    assert written(err) == "Opening the browser.\\x07\n█▀\n ▄\n"
    assert output.encoding == "utf-8"
    assert output.columns >= 80


SCRIPT = """
import sys
from sidekey_proxy.cli.output import Output, Report
sys.exit(Output(sys.stdout, sys.stderr).show(Report(sentence="Ready.", facts=(("a", "b" * 100),))))
"""


@pytest.mark.parametrize("no_color", [False, True])
def test_a_terminal_gets_colours_and_its_width_unless_the_person_wants_none(no_color: bool) -> None:
    env = {**os.environ, "TERM": "xterm"} | ({"NO_COLOR": "1"} if no_color else {})
    child = pexpect.spawn(
        sys.executable, ["-c", SCRIPT], env=env, encoding="utf-8", timeout=20, dimensions=(24, 50)
    )
    shown = child.read()
    child.close()

    assert child.exitstatus == 0
    assert ("\x1b[" in shown) is not no_color
    if no_color:
        assert max(len(line) for line in shown.splitlines()) <= 50


def test_a_reader_that_has_left_is_no_failure() -> None:
    reader, writer = os.pipe()
    os.close(reader)

    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], stdout=writer, stderr=subprocess.PIPE, check=False, timeout=20
    )
    os.close(writer)

    assert done.stderr == b""
    assert done.returncode == 0


def test_all_settings_are_described_with_who_decided_them(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('hosts = ["a.example"]\n')
    key = "canary-client-key-0123456789abcdef"

    report = settings_report(
        load({"SIDEKEY_EXCHANGE": "when-refused", "SIDEKEY_CLIENT_KEY": key}, config_file=file)
    )

    people, document = for_people(report), json.loads(for_programs(report.document))
    assert re.search(r'^hosts +\["a\.example"\] +file ', people, re.MULTILINE)
    assert f"file {file}" in people
    assert "environment SIDEKEY_EXCHANGE" in people
    assert key not in people + for_programs(report.document)
    assert list(document["settings"]) == list(SETTINGS)
    assert document["file"] == str(file)
    assert document["client_key_preset"] is True
    assert document["settings"]["exchange"]["value"] == "when-refused"
    assert document["settings"]["exchange"]["default"] == "always"
    assert document["settings"]["callback_ports"]["value"] == [1455, 1457]
