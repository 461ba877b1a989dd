"""A WebSocket's two ends joined: after the 101 the bytes are theirs, and pass as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from .message.exchange import Tunnel


@dataclass(slots=True)
class Traffic:
    """Bytes that have passed.

    Attributes:
        up: from the client to upstream.
        down: from upstream to the client.
    """

    up: int = 0
    down: int = 0


async def join(client: Tunnel, upstream: Tunnel, traffic: Traffic) -> None:
    """Pass bytes both ways until one end has ended or is gone.

    An end that closes properly is passed on as such, after all that it sent. Where one breaks off, or this is
    cancelled, both are cut.

    Args:
        client: the client's connection.
        upstream: upstream's connection.
        traffic: counts what passes.
    """

    def sent_up(count: int) -> None:
        traffic.up += count

    def sent_down(count: int) -> None:
        traffic.down += count

    client.on_break(upstream.cut)
    upstream.on_break(client.cut)
    try:
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(client, upstream, sent_up))
            both.create_task(_pass_on(upstream, client, sent_down))
    except BaseException as error:
        client.cut()
        upstream.cut()
        # Not with except*: a cancellation would leave it inside a group, and nobody would take it for one.
        if not (isinstance(error, ExceptionGroup) and error.split(ConnectionError)[1] is None):
            raise


async def _pass_on(source: Tunnel, sink: Tunnel, count: Callable[[int], None]) -> None:
    while data := await source.read():
        await sink.write(data)
        count(len(data))
    sink.end()
