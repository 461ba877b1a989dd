"""What systemd hands to a service."""

from __future__ import annotations

import pytest

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.running.systemd import handed_over


def test_descriptors_begin_at_3_and_have_their_names() -> None:
    environ = {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "a:admin"}

    assert handed_over(environ, 7) == ((3, "a"), (4, "admin"))


def test_they_may_have_no_names() -> None:
    assert handed_over({"LISTEN_PID": "7", "LISTEN_FDS": "1"}, 7) == ((3, ""),)


@pytest.mark.parametrize(
    "environ", [{}, {"LISTEN_PID": "8", "LISTEN_FDS": "1"}, {"LISTEN_PID": "7", "LISTEN_FDS": "0"}]
)
def test_what_is_meant_for_another_process_or_is_nothing_is_left_alone(environ: dict[str, str]) -> None:
    assert handed_over(environ, 7) == ()


@pytest.mark.parametrize(
    "environ",
    [
        {"LISTEN_PID": "7"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "-1"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "²"},
        {"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "one"},
    ],
)
def test_what_cannot_be_understood_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="LISTEN_FD"):
        handed_over(environ, 7)
