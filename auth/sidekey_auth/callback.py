"""The loopback server of one sign-in (RFC 8252 section 7.3): it waits for one callback, and is gone.

The browser's request is held until the sign-in says ``succeed`` or ``fail``, so that the page tells what is
true. A request with the wrong state is answered 400 and changes nothing: any web page can send one.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self

from aiohttp import web

from .authorize import parse_callback
from .callback_page import Pages
from .callback_ports import bind_first
from .errors import NoAuthorizationCode, SignInError, SignInRefused, SignInTimedOut, StateMismatch
from .issuer_settings import CALLBACK_PATH, CALLBACK_PORTS
from .secret import Secret
from .server_log import server_log

PAGE_TIME: Final = 0.5
"""Seconds that a browser has to take its page before the server closes."""

LEFT_ALONE: Final = "The sign-in was broken off."
_OURS: Final = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Callback:
    """What the issuer sent back.

    Attributes:
        code: to be exchanged.
        state: the one that was expected.
    """

    code: Secret
    state: str


@dataclass(frozen=True, slots=True)
class _Verdict:
    status: int
    page: str


class CallbackServer:
    """Waits for one callback.

    It is to be used as ``async with``::

        async with CallbackServer(state) as server:
            ...  # send the browser to the issuer, with server.port in the redirect_uri
            callback = await server.wait()
            ...  # exchange callback.code, store what it brings
            await server.succeed()

    Args:
        state: what the callback must bring back.
        ports: tried in turn; 0 takes a free one.
        timeout: seconds from the start until ``wait`` gives up.
        path: of the callback.
        pages: what the browser is shown.
    """

    def __init__(
        self,
        state: str,
        *,
        ports: Sequence[int] = CALLBACK_PORTS,
        timeout: float = 300.0,
        path: str = CALLBACK_PATH,
        pages: Pages | None = None,
    ) -> None:
        self._state = state
        self._ports = ports
        self._timeout = timeout
        self._path = path
        self._pages = pages or Pages()
        self._port = 0
        self._deadline = 0.0
        self._runner: web.ServerRunner | None = None
        self._arrived: asyncio.Future[Callback] | None = None
        self._verdict: asyncio.Future[_Verdict] | None = None
        self._code: Secret | None = None
        self._held: set[asyncio.Task[object]] = set()

    # --- life ---------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def port(self) -> int:
        """The port that is bound; 0 before the start."""
        return self._port

    async def start(self) -> None:
        """Listen.

        Raises:
            PortsBusy: on none of the ports.
        """
        loop = asyncio.get_running_loop()
        sockets = bind_first(self._ports)
        self._port = sockets[0].getsockname()[1]
        self._arrived, self._verdict = loop.create_future(), loop.create_future()
        self._deadline = loop.time() + self._timeout
        self._runner = web.ServerRunner(
            web.Server(self._answer, access_log=None, logger=server_log("callback")),
            shutdown_timeout=PAGE_TIME / 2,
            handle_signals=False,
        )
        await self._runner.setup()
        for sock in sockets:
            await web.SockSite(self._runner, sock).start()

    async def wait(self) -> Callback:
        """Return the callback with the right state.

        Raises:
            SignInRefused, NoAuthorizationCode: it came, without a code.
            SignInTimedOut: it did not come in time.
        """
        if self._arrived is None:
            raise RuntimeError("not started")
        try:
            async with asyncio.timeout_at(self._deadline):
                return await asyncio.shield(self._arrived)
        except TimeoutError:
            raise SignInTimedOut(f"nobody came back from the browser within {self._timeout:g} s") from None

    async def succeed(self, note: str = "") -> None:
        """Show the success page, and close: at most 1 s after the page is out.

        Args:
            note: one more sentence for the page.
        """
        self._decide(_Verdict(200, self._pages.success(note)))
        await self.close()

    async def fail(self, message: str) -> None:
        """Show the failure page, and close.

        Args:
            message: why; it is escaped.
        """
        self._decide(_Verdict(500, self._pages.failure(message)))
        await self.close()

    async def close(self) -> None:
        """Let go of the port; a browser that is still held learns that the sign-in was broken off."""
        runner, self._runner = self._runner, None
        if runner is None:
            return
        for site in list(runner.sites):
            await site.stop()
        self._decide(_Verdict(500, self._pages.failure(LEFT_ALONE)))
        if self._held:
            await asyncio.wait(self._held, timeout=PAGE_TIME)
        await runner.cleanup()
        if self._arrived is not None and not self._arrived.cancel():
            # Somebody may close without having waited.
            with suppress(SignInError):
                self._arrived.result()

    def _decide(self, verdict: _Verdict) -> None:
        if self._verdict is not None and not self._verdict.done():
            self._verdict.set_result(verdict)

    # --- requests -----------------------------------------------------------------------------------------

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return self._response(refusal)
        if self._arrived is None or self._verdict is None:
            raise RuntimeError("not started")
        try:
            code = parse_callback(request.raw_path, self._state)
        except StateMismatch as error:
            return self._response(_Verdict(400, self._pages.failure(str(error))))
        except (SignInRefused, NoAuthorizationCode) as error:
            if not self._arrived.done():
                self._arrived.set_exception(error)
                self._decide(_Verdict(400, self._pages.failure(str(error))))
            return await self._send(request, self._verdict)
        if self._code is None and not self._arrived.done():
            self._code = code
            self._arrived.set_result(Callback(code, self._state))
        elif self._code is not None and not hmac.compare_digest(_bytes(code), _bytes(self._code)):
            return self._response(
                _Verdict(409, self._pages.failure("This sign-in has its callback already."))
            )
        return await self._send(request, self._verdict)

    def _refusal(self, request: web.BaseRequest) -> _Verdict | None:
        """Decide about a request before its query is looked at."""
        hosts = request.headers.getall("Host", [])
        if len(hosts) != 1 or hosts[0].lower() not in {f"{name}:{self._port}" for name in _OURS}:
            return _Verdict(421, self._pages.failure("This address is not sidekey's."))
        if request.raw_path.partition("?")[0] != self._path:
            return _Verdict(404, self._pages.failure("There is nothing here."))
        if request.method != "GET":
            return _Verdict(405, self._pages.failure("Only GET is answered here."))
        return None

    async def _send(self, request: web.BaseRequest, verdict: asyncio.Future[_Verdict]) -> web.StreamResponse:
        """Send the verdict once there is one; ``close`` waits for this to be done."""
        sent = asyncio.get_running_loop().create_task(self._send_verdict(request, verdict))
        self._held.add(sent)
        sent.add_done_callback(self._held.discard)
        return await sent

    async def _send_verdict(
        self, request: web.BaseRequest, verdict: asyncio.Future[_Verdict]
    ) -> web.StreamResponse:
        response = self._response(await asyncio.shield(verdict))
        with suppress(ConnectionError):
            await response.prepare(request)
            await response.write_eof()
        return response

    def _response(self, verdict: _Verdict) -> web.Response:
        response = web.Response(
            body=verdict.page.encode("utf-8", "replace"),
            status=verdict.status,
            content_type="text/html",
            charset="utf-8",
            headers=self._pages.headers,
        )
        if verdict.status == 405:  # noqa: PLR2004 - the one status with a header of its own
            response.headers["Allow"] = "GET"
        response.force_close()
        return response


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode("utf-8", "surrogatepass")
