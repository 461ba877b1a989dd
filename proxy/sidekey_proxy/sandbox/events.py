"""What a sandbox has seen: one record a request, secrets as fingerprints, and a way to wait for one."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, overload

from sidekey_auth.secret import Secret

Kind = Literal[
    "authorize",
    "approve",
    "code_exchange",
    "key_exchange",
    "refresh",
    "workload",
    "token",
    "revoke",
    "jwks",
    "device_usercode",
    "device_token",
    "api",
    "api_end",
    "redeem",
    "held",
]
Outcome = Literal["answered", "hung", "dropped", "gone"]

KEY_SUBPROTOCOL: Final = "openai-insecure-api-key."
SECRET_FIELDS: Final = frozenset(
    {"code", "code_verifier", "refresh_token", "subject_token", "token", "id_token", "access_token"}
)


_KEY_ENTRY = re.compile(f"({re.escape(KEY_SUBPROTOCOL)})([^,\\s]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One request, and what became of it.

    Attributes:
        kind: which endpoint, or which grant of the token endpoint; ``token`` is a grant that is none of
            them. ``api_end`` follows an ``api`` event when the answer is over or its client is gone;
            ``held`` says that a fault lets a request hang from now on.
        method: such as ``POST``.
        target: path and query as they stood on the request line.
        headers: names as they came; values of secret ones are fingerprints.
        encoding: ``form``, ``json`` or empty: how the fields came.
        fields: the body's fields; values of secret ones are fingerprints.
        status: what was answered, or None where nothing was.
        outcome: whether it was answered, hung, dropped by a fault, or left by its client.
        error: the error code that was answered, where there was one.
        bearer: the fingerprint of the bearer, where there was one.
        received: bytes of the body, of API requests.
        at: seconds on the monotonic clock.
    """

    kind: Kind
    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    encoding: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    status: int | None = None
    outcome: Outcome = "answered"
    error: str | None = None
    bearer: str | None = None
    received: int = 0
    at: float = 0.0

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def field(self, name: str) -> str | None:
        """Return a field of the body, or None."""
        return next((value for key, value in self.fields if key == name), None)


def shown_headers(raw: Iterable[tuple[bytes, bytes]]) -> tuple[tuple[str, str], ...]:
    """Return headers as text, secrets in them as fingerprints."""
    return tuple(_shown_header(name.decode("latin-1"), value.decode("latin-1")) for name, value in raw)


def shown_fields(fields: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """Return a body's fields as text, secrets as fingerprints."""
    return tuple(
        (name, _fingerprint(str(value)) if name in SECRET_FIELDS else str(value))
        for name, value in fields.items()
    )


def _shown_header(name: str, value: str) -> tuple[str, str]:
    match name.lower():
        case "authorization":
            scheme, _, token = value.partition(" ")
            return name, f"{scheme} {_fingerprint(token.strip())}" if token else _fingerprint(value)
        case "cookie":
            return name, _fingerprint(value)
        case "sec-websocket-protocol":
            return name, _KEY_ENTRY.sub(lambda found: found[1] + _fingerprint(found[2]), value)
    return name, value


def _fingerprint(value: str) -> str:
    return Secret(value).fingerprint() if value else ""


class EventLog(Sequence[Event]):
    """The events of one sandbox, oldest first.

    Args:
        remembered: how many are kept; the numbers of ``seen`` go on beyond it.
    """

    def __init__(self, remembered: int = 100_000) -> None:
        self._remembered = remembered
        self._events: list[Event] = []
        self._seen: Counter[str] = Counter()
        self._waiters: list[tuple[Callable[[Event], bool], asyncio.Future[None]]] = []

    def add(self, event: Event) -> None:
        """Remember an event and wake those who wait for it."""
        self._events.append(event)
        self._seen[event.kind] += 1
        if len(self._events) > 2 * self._remembered:
            del self._events[: -self._remembered]
        for concerns, waiter in self._waiters:
            if not waiter.done() and concerns(event):
                waiter.set_result(None)

    def of(self, kind: Kind) -> tuple[Event, ...]:
        """Return the remembered events of a kind."""
        return tuple(event for event in self._events if event.kind == kind)

    def seen(self, kind: Kind) -> int:
        """Return how many events of a kind there have been."""
        return self._seen[kind]

    async def wait_for(self, kind: Kind, count: int = 1, *, timeout: float = 10.0) -> Event:
        """Return the newest event of a kind as soon as there have been ``count`` of them.

        Args:
            kind: of event.
            count: since the sandbox started.
            timeout: seconds.

        Raises:
            TimeoutError: they did not come in time.
        """
        async with asyncio.timeout(timeout):
            while self._seen[kind] < count:
                await self._next(lambda event: event.kind == kind)
        return next(event for event in reversed(self._events) if event.kind == kind)

    async def _next(self, concerns: Callable[[Event], bool]) -> None:
        waiter = asyncio.get_running_loop().create_future()
        entry = (concerns, waiter)
        self._waiters.append(entry)
        try:
            await waiter
        finally:
            self._waiters.remove(entry)

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | Sequence[Event]:
        return self._events[index]

    def __len__(self) -> int:
        return len(self._events)


def now() -> float:
    """Return the monotonic clock, in seconds."""
    return time.monotonic()
