"""What can go wrong on demand: each kind of fault is a class, and each fault strikes a number of times. Pure.

A fault is put with ``faults.put(ApiStatus(status=429, retry_after=1.0, times=3))`` and taken by the endpoint
that it concerns. A new kind is one class here, and one line where it strikes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from sidekey_auth.errors import ConfigurationError

Grant = Literal["code_exchange", "key_exchange", "refresh", "workload"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        times: how often it strikes; None means until it is cleared.
    """

    times: int | None = 1

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ConfigurationError("a fault strikes at least once, or until it is cleared (None)")


# --- the issuer's -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLifetime(Fault):
    """The next id_tokens and access tokens live ``seconds``; a negative number makes them expired."""

    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeRefused(Fault):
    """The authorize endpoint redirects with an error (RFC 6749 section 4.1.2.1)."""

    error: str = "access_denied"
    description: str = "The sign-in was refused."


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeWithoutCode(Fault):
    """The authorize endpoint redirects with the state alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenAnswer(Fault):
    """The token endpoint answers this instead of looking at the request; nothing is consumed.

    Attributes:
        grant: which request it strikes.
        status: the HTTP status.
        body: as it is; a captive portal's HTML, for example.
        content_type: of the body.
        retry_after: seconds, or None for no such header.
        delay: seconds to wait before the answer.
    """

    grant: Grant = "refresh"
    status: int = 500
    body: str = '{"error":{"message":"The server had an error","type":"server_error","code":null}}'
    content_type: str = "application/json"
    retry_after: float | None = None
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenHang(Fault):
    """The token endpoint says nothing until the hang is released or the client leaves.

    Attributes:
        grant: which request it strikes.
        consumed: whether the request was acted upon first: a refresh token is spent then.
        answers: with ``consumed``, whether the answer comes after the release; else the connection goes.
    """

    grant: Grant = "refresh"
    consumed: bool = False
    answers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenDropped(Fault):
    """The token endpoint acts upon the request, then the connection goes instead of the answer."""

    grant: Grant = "refresh"
    consumed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeRefused(Fault):
    """The id_token is not traded for an API key, in OpenAI's error shape."""

    status: int = 401
    code: str = "invalid_subject_token"
    message: str = "Invalid ID token: missing organization_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeForbidden(Fault):
    """The id_token is not traded, since the organisation's policy forbids keys such as these.

    What OpenAI answers then is not known: status, codes and messages are the sandbox's own.
    """

    policy: Literal["service_account_keys_only", "key_creation_disabled", "key_expiry_required"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyNameRefused(Fault):
    """An exchange that asks for a key's name is refused for it; one that asks for none is not struck."""

    status: int = 400
    code: str | None = "unknown_parameter"
    message: str = "Unknown parameter: 'name'."
    parameter: str | None = "name"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshByStranger(Fault):
    """A refresh returns the id_token of somebody else."""

    email: str = "mallory@example.com"
    user_id: str = "user-sandbox-mallory"
    account_id: str = "5ad0b0c5-0000-4000-8000-0000000000ff"


@dataclass(frozen=True, slots=True, kw_only=True)
class RefreshLeavesOut(Fault):
    """A refresh's answer lacks these fields: all of them are optional there (RFC 6749 section 6).

    Without ``refresh_token`` the old one stays good.
    """

    fields: tuple[Literal["id_token", "access_token", "refresh_token"], ...] = ("refresh_token",)


@dataclass(frozen=True, slots=True, kw_only=True)
class JwksUnavailable(Fault):
    """The signing keys cannot be had."""

    status: int = 503


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeFails(Fault):
    """Nothing is revoked (RFC 7009 section 2.2.1); ``delay`` is in seconds."""

    status: int = 503
    delay: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePending(Fault):
    """A poll for the device code finds nobody there yet, with 403 or 404."""

    status: Literal[403, 404] = 403


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDenied(Fault):
    """A poll for the device code learns that the person said no."""

    status: int = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePollFails(Fault):
    """A poll for the device code is answered with this error instead of being looked at.

    Attributes:
        status: such as 503, or 400 with ``slow_down``.
        code: the error's code (RFC 8628 section 3.5 has some), or None.
    """

    status: int = 503
    code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceUnavailable(Fault):
    """The device code is not enabled for this account."""


# --- the API's --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiFault(Fault):
    """A fault of the API; ``path`` limits it to requests whose path begins so."""

    path: str = "/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiStatus(ApiFault):
    """An authorised request is answered with this status, in OpenAI's error shape.

    Attributes:
        status: such as 429 or 500.
        code: the error's code; the usual one of the status where None.
        message: the error's message.
        retry_after: seconds, or None for no such header.
    """

    status: int = 500
    code: str | None = None
    message: str = "The sandbox was asked to fail."
    retry_after: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRefused(ApiFault):
    """A WebSocket's handshake is refused, and plain requests go on; at 426 Codex takes to these at once."""

    status: int = 426


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiSlow(ApiFault):
    """An answer takes its time: seconds before its head, and before each chunk."""

    before_head: float = 0.0
    between_chunks: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiHang(ApiFault):
    """An answer stops for good, after its head and ``after_chunks`` chunks, or before its head (None)."""

    after_chunks: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCut(ApiFault):
    """The connection goes in the middle of the answer.

    Attributes:
        after_chunks: how many chunks (or messages) come before; None cuts before the head. Of an answer
            that is one chunk, the first half comes.
        reset: end with a TCP reset instead of a FIN.
    """

    after_chunks: int | None = 1
    reset: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RedeemRefused(Fault):
    """Credits are not granted; ``delay`` is in seconds."""

    status: int = 403
    message: str = "This account is not eligible for API credits."
    delay: float = 0.0


KINDS: Final[tuple[type[Fault], ...]] = (
    TokenLifetime,
    AuthorizeRefused,
    AuthorizeWithoutCode,
    TokenAnswer,
    TokenHang,
    TokenDropped,
    ExchangeRefused,
    ExchangeForbidden,
    KeyNameRefused,
    RefreshByStranger,
    RefreshLeavesOut,
    JwksUnavailable,
    RevokeFails,
    DevicePending,
    DeviceDenied,
    DevicePollFails,
    DeviceUnavailable,
    ApiStatus,
    SocketRefused,
    ApiSlow,
    ApiHang,
    ApiCut,
    RedeemRefused,
)

F = TypeVar("F", bound=Fault)


class Faults:
    """The faults that wait to strike, in the order in which they were put.

    Args:
        faults: to begin with.
    """

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._waiting: list[list[Fault | int | None]] = []
        self._struck: Counter[type[Fault]] = Counter()
        for fault in faults:
            self.put(fault)

    def put(self, fault: Fault) -> None:
        """Let a fault strike ``fault.times`` times, after those of its kind that wait already."""
        self._waiting.append([fault, fault.times])

    def take(self, kind: type[F], where: Callable[[F], bool] | None = None) -> F | None:
        """Return the next fault of a kind, which has struck then, or None.

        Args:
            kind: the fault's class.
            where: which faults of the kind concern the caller; all of them where None.
        """
        for entry in self._waiting:
            fault, left = entry
            if not isinstance(fault, kind) or (where is not None and not where(fault)):
                continue
            self._struck[kind] += 1
            if isinstance(left, int):
                entry[1] = left - 1
                if left == 1:
                    self._waiting.remove(entry)
            return fault
        return None

    def waiting(self, kind: type[Fault] = Fault) -> tuple[Fault, ...]:
        """Return the faults of a kind that have not struck for the last time."""
        return tuple(fault for fault, _ in self._waiting if isinstance(fault, kind))

    def struck(self, kind: type[Fault]) -> int:
        """Return how often faults of a kind have struck."""
        return self._struck[kind]

    def clear(self, kind: type[Fault] = Fault) -> None:
        """Forget the waiting faults of a kind, or all of them."""
        self._waiting = [entry for entry in self._waiting if not isinstance(entry[0], kind)]
