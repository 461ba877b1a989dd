"""The HTTP server in front, on aiohttp: its connections, and how they end.

aiohttp parses requests and keeps connections alive. It has opinions about answers (Date, Server,
Content-Type, compression, an error page in plain text), and about when a handler learns that its client is
gone: so answers are written by ``listener_exchange.py``, and a client's end is dealt with here. Only the
modules named ``listener…`` know aiohttp's server, and use what it does not document:

- ``RequestHandler`` as a base class, with its ``_waiter`` (set while a connection is idle) and ``_messages``
  (requests that wait for the present one to end);
- ``RequestHandler.set_parser``, the door by which aiohttp's own WebSockets take over a connection;
- ``RequestHandler.handle_error``, which is asked for the answer to what is no HTTP;
- ``BaseRequest._message``, whose public name is deprecated.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import BadHttpMethod, InvalidURLError, LineTooLong

from . import failures
from .exchange import ClientGone, Exchange
from .listener_exchange import Answered, ServedExchange

log = structlog.get_logger("sidekey.listener")

Handle = Callable[[Exchange], Awaitable[None]]
"""Serves one request to its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListenerSettings:
    """How clients' connections are treated.

    Attributes:
        keep_idle: seconds that a connection without a request is kept, and that a request's head may take.
        linger: seconds for which the rest of an unread request is thrown away before its connection is
            closed, so that a client in the middle of an upload sees the answer.
        line_limit: the longest request line, in bytes.
        field_limit: the longest header field, in bytes.
        fields_limit: the most header fields.
        read_buffer: bytes of a request's body that wait to be read; at twice that the client is held.
    """

    keep_idle: float = 75.0
    linger: float = 2.0
    line_limit: int = 16 * 1024
    field_limit: int = 32 * 1024
    fields_limit: int = 256
    read_buffer: int = 64 * 1024


class Listener:
    """Serves HTTP on any number of sockets: an instance is the protocol factory of ``loop.create_server``.

    Args:
        handle: serves one request to its end; its task is cancelled when the client goes away.
        settings: how connections are treated.
    """

    def __init__(self, handle: Handle, settings: ListenerSettings | None = None) -> None:
        chosen = settings or ListenerSettings()
        self._handle = handle
        self._server = _Server(
            self._serve,
            keepalive_timeout=chosen.keep_idle,
            lingering_time=chosen.linger,
            max_line_size=chosen.line_limit,
            max_field_size=chosen.field_limit,
            max_headers=chosen.fields_limit,
            read_bufsize=chosen.read_buffer,
            auto_decompress=False,
            access_log=None,
        )
        self._open: set[ServedExchange] = set()
        self._draining = False
        self._quiet = asyncio.Event()
        self._quiet.set()

    def __call__(self) -> asyncio.Protocol:
        """Return the protocol of a new connection."""
        return self._server()

    @property
    def open_exchanges(self) -> int:
        """How many requests are being served."""
        return len(self._open)

    async def drain(self, seconds: float) -> int:
        """Let open requests finish, take no further ones on their connections, and cut what is left.

        The listening sockets are to be closed before.

        Args:
            seconds: how long the open requests may take.

        Returns:
            How many had to be cut.
        """
        self._draining = True
        for connection in self._server.connections:
            if isinstance(connection, _Connection) and connection.idle:
                connection.force_close()
        try:
            async with asyncio.timeout(seconds):
                await self._quiet.wait()
        except TimeoutError:
            pass
        left = list(self._open)
        for exchange in left:
            exchange.cut()
            exchange.abandon()
        await self._quiet.wait()
        for connection in self._server.connections:
            connection.force_close()
        return len(left)

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        exchange = ServedExchange(request, closing=lambda: self._draining)
        connection = request.protocol
        self._open.add(exchange)
        self._quiet.clear()
        if isinstance(connection, _Connection):
            connection.exchange = exchange
        try:
            await self._handle(exchange)
        except ClientGone:
            exchange.cut()
        except Exception:
            log.exception("a request broke")
            exchange.cut()
        finally:
            self._open.discard(exchange)
            if not self._open:
                self._quiet.set()
            if isinstance(connection, _Connection):
                connection.exchange = None
        return exchange.answered()


class _Server(web.Server):
    """Makes connections of our own kind."""

    def __call__(self) -> _Connection:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ("exchange",)

    def __init__(self, manager: web.Server, **kwargs: Any) -> None:
        super().__init__(manager, **kwargs)
        self.exchange: ServedExchange | None = None

    @property
    def idle(self) -> bool:
        """Whether no request is being served, nor one about to be."""
        return self._waiter is not None and not self._waiter.done()

    def data_received(self, data: bytes) -> None:
        """Take bytes; what aiohttp queues while a body is still to come is the fault that ended that body."""
        super().data_received(data)
        if self._messages and self.exchange is not None:
            self.exchange.body_broken()

    def eof_received(self) -> None:
        """End the exchange: a client's FIN before the answer is whole counts as gone."""
        if self.exchange is not None:
            self.exchange.client_ended()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the exchange: there is nobody left to answer."""
        exchange = self.exchange
        super().connection_lost(exc)
        if exchange is not None:
            exchange.client_ended()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - aiohttp's signature
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP in OpenAI's shape, and close."""
        return Answered(_not_http(status, exc, message or ""))


def _not_http(status: int, exc: BaseException | None, message: str) -> failures.Failure:
    if isinstance(exc, LineTooLong):
        return failures.bad_request("The request line or a header is too long", 431)
    if isinstance(exc, BadHttpMethod):
        return failures.bad_request("This is not HTTP, or its method is none", 400)
    if isinstance(exc, InvalidURLError):
        return failures.bad_request("The request target is none", 400)
    return failures.bad_request("The request is not valid HTTP: " + message.partition("\n")[0], status)
