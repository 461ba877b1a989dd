"""A proxy as a service: how it starts, reads its configuration again, is taken over, and ends."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Self

import structlog

from sidekey_auth.errors import SidekeyError
from sidekey_proxy import logs
from sidekey_proxy.place import Place

from .reload import Reload, reload
from .serving import Keys, Running, running, tell_standing
from .systemd import Notifier, given_sockets
from .take_over import Gate, Heirloom, Predecessor, find_predecessor, gate, handed_over

log = structlog.get_logger("sidekey.service")

Find = Callable[[], Place]
"""Reads the configuration."""

_TERMINAL: Final = Path("/dev/tty")


async def serve(place: Place, find: Find, *, take_over: bool = False) -> None:
    """Serve until cancelled, or until another instance has taken over.

    SIGHUP makes the configuration be read again; where it came because the terminal was closed, it ends the
    service.

    Args:
        place: what to serve.
        find: reads the configuration again.
        take_over: have the listening sockets of the running instance, where there is one.

    Raises:
        SidekeyError: it cannot start.
    """
    lines = log_as(place)
    given = given_sockets(os.environ)
    notifier = Notifier(os.environ)
    async with AsyncExitStack() as stack:
        hangups = stack.enter_context(_Hangups())
        entrance = stack.enter_context(gate(place.folder, place.profile))
        predecessor = await find_predecessor(entrance) if take_over else None
        if predecessor is not None:
            stack.callback(predecessor.close)
            given += predecessor.sockets
            entrance.adopt(predecessor.gate)
        elif not place.sandbox:  # which lives in this process, and ends with it
            entrance.open()
        if take_over and predecessor is None:
            log.info("no instance is running: there is nothing to take over")
        proxy = await stack.enter_async_context(running(place, lines, await _keys(place), given))
        stack.callback(notifier.stopping)
        stack.callback(entrance.close)
        if predecessor is not None:
            await _settle(predecessor, proxy, entrance)
        service = _Service(proxy, find, notifier)
        notifier.ready()
        await _first(service.obey(hangups), service.be_taken_over(entrance))


async def _settle(predecessor: Predecessor, proxy: Running, entrance: Gate) -> None:
    """Have the running instance let go of what this one serves now."""
    own = {bound.socket for _, bound in proxy.server.listening()}
    await predecessor.serves(lambda bound: bound.socket in own)
    proxy.server.own()
    entrance.pass_on(lent=False)
    log.info("taken over")


async def _first(*works: Coroutine[Any, Any, None]) -> None:
    """Return when one of these has ended; the others are cancelled."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def log_as(place: Place) -> logs.Log:
    """Log from now on as a place's settings say."""
    always = {"sandbox": True} if place.sandbox else None
    return logs.configure(level=place.settings.log_level, form=place.settings.log_format, always=always)


async def _keys(place: Place) -> Keys:
    key = await place.client_key()
    return Keys(key if place.settings.client_key_required else None, key)


class _Hangups:
    """SIGHUP, which asks for a reload, or tells that the terminal was closed.

    Attributes:
        told: set at each.
    """

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self._number: int | None = getattr(signal, "SIGHUP", None)  # Windows has none
        kept = self._number is not None and signal.getsignal(self._number) == signal.SIG_IGN  # by nohup
        self._on_a_terminal = _has_terminal() and not kept

    def __enter__(self) -> Self:
        if self._number is not None:
            asyncio.get_running_loop().add_signal_handler(self._number, self.told.set)
        return self

    def __exit__(self, *_: object) -> None:
        if self._number is not None:
            asyncio.get_running_loop().remove_signal_handler(self._number)

    @property
    def final(self) -> bool:
        """Whether the terminal is gone that the service was started from."""
        return self._on_a_terminal and not _has_terminal()


def _has_terminal() -> bool:
    try:
        os.close(os.open(_TERMINAL, os.O_RDONLY | getattr(os, "O_NOCTTY", 0)))
    except OSError:
        return False
    return True


class _Service:
    """A running proxy, and what is asked of it from outside.

    Args:
        proxy: the proxy.
        find: reads the configuration.
        notifier: tells systemd.
    """

    def __init__(self, proxy: Running, find: Find, notifier: Notifier) -> None:
        self._proxy = proxy
        self._find = find
        self._notifier = notifier
        self._turn = asyncio.Lock()

    async def obey(self, hangups: _Hangups) -> None:
        """Reload at each hangup, until one comes of a terminal that is gone."""
        while True:
            await hangups.told.wait()
            hangups.told.clear()
            if hangups.final:
                return
            await self._reload()

    async def be_taken_over(self, entrance: Gate) -> None:
        """Return when another instance serves in this one's place."""
        server = self._proxy.server
        await handed_over(entrance, Heirloom(server.listening, server.let_go), self._turn)

    async def _reload(self) -> None:
        async with self._turn:
            self._notifier.reloading()
            try:
                told = await self._take_over_settings()
            except SidekeyError as error:
                problems = str(error).splitlines()
                log.error(  # noqa: TRY400 - a person's mistake has no traceback
                    "the configuration cannot be used: the old one stays",
                    problems=problems,
                    remedy=error.remedy,
                )
            except Exception:
                log.exception("the configuration could not be read again: the old one stays")
            else:
                log.info("reloaded", changed=list(told.changed))
                if told.waiting:
                    log.warning("these settings hold after a restart only", settings=list(told.waiting))
            self._notifier.ready()

    async def _take_over_settings(self) -> Reload:
        """Serve as the configuration says now.

        Raises:
            SidekeyError: it cannot be used; nothing has changed.
        """
        old = self._proxy.place
        found = await asyncio.to_thread(self._find)
        told = reload(old.settings, found.settings)
        # The vault stays: what is sealed in it is known, and its seal need not be asked for again.
        place = replace(old, configuration=replace(found.configuration, settings=told.settings))
        await self._proxy.change(place, await _keys(place))
        self._proxy.record_with(log_as(place).request)
        tell_standing(place, self._proxy.broker)
        return told
