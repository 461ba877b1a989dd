"""What signals do to a command while a refresh token is on its way."""

from __future__ import annotations

import io
import signal
from collections.abc import Callable

from sidekey_proxy.cli.output import Output
from sidekey_proxy.cli.verb import _Interruption


class Interrupted(io.StringIO):
    """A stream during whose writes something happens, as a signal does."""

    meanwhile: Callable[[], None] | None = None

    def write(self, text: str) -> int:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().write(text)


def test_a_signal_that_comes_while_the_first_is_told_says_nothing_and_changes_no_exit_code() -> None:
    err = Interrupted()
    interruption = _Interruption(Output(io.StringIO(), err))
    err.meanwhile = lambda: interruption.tell(signal.SIGINT)
    interruption.tell(signal.SIGTERM)
    assert err.getvalue().count("Waiting for the issuer's answer") == 1
    assert interruption.number == signal.SIGTERM
