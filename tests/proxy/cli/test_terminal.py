"""Questions to a person, asked through a real pseudo-terminal; and to a pipe, where there is no person."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import select
import signal
import string
import subprocess
import sys
import termios
import threading
from collections.abc import Callable
from typing import Any

import pexpect
import pytest

from sidekey_auth.errors import Cancelled, SidekeyError
from sidekey_auth.secret import Secret
from sidekey_proxy.cli import terminal as terminal_module
from sidekey_proxy.cli.terminal import LONGEST, Terminal

KEY = "sk-canary-typed-by-hand-0123456789"

SCRIPT = """
import asyncio, hashlib, json, signal, sys
from sidekey_auth.errors import SidekeyError
from sidekey_proxy.cli.terminal import Terminal

def complete(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True

terminal = Terminal()

async def ask():
    return terminal.secret_line("API key")

try:
    answer = %s
except SidekeyError as error:
    print("ended with", type(error).__name__)
else:
    text = answer.reveal() if hasattr(answer, "reveal") else str(answer)
    print("got", len(text), hashlib.sha256(text.encode()).hexdigest())
print("next", repr(sys.stdin.readline()) if %r else "")
"""
SECRET_LINE = "terminal.secret_line('API key')"
SECRET_TEXT = "terminal.secret_text('auth.json', complete)"
LINE = "terminal.line('Callback URL')"
CONFIRM = "terminal.confirm('Import it?')"


def asked(question: str, *, then_read: bool = False) -> Any:
    """Start a program that asks a question on a terminal, and wait for the question."""
    child = pexpect.spawn(sys.executable, ["-c", SCRIPT % (question, then_read)], timeout=20)
    child.delaybeforesend = None
    child.logfile_read = io.BytesIO()
    child.expect([rb"\(hidden\): ", rb"Ctrl-D ends\):\r?\n", rb"Callback URL: ", rb"\[y/N\] "])
    return child


def paste(child: Any, text: str) -> None:
    data = text.encode()
    while data:
        data = data[child.send(data) :]


def result(child: Any) -> str:
    child.expect(pexpect.EOF)
    child.wait()
    child.close()
    return str(child.logfile_read.getvalue().decode())


def got(text: str) -> str:
    return f"got {len(text)} {hashlib.sha256(text.encode()).hexdigest()}"


def edits_its_own_lines(child: Any) -> bool:
    """Tell whether the terminal is as it was: lines, echo, and signals for keys."""
    flags = termios.tcgetattr(child.child_fd)[3]
    wanted = termios.ICANON | termios.ECHO | termios.ISIG
    return bool(flags & wanted == wanted)


def letters(count: int) -> str:
    return "".join(string.ascii_letters[number * number % 52] for number in range(count))


def auth_json(size: int, *, lines: bool) -> str:
    document = {"tokens": {"id_token": letters(size), "refresh_token": "rt"}, "more": list(range(50))}
    return json.dumps(document, indent=2 if lines else None)


# --- a hidden line --------------------------------------------------------------------------------------


@pytest.mark.parametrize("enter", ["\r", "\n"])
def test_a_hidden_line_is_taken_and_never_shown(enter: str) -> None:
    child = asked(SECRET_LINE)
    paste(child, KEY + enter)

    shown = result(child)

    assert got(KEY) in shown
    assert KEY not in shown


def test_a_hidden_line_may_be_longer_than_a_terminals_own_limit() -> None:
    key = "sk-" + letters(20_000)
    child = asked(SECRET_LINE)
    paste(child, key + "\n")

    assert got(key) in result(child)


def test_a_hidden_line_is_edited_and_stripped_and_marks_of_a_paste_fall() -> None:
    child = asked(SECRET_LINE)
    paste(child, "wrong\x15  \x1b[200~" + KEY + "x\x1b[201~\x7f \n")

    assert got(KEY) in result(child)


@pytest.mark.parametrize("keys", ["\x03", "abc\x03", "\x04", "\n", "  \n", "\x1c"])
def test_a_hidden_line_that_is_empty_or_broken_off_cancels(keys: str) -> None:
    child = asked(SECRET_LINE)
    paste(child, keys)

    assert "ended with Cancelled" in result(child)


def test_the_rest_of_a_paste_reaches_nobody() -> None:
    child = asked(SECRET_LINE, then_read=True)
    paste(child, KEY + "\nrm -rf secret\nmore\n")
    child.expect(rb"got \d+")
    paste(child, "typed afterwards\n")

    assert r"next 'typed afterwards\n'" in result(child)


def test_a_long_rest_of_a_paste_is_swallowed_until_the_terminal_is_silent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(terminal_module, "_QUIET", 0.5)
    keyboard, screen = os.openpty()
    rest = threading.Thread(target=write_all, args=(keyboard, b"paste\n" * 50_000), daemon=True)

    class Shown(io.StringIO):
        def write(self, text: str) -> int:
            if "hidden" in text:
                os.write(keyboard, f"{KEY}\n".encode())
            else:
                rest.start()  # the answer has been taken: what comes now is too much
            return len(text)

    with os.fdopen(screen, "r") as source:
        assert Terminal(source, Shown()).secret_line("API key") == Secret(KEY)
        rest.join(20)
        readable = select.select([source], [], [], 0)[0]

    assert not rest.is_alive()
    assert not readable
    os.close(keyboard)


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


# --- a hidden text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "lines", "end"),
    [
        (10, True, ""),
        (10, False, "\n"),
        (4095, False, "\n"),
        (4096, False, ""),
        (20_000, False, "\n"),
        (20_000, True, "\n"),
        (200_000, True, ""),
    ],
)
def test_a_pasted_file_of_any_size_ends_by_itself_once_it_is_complete(
    size: int, lines: bool, end: str
) -> None:
    text = auth_json(size, lines=lines)
    child = asked(SECRET_TEXT)
    paste(child, text + end)

    shown = result(child)

    assert got(text) in shown
    assert text[40:50] not in shown


def test_a_paste_with_marks_around_it_is_the_same_paste() -> None:
    text = auth_json(20_000, lines=True)
    child = asked(SECRET_TEXT)
    paste(child, "\x1b[200~" + text + "\n\x1b[201~")

    assert got(text) in result(child)


def test_a_text_that_never_gets_complete_ends_with_ctrl_d() -> None:
    child = asked(SECRET_TEXT)
    paste(child, "{\n\x04")

    assert got("{") in result(child)


@pytest.mark.parametrize("keys", ["\x04", "\n", '{\n"a\x03'])
def test_an_empty_text_or_ctrl_c_cancels(keys: str) -> None:
    child = asked(SECRET_TEXT)
    paste(child, keys)

    assert "ended with Cancelled" in result(child)


def test_more_than_the_limit_is_refused() -> None:
    child = asked(SECRET_TEXT)
    paste(child, "x" * (LONGEST + 1))

    assert "ended with SidekeyError" in result(child)


# --- every way out --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "keys"),
    [
        (SECRET_LINE, "key\n"),
        (SECRET_LINE, "\x03"),
        (SECRET_TEXT, "{}"),
        (SECRET_TEXT, "\x03"),
        (LINE, "\x04"),
        (CONFIRM, "n\n"),
        ("terminal.secret_text('auth.json', lambda text: int(text))", "x\n"),
    ],
)
def test_the_terminal_is_as_before_after_an_answer_and_after_none(question: str, keys: str) -> None:
    child = asked(question, then_read=True)
    assert not edits_its_own_lines(child)

    paste(child, keys)
    child.expect([rb"got", rb"ended with", rb"ValueError"])

    assert edits_its_own_lines(child)
    paste(child, "\n")
    result(child)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_program_and_leaves_the_terminal_as_before(number: int) -> None:
    child = asked(SECRET_LINE)
    assert not edits_its_own_lines(child)

    os.kill(child.pid, number)
    status = os.waitpid(child.pid, 0)[1]

    assert os.WTERMSIG(status) == number
    assert edits_its_own_lines(child)
    os.close(child.child_fd)


def test_an_interrupt_from_elsewhere_cancels() -> None:
    child = asked(SECRET_LINE)

    os.kill(child.pid, signal.SIGINT)

    assert "ended with Cancelled" in result(child)


def test_a_signal_that_the_program_handles_itself_still_reaches_it() -> None:
    handled = "(signal.signal(15, lambda *_: print('handled')), terminal.secret_line('Key'))[1]"
    child = asked(handled)

    os.kill(child.pid, signal.SIGTERM)

    shown = result(child)
    assert "handled" in shown
    assert "ended with Cancelled" in shown


def test_an_event_loop_that_holds_the_interrupt_does_not_keep_ctrl_c_from_cancelling() -> None:
    child = asked("asyncio.run(ask())")

    paste(child, "\x03")

    assert "ended with Cancelled" in result(child)


# --- visible answers ------------------------------------------------------------------------------------


def test_a_visible_line_is_shown_and_may_be_longer_than_a_terminals_own_limit() -> None:
    url = "http://localhost:1455/auth/callback?code=" + "c" * 20_000 + "&state=s"
    child = asked(LINE)
    paste(child, " " + url + "\n")

    shown = result(child)

    assert got(url) in shown
    assert url in shown


def test_what_is_taken_back_vanishes_from_the_screen() -> None:
    child = asked(LINE)
    paste(child, "ab\x7fc\n")

    shown = result(child)

    assert got("ac") in shown
    assert re.search("ab\b \bc|ac", shown)


@pytest.mark.parametrize(
    ("keys", "answer"),
    [("y\n", "True"), ("YES\n", "True"), ("n\n", "False"), ("\n", "False"), (" no \r", "False")],
)
def test_yes_and_no_are_understood_and_enter_is_the_default(keys: str, answer: str) -> None:
    child = asked(CONFIRM)
    paste(child, keys)

    assert got(answer) in result(child)


def test_any_other_answer_is_asked_again() -> None:
    child = asked(CONFIRM)
    paste(child, "perhaps\n")
    child.expect(rb"Please answer yes or no\.\r\nImport it\? \[y/N\] ")
    paste(child, "y\n")

    assert got("True") in result(child)


def test_ctrl_c_is_no_answer() -> None:
    child = asked(CONFIRM)
    paste(child, "\x03")

    assert "ended with Cancelled" in result(child)


# --- no person ------------------------------------------------------------------------------------------


def stream(data: bytes) -> Terminal:
    return Terminal(io.TextIOWrapper(io.BytesIO(data)), io.StringIO())


def test_a_stream_is_read_line_by_line_or_as_a_whole() -> None:
    answers = stream(b"\xef\xbb\xbfsk-canary-from-a-pipe\r\n yes\n{\n\n}\n")

    assert not answers.interactive
    assert answers.secret_line("API key") == Secret("sk-canary-from-a-pipe")
    assert answers.confirm("Sure?") is True
    assert answers.secret_text("auth.json", lambda _text: False) == Secret("{\n\n}")


def test_a_stream_without_an_answer_cancels() -> None:
    asks: list[Callable[[Terminal], object]] = [
        lambda terminal: terminal.secret_line("x"),
        lambda terminal: terminal.secret_text("x", lambda _text: True),
        lambda terminal: terminal.line("x"),
    ]
    for ask in asks:
        with pytest.raises(Cancelled, match="Nothing was entered"):
            ask(stream(b" \n"))
    with pytest.raises(Cancelled, match="nobody") as caught:
        stream(b"").confirm("Sure?", default=True)
    assert "--yes" in caught.value.remedy


def test_an_empty_line_of_a_stream_is_the_default() -> None:
    assert stream(b"\n").confirm("Sure?", default=True) is True


def test_a_stream_of_more_than_the_limit_is_refused() -> None:
    with pytest.raises(SidekeyError, match="longer than"):
        stream(b"x" * (LONGEST + 1)).secret_line("x")
    with pytest.raises(SidekeyError, match="longer than"):
        stream(b"x" * (LONGEST + 1)).secret_text("x", lambda _text: True)


def test_questions_go_to_standard_error_and_a_pipe_is_not_asked() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT % (SECRET_TEXT, False)],
        input=auth_json(20_000, lines=False),
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )

    assert got(auth_json(20_000, lines=False)) in done.stdout
    assert done.stderr == ""
