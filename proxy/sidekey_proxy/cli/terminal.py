"""Asking a person: hidden and visible lines, hidden pastes of any size, yes or no.

A terminal hands out lines of 4,096 bytes at most as long as it edits them itself; tokens and URLs are longer.
So sidekey edits them: the terminal is switched to single characters without echo, and switched back on every
way out, signals included. Ask from the main thread: only there can a signal be caught.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Final, TextIO

from sidekey_auth.errors import Cancelled, SidekeyError
from sidekey_auth.secret import Secret

from .keystrokes import Entry, echo, entered

if sys.platform == "win32":
    import msvcrt
else:
    import termios

LONGEST: Final = 1024 * 1024
"""Bytes that a person or a pipe may enter at once."""
_CHUNK: Final = 65536
_QUIET: Final = 0.1
_ANSWERS: Final = {"y": True, "yes": True, "n": False, "no": False}

Done = Callable[[str], Entry]
Handler = Callable[[int, FrameType | None], object] | int | None


class Terminal:
    """Where questions are asked and answers come from.

    Where the source is no terminal, it is read as a stream: a line for a line, all of it for a paste.

    Args:
        source: the answers; standard input where it is left out.
        shown: the questions; standard error where it is left out, so that standard output stays for results.
    """

    def __init__(self, source: TextIO | None = None, shown: TextIO | None = None) -> None:
        self._source = source or sys.stdin
        self._shown = shown or sys.stderr

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked."""
        return self._source is not None and not self._source.closed and self._source.isatty()

    def secret_line(self, question: str) -> Secret:
        """Return one hidden line, such as an API key.

        Args:
            question: what is asked for, without a colon.

        Raises:
            Cancelled: nothing was entered, or Ctrl-C.
        """
        if not self.interactive:
            return _secret(self._stream_line())
        return _secret(self._ask(f"{question} (hidden): ", entered, visible=False))

    def secret_text(self, question: str, complete: Callable[[str], bool]) -> Secret:
        """Return a hidden text of many lines, such as a pasted auth.json.

        It ends when it is complete, or at Ctrl-D.

        Args:
            question: what is asked for, without a colon.
            complete: tells whether a text is whole; it is asked whenever the terminal falls silent.

        Raises:
            Cancelled: nothing was entered, or Ctrl-C.
        """
        if not self.interactive:
            return _secret(self._stream_rest())

        def done(keys: str) -> Entry:
            entry = entered(keys, many_lines=True)
            given_up = "\n" in entry.text and not entry.text.strip()
            if entry.ended or entry.cancelled or not (given_up or complete(entry.text)):
                return entry
            return Entry(entry.text, ended=True)

        return _secret(self._ask(f"{question} (hidden; Ctrl-D ends):\n", done, visible=False))

    def line(self, question: str) -> str:
        """Return one visible line of any length, without spaces at its ends.

        Args:
            question: what is asked for, without a colon.

        Raises:
            Cancelled: nothing was entered, or Ctrl-C.
        """
        if not self.interactive:
            return _present(self._stream_line())
        return _present(self._ask(f"{question}: ", entered, visible=True))

    def confirm(self, question: str, *, default: bool = False) -> bool:
        """Return whether the person agrees.

        Args:
            question: to be answered with yes or no, without what the answers are.
            default: what Enter alone means.

        Raises:
            Cancelled: Ctrl-C, or nobody is there to answer.
        """
        choices = "[Y/n]" if default else "[y/N]"
        while True:
            answer = self._answer(f"{question} {choices} ").strip().lower()
            if not answer:
                return default
            if answer in _ANSWERS:
                return _ANSWERS[answer]
            self._show("Please answer yes or no.\n")

    def _answer(self, question: str) -> str:
        if self.interactive:
            return self._ask(question, entered, visible=True)
        line = self._stream_line()
        if not line:
            raise Cancelled(
                "There is nobody to confirm it.",
                remedy="In scripts, say --yes.",
            )
        return line

    # --- a person -----------------------------------------------------------------------------------------

    def _ask(self, question: str, done: Done, *, visible: bool) -> str:
        with _single_characters(self._source.fileno()) as keyboard:
            self._show(question)
            shown = ""
            keys = ""
            try:
                while True:
                    more = keyboard.read()
                    keys += more
                    _not_too_long(len(keys))
                    # A terminal that went away ends what was entered.
                    entry = done(keys) if more else Entry(entered(keys).text, cancelled=True)
                    if visible:
                        self._show(echo(shown, entry.text))
                        shown = entry.text
                    if entry.cancelled:
                        raise Cancelled("Cancelled.")
                    if entry.ended:
                        return entry.text
            finally:
                self._show("\n")

    def _show(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._shown.write(text)
            self._shown.flush()

    # --- a stream -----------------------------------------------------------------------------------------

    def _stream_line(self) -> str:
        return self._streamed("readline")

    def _stream_rest(self) -> str:
        return self._streamed("read")

    def _streamed(self, how: str) -> str:
        if self._source is None or self._source.closed:
            return ""
        data: bytes = getattr(self._source.buffer, how)(LONGEST + 1)
        _not_too_long(len(data))
        return data.decode("utf-8-sig", "replace")


def _secret(text: str) -> Secret:
    return Secret(_present(text))


def _present(text: str) -> str:
    text = text.strip()
    if not text:
        raise Cancelled("Nothing was entered; nothing was changed.")
    return text


def _not_too_long(length: int) -> None:
    if length > LONGEST:
        raise SidekeyError(f"What was entered is longer than {LONGEST} bytes.")


# --- the keyboard, character by character ---------------------------------------------------------------

if sys.platform == "win32":

    class _Keyboard:
        """The console's keys; nothing of them is shown."""

        def read(self) -> str:
            """Return the keys that are there, waiting for the first."""
            keys = _key()
            while msvcrt.kbhit():
                keys += _key()
            return keys

    def _key() -> str:
        key = msvcrt.getwch()
        if key in "\x00\xe0":
            # A function or arrow key: a second code says which.
            msvcrt.getwch()
            return "\x00"
        return "\x04" if key == "\x1a" else key

    @contextlib.contextmanager
    def _single_characters(_descriptor: int) -> Iterator[_Keyboard]:
        yield _Keyboard()

else:

    class _Keyboard:
        """A terminal's characters.

        Args:
            descriptor: the terminal's file descriptor.
        """

        def __init__(self, descriptor: int) -> None:
            self._descriptor = descriptor
            self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

        def read(self) -> str:
            """Return the characters that are there, waiting for the first; none when the terminal is gone."""
            text = ""
            while not text or (self._waiting() and len(text) <= LONGEST):
                try:
                    data = os.read(self._descriptor, _CHUNK)
                except OSError:
                    data = b""
                if not data:
                    break
                text += self._decoder.decode(data)
            return text

        def swallow(self) -> None:
            """Drop the rest of a paste, until the terminal is silent: no shell shall run it."""
            while self._waiting(_QUIET):
                try:
                    if not os.read(self._descriptor, _CHUNK):
                        return
                except OSError:
                    return

        def _waiting(self, seconds: float = 0.0) -> bool:
            return bool(select.select([self._descriptor], [], [], seconds)[0])

    @contextlib.contextmanager
    def _single_characters(descriptor: int) -> Iterator[_Keyboard]:
        saved = termios.tcgetattr(descriptor)
        keyboard = _Keyboard(descriptor)

        def restore() -> None:
            # A terminal that hung up has nothing to be restored.
            with contextlib.suppress(termios.error):
                termios.tcsetattr(descriptor, termios.TCSAFLUSH, saved)

        with _restored_on_signals(restore):
            try:
                _switch(descriptor)
                yield keyboard
                keyboard.swallow()
            finally:
                restore()

    def _switch(descriptor: int) -> None:
        """Hand out single characters without echo; Ctrl-C is one, since an event loop may hold SIGINT."""
        mode = termios.tcgetattr(descriptor)
        mode[0] |= termios.ICRNL
        mode[3] &= ~(termios.ICANON | termios.ECHO | termios.ECHONL | termios.ISIG | termios.IEXTEN)
        mode[6] = [*mode[6]]
        mode[6][termios.VMIN], mode[6][termios.VTIME] = 1, 0
        termios.tcsetattr(descriptor, termios.TCSADRAIN, mode)

    @contextlib.contextmanager
    def _restored_on_signals(restore: Callable[[], None]) -> Iterator[None]:
        """Restore the terminal before a signal ends the process, and cancel where it does not."""
        previous: dict[int, Handler] = {}

        def caught(number: int, _frame: FrameType | None) -> None:
            restore()
            if number != signal.SIGINT:
                signal.signal(number, previous[number])
                os.kill(os.getpid(), number)
            raise Cancelled("Cancelled.")

        try:
            for number in (int(signal.SIGINT), int(signal.SIGTERM), int(signal.SIGHUP)):
                before = signal.getsignal(number)
                ignored = before in {None, signal.SIG_IGN}  # as nohup does
                if threading.current_thread() is threading.main_thread() and not ignored:
                    previous[number] = before
                    signal.signal(number, caught)
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)
