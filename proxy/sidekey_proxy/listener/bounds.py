"""What the settings allow clients: how long, how much, how many. Pure."""

from __future__ import annotations

from sidekey_proxy.configuration.settings import Settings

from .admission import Ceilings
from .server import ListenerSettings


def listener_settings(chosen: Settings) -> ListenerSettings:
    """Return how clients' connections are treated."""
    return ListenerSettings(
        keep_idle=chosen.keep_alive_timeout,
        head_timeout=chosen.head_timeout,
        body_timeout=chosen.body_timeout,
        peer_timeout=chosen.peer_timeout,
        body_limit=chosen.max_body,
    )


def ceilings(chosen: Settings) -> Ceilings:
    """Return how many connections and requests there may be at once."""
    return Ceilings(
        connections=chosen.max_connections,
        connections_per_client=chosen.max_connections_per_client,
        requests=chosen.max_requests,
    )
