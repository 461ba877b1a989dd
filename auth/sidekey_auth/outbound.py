"""One HTTP request out, for the OAuth endpoints: bounded in time and size, never repeated by itself.

Each request has a connection of its own: on a kept one that the other side has just closed, a single-use
token would be spent in the dark. What is known of a failure is whether a byte of the request was given to the
connection: proxy, CA bundle, name look-up, TCP and TLS come before that.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlencode

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload
from yarl import URL

from .clock import Clock, SystemClock
from .errors import ConfigurationError, IssuerUnavailable, SidekeyError
from .issuer_failures import Answer, seconds_to_wait
from .proxies import proxy_for
from .secret import Secret
from .unchained import unchained

LARGEST_ANSWER: Final = 1024 * 1024

BeforeSending = Callable[[], Awaitable[None]]
"""Called when the connection stands, before the first byte of the request; where it raises, none is sent."""

Fields = Mapping[str, str | Secret]
"""A body's fields; a secret is revealed as it is written, so that no traceback shows it."""


class Outbound:
    """Sends requests, in any event loop.

    ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` count, loopback never goes through a proxy, ``.netrc``
    is not looked at, redirects are not followed, cookies are not kept.

    Args:
        connect_timeout: seconds until a connection stands, TLS and proxy included.
        request_timeout: seconds for one request, all of it.
        ca_bundle: a PEM file of certificate authorities to trust instead of the system's.
        user_agent: what requests call themselves.
        clock: the time; an answer may name a date.
    """

    def __init__(
        self,
        *,
        connect_timeout: float,
        request_timeout: float,
        ca_bundle: Path | None = None,
        user_agent: str = "sidekey",
        clock: Clock | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self._connect_timeout = connect_timeout
        self._request_timeout = request_timeout
        self._ca_bundle = ca_bundle
        self._user_agent = user_agent
        self._trusted: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Do nothing: no connection outlives its request."""

    @unchained
    async def request(
        self,
        url: str,
        *,
        what: str,
        form: Fields | None = None,
        document: Fields | None = None,
        timeout: float | None = None,
        before_sending: BeforeSending | None = None,
    ) -> Answer:
        """Send one request and return its answer, whatever its status: POST with a body, else GET.

        Args:
            url: where to.
            what: what failed if it fails, for people.
            form: the body's fields, form-encoded.
            document: the body's fields as JSON.
            timeout: seconds for all of it; the usual ones where None.
            before_sending: the last word before the first byte; what it raises is raised here.

        Raises:
            IssuerUnavailable: there is no answer; ``sent`` tells whether a byte of the request was sent.
            ConfigurationError: the proxy that the environment names, or the CA bundle, cannot be used.
        """
        target = URL(url)
        host = target.host or ""
        body = _Body(form, document, before_sending)
        proxy: URL | None = None
        answered: tuple[int, bytes | None, float | None] | None = None
        try:
            proxy = await asyncio.to_thread(proxy_for, target)
            limits = aiohttp.ClientTimeout(
                total=timeout or self._request_timeout, connect=self._connect_timeout
            )
            async with (
                await self._opened() as session,
                session.request(
                    "GET" if body.empty else "POST",
                    target,
                    data=None if body.empty else body,
                    proxy=proxy,
                    timeout=limits,
                    allow_redirects=False,
                ) as response,
            ):
                content = await _whole_body(response)
                wish = seconds_to_wait(response.headers.get("Retry-After"), self._clock.wall())
                answered = response.status, content, wish
        except SidekeyError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, what counts is whether a byte was sent
            refusal = await body.settled()
            if refusal is not None:
                raise refusal from None
            if answered is None:
                reason = _reason(error, host, proxied=proxy is not None, sent=body.sent)
                raise IssuerUnavailable(f"{what}: {reason}", sent=body.sent, remedy=_remedy(error)) from None
        finally:
            await body.settled()
        status, content, wish = answered
        if content is None:
            raise IssuerUnavailable(
                f"{what}: the answer is larger than {LARGEST_ANSWER} bytes",
                sent=body.sent,
                answered=True,
                status=status,
            )
        return Answer(status, content, wish)

    async def _opened(self) -> aiohttp.ClientSession:
        """Return a session for one request: each has a connection of its own, in any event loop."""
        if self._trusted is None and self._ca_bundle is not None:
            self._trusted = await asyncio.to_thread(_trusting, self._ca_bundle)
        trusted: ssl.SSLContext | bool = True if self._trusted is None else self._trusted
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True, ssl=trusted),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": self._user_agent, "Accept": "application/json"},
        )


class _Body(Payload):
    """A request's body, which knows whether a byte of the request was sent.

    aiohttp sends the head together with the first bytes of the body, and asks for these when the connection
    stands: this is the one place between the two. The fields are revealed as they are written, so that no
    traceback shows them.
    """

    def __init__(
        self, form: Fields | None, document: Fields | None, before_sending: BeforeSending | None
    ) -> None:
        kind = "application/x-www-form-urlencoded" if form is not None else "application/json"
        super().__init__(None, content_type=kind)
        self.empty = form is None and document is None
        self.sent = self.empty  # a GET spends nothing, and may be repeated in any case
        self._fields = (form, document)
        self._size = len(_encoded(form, document))
        self._before_sending = before_sending
        self._asked: asyncio.Future[None] | None = None

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:  # noqa: ARG002 - aiohttp's
        """Refuse: a body of secrets is for the wire only."""
        raise TypeError("this body is not shown")

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Ask whether to send, then send."""
        if self._before_sending is not None:
            # A task of its own, since aiohttp gives its writer up at the first sign of trouble, and what has
            # been begun here (a note on the disk) must be known to be done or not done.
            self._asked = asyncio.ensure_future(self._before_sending())
            await asyncio.shield(self._asked)
        self.sent = True
        await writer.write(_encoded(*self._fields))

    async def write_with_length(
        self,
        writer: AbstractStreamWriter,
        content_length: int | None,  # noqa: ARG002 - its own size
    ) -> None:
        """Write all of it."""
        await self.write(writer)

    async def settled(self) -> BaseException | None:
        """Wait until ``before_sending`` has ended, and return why the request was not to be sent, if so."""
        if self._asked is None:
            return None
        if not self._asked.done():
            self._asked.cancel()
        while not self._asked.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait((self._asked,))
        return None if self._asked.cancelled() else self._asked.exception()


def _encoded(form: Fields | None, document: Fields | None) -> bytes:
    if form is not None:
        return urlencode(_plain(form), errors="replace").encode()
    return json.dumps(_plain(document)).encode() if document is not None else b""


def _plain(fields: Fields) -> dict[str, str]:
    return {name: value if isinstance(value, str) else value.reveal() for name, value in fields.items()}


def _trusting(ca_bundle: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=str(ca_bundle))
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else None
        raise ConfigurationError(
            f"the CA bundle {ca_bundle} cannot be used: {reason or 'it holds no certificates in PEM form'}",
            remedy="Name a readable PEM file in the setting ca_bundle.",
        ) from None


async def _whole_body(response: aiohttp.ClientResponse) -> bytes | None:
    parts, length = [], 0
    async for chunk in response.content.iter_any():
        length += len(chunk)
        if length > LARGEST_ANSWER:
            response.close()
            return None
        parts.append(chunk)
    return b"".join(parts)


def _reason(error: Exception, host: str, *, proxied: bool, sent: bool) -> str:
    """Say why there is no answer, in our words: a foreign message may hold a proxy's password."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        detail = getattr(error.certificate_error, "verify_message", "") or "not for this host"
        return f"the certificate of {host} is not trusted ({detail})"
    if isinstance(error, aiohttp.ClientSSLError):
        return f"there is no TLS connection to {host}"
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        return "the proxy cannot be reached"
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"the proxy answered {error.status}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name of {'the proxy' if proxied else host} cannot be looked up"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return f"{host} cannot be reached in time"
    if isinstance(error, TimeoutError):
        return f"{host} did not answer in time"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"{host} cannot be reached ({error.os_error.strerror or 'connection failed'})"
    if not sent and not isinstance(error, aiohttp.ClientError):
        why = error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
        return f"the request could not be made ({why})"
    return f"the connection to {host} broke before the answer was whole"


def _remedy(error: Exception) -> str | None:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "If your network puts certificates of its own in front, name them in the setting ca_bundle."
    return None
