"""Making a connection to upstream: TCP, and TLS on top of it."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import Protocol, TypeVar

from sidekey_auth.upstream import Origin

from .interface import UpstreamTimedOut, UpstreamUnreachable

P = TypeVar("P", bound=asyncio.Protocol)


class Dial(Protocol):
    """Connects a protocol to upstream: directly, or by way of an HTTP proxy."""

    async def __call__(self, protocol: Callable[[], P]) -> P:
        """Connect.

        Raises:
            UpstreamUnreachable: no connection could be made.
            UpstreamTimedOut: it took too long.
        """


class DirectDial:
    """Connects to upstream itself.

    Args:
        origin: where upstream is.
        tls: how it is recognised; None for http.
        timeout: seconds that name, TCP and TLS may take together.
    """

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None, timeout: float) -> None:
        self._origin = origin
        self._tls = tls
        self._timeout = timeout

    async def __call__(self, protocol: Callable[[], P]) -> P:
        """Connect; see ``Dial``."""
        origin = self._origin
        with told_in_our_words(f"{origin} cannot be reached"):
            try:
                async with asyncio.timeout(self._timeout):
                    _, connected = await asyncio.get_running_loop().create_connection(
                        protocol,
                        origin.host,
                        origin.port,
                        ssl=self._tls,
                        server_hostname=origin.host if self._tls else None,
                    )
            except TimeoutError:
                raise UpstreamTimedOut(
                    f"connecting to {origin} took longer than {self._timeout:g} s"
                ) from None
        return connected


@contextlib.contextmanager
def told_in_our_words(what: str) -> Iterator[None]:
    """Raise UpstreamUnreachable instead of what sockets and TLS raise.

    Args:
        what: what failed then, for people.
    """
    try:
        yield
    except ssl.SSLCertVerificationError as error:
        why = f"its certificate is not trusted: {error.verify_message}"
        raise UpstreamUnreachable(f"{what}: {why}") from None
    except (OSError, ssl.SSLError) as error:
        raise UpstreamUnreachable(f"{what}: {_reason(error)}") from None


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
