"""Making a connection to upstream through an HTTP proxy: CONNECT (RFC 9110 section 9.3.6).

Every upstream is reached by CONNECT, an ``http://`` one as well: the connection is upstream's then, end to
end, and the proxy changes nothing of a request.
"""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Self, TypeVar

from yarl import URL

from sidekey_auth.secret import Secret
from sidekey_auth.upstream import Origin
from sidekey_proxy.message.answer_head import END, AnswerHead, BadAnswer, check_beginning, parse_answer_head

from .dial import told_in_our_words
from .interface import UpstreamTimedOut, UpstreamUnreachable

P = TypeVar("P", bound=asyncio.Protocol)

HEAD_LIMIT: Final = 64 * 1024
"""Bytes of a proxy's answer to CONNECT."""
_FIRST_FINAL_STATUS = 200
_FIRST_REFUSAL = 300
_CREDENTIALS_REQUIRED = 407


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy.

    Attributes:
        origin: where it is; ``https`` where it is spoken to over TLS.
        credentials: what ``Proxy-Authorization`` is to say, if anything.
    """

    origin: Origin
    credentials: Secret | None

    @classmethod
    def named(cls, url: URL) -> Self:
        """Return the proxy that a URL names, its user name and password taken out of it."""
        credentials = None
        if url.user is not None or url.password is not None:
            pair = f"{url.user or ''}:{url.password or ''}".encode()
            credentials = Secret("Basic " + base64.b64encode(pair).decode("ascii"))
        return cls(Origin(url.scheme, url.host or "", url.port or 0), credentials)

    def __str__(self) -> str:
        return str(self.origin)


class ProxyDial:
    """Connects to upstream through an HTTP proxy.

    Args:
        origin: where upstream is.
        tls: how it is recognised; None for http.
        proxy: the proxy.
        to_proxy: how an https:// proxy is recognised; None for http.
        timeout: seconds that all of it may take together.
    """

    def __init__(
        self,
        origin: Origin,
        tls: ssl.SSLContext | None,
        proxy: Proxy,
        to_proxy: ssl.SSLContext | None,
        timeout: float,
    ) -> None:
        self._origin = origin
        self._tls = tls
        self._proxy = proxy
        self._to_proxy = to_proxy
        self._timeout = timeout

    async def __call__(self, protocol: Callable[[], P]) -> P:
        """Connect; see ``Dial``."""
        try:
            async with asyncio.timeout(self._timeout):
                return await self._connect(protocol)
        except TimeoutError:
            way = f"connecting to {self._origin} through the proxy {self._proxy}"
            raise UpstreamTimedOut(f"{way} took longer than {self._timeout:g} s") from None

    async def _connect(self, protocol: Callable[[], P]) -> P:
        where = self._proxy.origin
        with told_in_our_words(f"the proxy {self._proxy} cannot be reached"):
            transport, asking = await asyncio.get_running_loop().create_connection(
                _Asking,
                where.host,
                where.port,
                ssl=self._to_proxy,
                server_hostname=where.host if self._to_proxy else None,
            )
        try:
            transport.write(self._request())
            self._check(await asking.answer())
            if transport.is_closing():
                raise UpstreamUnreachable(f"the proxy {self._proxy} closed the connection to {self._origin}")
            return await self._hand_over(transport, protocol())
        except BaseException:
            transport.abort()
            raise

    def _request(self) -> bytes:
        host = f"[{self._origin.host}]" if ":" in self._origin.host else self._origin.host
        target = f"{host}:{self._origin.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if self._proxy.credentials is not None:
            lines.append(f"Proxy-Authorization: {self._proxy.credentials.reveal()}")
        return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n"

    def _check(self, answer: AnswerHead | str) -> None:
        if isinstance(answer, str):
            raise UpstreamUnreachable(f"the proxy {self._proxy} {answer}")
        if answer.status < _FIRST_REFUSAL:
            return
        why = f"the proxy {self._proxy} refused to connect to {self._origin} ({answer.status})"
        if answer.status == _CREDENTIALS_REQUIRED:
            wanted = "a user name and password" if self._proxy.credentials is None else "other credentials"
            why += f": it asks for {wanted}"
        raise UpstreamUnreachable(why)

    async def _hand_over(self, transport: asyncio.Transport, connection: P) -> P:
        if self._tls is None:
            transport.set_protocol(connection)
            connection.connection_made(transport)
            return connection
        with told_in_our_words(f"{self._origin} cannot be reached through the proxy {self._proxy}"):
            secured = await asyncio.get_running_loop().start_tls(
                transport, connection, self._tls, server_hostname=self._origin.host
            )
        if secured is None:  # asyncio returns none where the connection has ended meanwhile
            raise UpstreamUnreachable(f"the proxy {self._proxy} closed the connection to {self._origin}")
        connection.connection_made(secured)
        return connection


class _Asking(asyncio.Protocol):
    """Takes a proxy's answer to CONNECT."""

    def __init__(self) -> None:
        self._answer: asyncio.Future[AnswerHead | str] = asyncio.get_running_loop().create_future()
        self._head = b""

    async def answer(self) -> AnswerHead | str:
        """Return what the proxy answered, or say what is wrong with it."""
        return await self._answer

    def data_received(self, data: bytes) -> None:
        checked, self._head = len(self._head), self._head + data
        try:
            self._look(checked)
        except BadAnswer as fault:
            self._tell(f"gave an invalid answer: {fault}")

    def _look(self, checked: int) -> None:
        while (end := self._head.find(END)) >= 0:
            end += len(END)
            head, self._head = parse_answer_head(self._head[:end]), self._head[end:]
            if head.status < _FIRST_FINAL_STATUS:
                continue
            if self._head and head.status < _FIRST_REFUSAL:
                raise BadAnswer("upstream has spoken first")
            self._tell(head)
            return
        check_beginning(self._head, checked)
        if len(self._head) > HEAD_LIMIT:
            raise BadAnswer("its head is too long")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio.Protocol
        self._tell("closed the connection before it answered")

    def _tell(self, answer: AnswerHead | str) -> None:
        if not self._answer.done():
            self._answer.set_result(answer)
