"""Each limit that can be set reaches the listener."""

from __future__ import annotations

from sidekey_proxy.configuration.settings import Settings
from sidekey_proxy.listener.admission import Ceilings
from sidekey_proxy.listener.bounds import ceilings, listener_settings
from sidekey_proxy.listener.server import ListenerSettings
from sidekey_proxy.replay.copies import MIB


def test_each_setting_arrives_where_it_is_meant_to() -> None:
    chosen = Settings(
        keep_alive_timeout=1.0,
        head_timeout=2.0,
        body_timeout=3.0,
        peer_timeout=4.0,
        max_body=5,
        max_connections=6,
        max_connections_per_client=7,
        max_requests=8,
    )
    assert listener_settings(chosen) == ListenerSettings(
        keep_idle=1.0, head_timeout=2.0, body_timeout=3.0, peer_timeout=4.0, body_limit=5
    )
    assert ceilings(chosen) == Ceilings(connections=6, connections_per_client=7, requests=8)


def test_the_defaults_are_those_of_the_listener_itself() -> None:
    assert listener_settings(Settings()) == ListenerSettings()


def test_limits_that_nobody_sets_leave_time_to_think_and_room_for_prompts() -> None:
    unset = Settings()
    assert unset.response_timeout == 10 * 60
    assert unset.peer_timeout == 60
    assert (unset.replay_limit, unset.replay_budget) == (64 * MIB, 256 * MIB)
