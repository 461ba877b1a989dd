"""``POST /sandbox/control/…``: the sandbox's levers for other processes, behind a token, on loopback only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from aiohttp import web

from sidekey_auth.errors import SidekeyError
from sidekey_auth.secret import Secret

from .faults import KINDS, Fault
from .refusal import Refusal
from .settings import SandboxAccount, is_loopback
from .wire import json_answer, read_body, refusal_answer

if TYPE_CHECKING:
    from .server import Sandbox

PATH: Final = "/sandbox/control/{action}"
FAULTS: Final[dict[str, type[Fault]]] = {kind.__name__: kind for kind in KINDS}
_LONGEST_WAIT: Final = 60.0

T = TypeVar("T")
Wish = dict[str, Any]
Action = Callable[[Wish], Awaitable[object]]


class ControlEndpoint:
    """The levers, each an action with JSON in and JSON out.

    Args:
        sandbox: what they move.
    """

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._actions: dict[str, Action] = {
            "faults": self._put_fault,
            "waiting-faults": self._waiting_faults,
            "clear-faults": self._clear_faults,
            "events": self._events,
            "secrets": self._secrets,
            "account": self._account,
            "sign-in": self._sign_in,
            "issue-key": self._issue_key,
            "revoke-keys": self._revoke_keys,
            "knows": self._knows,
            "rotate-signing-key": self._rotate,
            "approve-device": self._approve_device,
            "release": self._release,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Do what is asked for, if whoever asks may."""
        try:
            self._check(request)
            action = self._actions.get(request.match_info["action"])
            if action is None:
                raise Refusal(404, "unknown_action", f"The actions are: {', '.join(self._actions)}.")
            body = await read_body(request)
            body.demand("json")
            return json_answer(await action(dict(body.fields)))
        except Refusal as refusal:
            return refusal_answer(refusal)
        except SidekeyError as error:
            return refusal_answer(Refusal(400, error.code, str(error)))
        except (TypeError, ValueError) as error:
            return refusal_answer(Refusal(400, "invalid_request", f"That cannot be done: {error}."))

    def _check(self, request: web.Request) -> None:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        host = request.headers.get("Host", "").rpartition(":")[0] or request.headers.get("Host", "")
        if not peer or not is_loopback(peer[0]) or not is_loopback(host) or "Origin" in request.headers:
            raise Refusal(403, "not_loopback", "The control endpoint is for this machine's programs only.")
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token or Secret(token) != self._sandbox.control_token:
            raise Refusal(401, "invalid_control_token", "The control endpoint asks for the control token.")

    async def _put_fault(self, wish: Wish) -> object:
        name = wish.pop("fault", None)
        kind = FAULTS.get(str(name))
        if kind is None:
            raise Refusal(400, "unknown_fault", f"The faults are: {', '.join(FAULTS)}.")
        self._sandbox.faults.put(_made(kind, wish))
        return {"put": name}

    async def _waiting_faults(self, _wish: Wish) -> object:
        waiting = self._sandbox.faults.waiting()
        return {"faults": [{"fault": type(fault).__name__, **asdict(fault)} for fault in waiting]}

    async def _clear_faults(self, _wish: Wish) -> object:
        self._sandbox.faults.clear()
        return {}

    async def _events(self, wish: Wish) -> object:
        kind = wish.get("kind")
        if kind is None:
            return {"events": [asdict(event) for event in self._sandbox.events]}
        timeout = min(float(wish.get("timeout", 0.0)), _LONGEST_WAIT)
        if timeout > 0:
            try:
                await self._sandbox.wait_for(kind, int(wish.get("count", 1)), timeout=timeout)
            except TimeoutError:
                raise Refusal(408, "timeout", f"There were not so many events of {kind}.") from None
        return {"events": [asdict(event) for event in self._sandbox.events.of(kind)]}

    async def _secrets(self, _wish: Wish) -> object:
        return {"secrets": [secret.reveal() for secret in self._sandbox.issued_secrets()]}

    async def _account(self, wish: Wish) -> object:
        self._sandbox.account = _made(SandboxAccount, {**asdict(self._sandbox.account), **wish})
        return asdict(self._sandbox.account)

    async def _sign_in(self, _wish: Wish) -> object:
        tokens = self._sandbox.sign_in()
        named = {field.name: getattr(tokens, field.name) for field in fields(tokens)}
        return {name: secret.reveal() for name, secret in named.items() if secret}

    async def _issue_key(self, _wish: Wish) -> object:
        return {"key": self._sandbox.issue_key().reveal()}

    async def _revoke_keys(self, wish: Wish) -> object:
        if "key" in wish:
            self._sandbox.revoke_key(Secret(str(wish["key"])))
        else:
            self._sandbox.revoke_all_keys()
        return {}

    async def _knows(self, wish: Wish) -> object:
        return {"knows": self._sandbox.knows(Secret(str(wish.get("refresh_token", ""))))}

    async def _rotate(self, wish: Wish) -> object:
        return {"kid": self._sandbox.rotate_signing_key(keep_old=bool(wish.get("keep_old", True)))}

    async def _approve_device(self, wish: Wish) -> object:
        return {"approved": self._sandbox.approve_device(str(wish.get("user_code", "")))}

    async def _release(self, _wish: Wish) -> object:
        self._sandbox.release()
        return {}


def _made(kind: type[T], wish: Wish) -> T:
    unknown = set(wish) - {field.name for field in fields(cast("type[Any]", kind))}
    if unknown:
        raise Refusal(400, "unknown_field", f"{kind.__name__} has no {', '.join(sorted(unknown))}.")
    from pydantic import TypeAdapter  # noqa: PLC0415 - slow to import, and rarely needed

    return TypeAdapter(kind).validate_python(wish)
