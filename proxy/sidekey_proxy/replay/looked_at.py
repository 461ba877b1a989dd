"""An answer whose body is looked at before it passes on as it came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sidekey_proxy.message import content_coding
from sidekey_proxy.message.exchange import Headers, Tunnel, every
from sidekey_proxy.upstream.interface import UpstreamAnswer, UpstreamError


class LookedAt:
    """An answer of upstream that remembers what has been read of it (``upstream.UpstreamAnswer``).

    Args:
        answer: nobody has read of it yet.
    """

    __slots__ = ("_answer", "_pieces")

    def __init__(self, answer: UpstreamAnswer) -> None:
        self._answer = answer
        self._pieces: list[bytes] = []

    async def look(self, limit: int, seconds: float) -> bytes | None:
        """Return the beginning of the body, decoded, or None where it cannot be decoded.

        Args:
            limit: bytes to wait for, and the most to return.
            seconds: how long to wait; what has come by then has to do.
        """
        size = 0
        try:
            async with asyncio.timeout(seconds):
                while size < limit and (piece := await self._answer.read()):
                    self._pieces.append(piece)
                    size += len(piece)
        except (TimeoutError, UpstreamError):
            pass  # whoever reads on meets the same
        codings = content_coding.codings_of(every(self._answer.headers, b"content-encoding"))
        return content_coding.beginning(b"".join(self._pieces)[:limit], codings, limit)

    async def read(self) -> bytes:
        """Return the next bytes of the body as it came; ``b""`` at its end."""
        return self._pieces.pop(0) if self._pieces else await self._answer.read()

    @property
    def status(self) -> int:
        """The status code."""
        return self._answer.status

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return self._answer.reason

    @property
    def headers(self) -> Headers:
        """The header fields as they came."""
        return self._answer.headers

    @property
    def until_close(self) -> bool:
        """Whether the body ends where the connection does."""
        return self._answer.until_close

    def tunnel(self) -> Tunnel:
        """Return the connection after a 101."""
        return self._answer.tunnel()

    def on_break(self, call: Callable[[], None]) -> None:
        """Call this when upstream breaks off while nobody waits in ``read``."""
        self._answer.on_break(call)

    def stop_sending(self) -> None:
        """Send no more of the request's body."""
        self._answer.stop_sending()

    def close(self) -> None:
        """Give the connection back if the answer was whole, and close it otherwise."""
        self._answer.close()
