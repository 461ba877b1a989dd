"""What the admin listener answers: `/livez`, `/readyz` and `/status`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sidekey_auth.states import Standing
from sidekey_proxy.guard import GuardRules, Refused, check_host, check_key, check_page
from sidekey_proxy.message.exchange import RequestHead

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Health:
    """What the admin listener tells.

    Attributes:
        standing: gives how the credential stands now.
        status: gives the whole report, JSON-able.
        draining: tells whether the server is about to stop.
    """

    standing: Callable[[], Standing]
    status: Callable[[], dict[str, Any]]
    draining: Callable[[], bool]


def admin_application(health: Health, rules: Callable[[], GuardRules]) -> web.Application:
    """Return the admin listener's application.

    Args:
        health: what it tells.
        rules: gives who may ask; `/livez` and `/readyz` ask for no key, since probes have none.
    """

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        head = RequestHead(
            request.method,
            request.raw_path,
            tuple(request.raw_headers),
            request.remote or "",
            version="1.0" if request.version < (1, 1) else "1.1",
        )
        try:
            check_host(head, None, rules())
            check_page(head, rules())
            if request.path == "/status":
                check_key(head, rules())
        except Refused as refused:
            failure = refused.failure
            headers = [(name.decode(), value.decode()) for name, value in failure.extra]
            return web.Response(
                body=failure.body(),
                status=failure.status,
                headers=headers,
                content_type="application/json",
            )
        response = await handler(request)
        response.headers["Cache-Control"] = "no-store"
        response.force_close()  # a probe that kept its connection would go on asking a process that is left
        return response

    async def livez(_: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def readyz(_: web.Request) -> web.Response:
        standing = health.standing()
        ready = standing.ready and not health.draining()
        told = {
            "status": "ready" if ready else "not ready",
            "state": standing.state,
            "code": "draining" if health.draining() else standing.code,
            "reason": "sidekey is stopping." if health.draining() else standing.sentence,
        }
        return web.json_response(told, status=200 if ready else 503)

    async def status(_: web.Request) -> web.Response:
        return web.json_response(health.status())

    app = web.Application(middlewares=[guarded])
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/status", status)
    return app
