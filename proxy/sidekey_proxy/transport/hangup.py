"""Seeing that a peer has gone while its connection is not being read.

A transport whose reading is paused has its socket taken out of the event loop's selector, on asyncio and on
uvloop: a FIN or RST would go unnoticed until somebody reads on, which can be never. So each event loop gets
an epoll of its own, beside the loop's, that asks the kernel for nothing but the end (EPOLLRDHUP; EPOLLHUP and
EPOLLERR come unasked). It reads nothing: bytes that wait in the kernel stay there.

What it cannot see:

- a FIN that still stands behind more bytes than the kernel's buffer has room for: it has not arrived. A RST
  waits for nothing;
- over TLS a close_notify that no FIN follows: to the kernel that is data;
- anything at all where there is no epoll (macOS, Windows): there a watch never calls, and the end is found
  when reading goes on or a write fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import enum
import select
import sys
from collections.abc import Callable
from weakref import WeakKeyDictionary


class HangUp(enum.Enum):
    """How a peer ended its side of a connection."""

    ENDED = "a FIN: what it sent before can still be read"
    BROKEN = "a RST: whatever was on its way is lost"


class Watch:
    """One connection that is watched.

    Args:
        callback: called once, with what was seen.
    """

    __slots__ = ("_callback", "_fd", "_watcher")

    def __init__(self, callback: Callable[[HangUp], None]) -> None:
        self._callback: Callable[[HangUp], None] | None = callback
        self._watcher: _Watcher | None = None
        self._fd = -1

    def cancel(self) -> None:
        """Watch no more, and do not call any more; it may have called already, or be cancelled already."""
        self._callback = None
        if self._watcher is not None:
            self._watcher.remove(self._fd, self)
            self._watcher = None

    def _begin(self, watcher: _Watcher, fd: int) -> None:
        self._watcher, self._fd = watcher, fd
        watcher.add(fd, self)

    def _tell(self, seen: HangUp) -> None:
        callback, self._callback, self._watcher = self._callback, None, None
        if callback is not None:
            callback(seen)


def watch(transport: asyncio.BaseTransport, callback: Callable[[HangUp], None]) -> Watch:
    """Watch for the end of the other side of a connection whose reading is paused.

    Cancel the watch before reading goes on, and when the connection is lost. A second watch of the same
    connection takes the place of the first. A transport that has closed already is not watched.

    Args:
        transport: a TCP or Unix socket's, with TLS or without.
        callback: called once, from the event loop, with what was seen.

    Returns:
        The watch, to be cancelled.
    """
    begun = Watch(callback)
    sock = transport.get_extra_info("socket")
    fd = -1 if sock is None or transport.is_closing() else sock.fileno()
    if fd >= 0 and sys.platform == "linux":
        begun._begin(_watcher(), fd)  # noqa: SLF001 - the two are one thing
    return begun


if sys.platform == "linux":

    class _Watcher:
        """The epoll of one event loop."""

        def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
            self._epoll = select.epoll()
            self._watches: dict[int, Watch] = {}
            loop.add_reader(self._epoll.fileno(), self._look)

        def add(self, fd: int, watch: Watch) -> None:
            self._watches[fd] = watch
            try:
                self._epoll.register(fd, select.EPOLLRDHUP)
            except FileExistsError:
                pass  # the first watch of this connection asked for the same
            except OSError:
                del self._watches[fd]  # it has been closed beneath its transport, or is no socket

        def remove(self, fd: int, watch: Watch) -> None:
            if self._watches.get(fd) is watch:  # else the number is another connection's by now
                del self._watches[fd]
                self._unregister(fd)

        def _unregister(self, fd: int) -> None:
            with contextlib.suppress(OSError):  # it may have been closed, and have left the epoll with that
                self._epoll.unregister(fd)

        def _look(self) -> None:
            loop = asyncio.get_running_loop()
            for fd, events in self._epoll.poll(0):
                self._unregister(fd)
                watch = self._watches.pop(fd, None)
                if watch is not None:
                    seen = HangUp.BROKEN if events & select.EPOLLERR else HangUp.ENDED
                    loop.call_soon(watch._tell, seen)  # noqa: SLF001 - the two are one thing

    _watchers: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watcher] = WeakKeyDictionary()

    def _watcher() -> _Watcher:
        loop = asyncio.get_running_loop()
        watcher = _watchers.get(loop)
        if watcher is None:
            watcher = _watchers[loop] = _Watcher(loop)
        return watcher
