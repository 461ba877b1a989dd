"""What a new configuration changes in a running proxy, and what waits for the next start."""

from __future__ import annotations

from dataclasses import replace

from sidekey_proxy.configuration.settings import SETTINGS, Settings
from sidekey_proxy.running.reload import FIXED_AT_START, READ_BY_COMMANDS, reload

NOW = Settings(profile="work", hosts=("a.example",), scope="openid")


def test_what_is_the_same_changes_nothing() -> None:
    told = reload(NOW, NOW)

    assert (told.settings, told.changed, told.waiting) == (NOW, (), ())


def test_what_serves_requests_holds_from_now_on() -> None:
    new = replace(NOW, hosts=("b.example",), response_timeout=1.0)

    told = reload(NOW, new)

    assert (told.settings, told.changed, told.waiting) == (new, ("hosts", "response_timeout"), ())


def test_what_a_credential_is_waits_for_the_next_start_and_the_old_value_goes_on() -> None:
    told = reload(NOW, replace(NOW, profile="play", issuer="https://other.example", hosts=()))

    assert told.settings == replace(NOW, hosts=())
    assert told.changed == ("hosts",)
    assert told.waiting == ("profile", "issuer")


def test_what_only_commands_read_is_no_change_of_the_server() -> None:
    new = replace(NOW, scope="openid email")

    assert reload(NOW, new).changed == ()
    assert reload(NOW, new).settings == new


def test_every_name_is_a_settings() -> None:
    assert set(SETTINGS) >= FIXED_AT_START | READ_BY_COMMANDS
    assert not FIXED_AT_START & READ_BY_COMMANDS
