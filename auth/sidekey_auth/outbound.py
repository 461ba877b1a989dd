"""One HTTP request out, for the OAuth endpoints: bounded in time and size, never repeated by itself.

Each request has a connection of its own: on a kept one that the other side has just closed, a single-use
token would be spent in the dark. What is known of a failure is whether a connection stood at all: before
that, no byte of the request can have been sent.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from .clock import Clock, SystemClock
from .errors import ConfigurationError, IssuerUnavailable
from .issuer_failures import Answer, seconds_to_wait
from .proxies import proxy_for
from .secret import Secret
from .unchained import unchained

LARGEST_ANSWER: Final = 1024 * 1024

Fields = Mapping[str, str | Secret]
"""A body's fields; a secret is revealed as it is written, so that no traceback shows it."""


class Outbound:
    """Sends requests. It opens itself on first use, and is to be closed: by hand or with ``async with``.

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
        self._session: aiohttp.ClientSession | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    @unchained
    async def request(
        self,
        url: str,
        *,
        what: str,
        form: Fields | None = None,
        document: Fields | None = None,
        timeout: float | None = None,
    ) -> Answer:
        """Send one request and return its answer, whatever its status: POST with a body, else GET.

        Args:
            url: where to.
            what: what failed if it fails, for people.
            form: the body's fields, form-encoded.
            document: the body's fields as JSON.
            timeout: seconds for all of it; the usual ones where None.

        Raises:
            IssuerUnavailable: there is no answer; ``sent`` tells whether the request may have arrived.
            ConfigurationError: the proxy that the environment names, or the CA bundle, cannot be used.
        """
        session = await self._opened()
        target = URL(url)
        seen = SimpleNamespace(connected=False)
        method = "GET" if form is None and document is None else "POST"
        proxy = await asyncio.to_thread(proxy_for, target)
        limits = aiohttp.ClientTimeout(total=timeout or self._request_timeout, connect=self._connect_timeout)
        try:
            async with session.request(
                method,
                target,
                data=form and _plain(form),
                json=document and _plain(document),
                proxy=proxy,
                timeout=limits,
                allow_redirects=False,
                trace_request_ctx=seen,
            ) as response:
                body = await _whole_body(response)
                wish = seconds_to_wait(response.headers.get("Retry-After"), self._clock.wall())
        except _FAILURES as error:
            host = target.host or ""
            reason = _reason(error, host, proxied=proxy is not None)
            raise IssuerUnavailable(f"{what}: {reason}", sent=seen.connected, remedy=_remedy(error)) from None
        if body is None:
            raise IssuerUnavailable(
                f"{what}: the answer is larger than {LARGEST_ANSWER} bytes",
                answered=True,
                status=response.status,
            )
        return Answer(response.status, body, wish)

    async def _opened(self) -> aiohttp.ClientSession:
        async with self._opening:
            if self._session is None:
                trusted: ssl.SSLContext | bool = True
                if self._ca_bundle is not None:
                    trusted = await asyncio.to_thread(_trusting, self._ca_bundle)
                self._session = aiohttp.ClientSession(
                    connector=aiohttp.TCPConnector(force_close=True, ssl=trusted),
                    cookie_jar=aiohttp.DummyCookieJar(),
                    headers={"User-Agent": self._user_agent, "Accept": "application/json"},
                    trace_configs=[_connection_watcher()],
                )
            return self._session


_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)


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


def _connection_watcher() -> aiohttp.TraceConfig:
    watcher = aiohttp.TraceConfig()

    async def stands(_session: Any, context: Any, _params: Any) -> None:
        context.trace_request_ctx.connected = True

    watcher.on_connection_create_end.append(stands)
    watcher.on_connection_reuseconn.append(stands)
    return watcher


async def _whole_body(response: aiohttp.ClientResponse) -> bytes | None:
    parts, length = [], 0
    async for chunk in response.content.iter_any():
        length += len(chunk)
        if length > LARGEST_ANSWER:
            response.close()
            return None
        parts.append(chunk)
    return b"".join(parts)


def _reason(error: Exception, host: str, *, proxied: bool) -> str:
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
    return f"the connection to {host} broke before the answer was whole"


def _remedy(error: Exception) -> str | None:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return "If your network puts certificates of its own in front, name them in the setting ca_bundle."
    return None
