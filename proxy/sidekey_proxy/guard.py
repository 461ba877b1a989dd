"""Who may come in: Host, Origin, client key. Decided before any of the body is read. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field

from sidekey_auth.secret import Secret

from . import failures
from .addresses import is_loopback_host
from .exchange import RequestHead, every, first
from .failures import Failure
from .framing import BadFraming, request_framing
from .target import BadTarget, NotOurs, Target, below_base, parse

_NOT_FORWARDED = frozenset({"CONNECT", "TRACE"})
_OWN_SITE = frozenset({b"same-origin", b"none"})


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardRules:
    """Who may come in at one listener.

    Attributes:
        loopback: only programs on this machine can reach the listener.
        hosts: names that clients reach sidekey by, besides loopback ones (the setting ``hosts``).
        origins: web pages that may call sidekey, such as ``https://app.example`` (the setting ``origins``).
        client_keys: any of them opens; none at all means that no key is asked for.
    """

    loopback: bool = True
    hosts: frozenset[str] = field(default_factory=frozenset)
    origins: frozenset[str] = field(default_factory=frozenset)
    client_keys: tuple[Secret, ...] = ()


class Refused(Exception):
    """The request is not let in.

    Args:
        failure: what it is answered with.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


def admit(head: RequestHead, rules: GuardRules) -> str:
    """Return what of the request's target goes to upstream, if the request may come in.

    Args:
        head: the request's.
        rules: the listener's.

    Raises:
        Refused: it may not, and this is the answer.
    """
    target = _well_formed(head)
    check_host(head, target, rules)
    check_page(head, rules)
    check_key(head, rules)
    try:
        return below_base(target)
    except NotOurs:
        raise Refused(failures.not_below_v1(target.path)) from None
    except BadTarget as error:
        raise Refused(failures.bad_request(str(error))) from None


def _well_formed(head: RequestHead) -> Target:
    try:
        request_framing(head.version, head.headers)
        if head.method in _NOT_FORWARDED:
            raise Refused(failures.method_not_allowed(head.method))
        return parse(head.target)
    except BadFraming as error:
        raise Refused(failures.bad_request(str(error), error.status)) from None
    except BadTarget as error:
        raise Refused(failures.bad_request(str(error))) from None


def check_host(head: RequestHead, target: Target | None, rules: GuardRules) -> None:
    """Refuse what was meant for another host: a page that had its name point here (DNS rebinding)."""
    named = every(head.headers, b"host")
    if len(named) > 1 or (not named and head.version != "1.0"):
        raise Refused(failures.bad_request("a request has exactly one Host header"))
    authority = target.authority if target is not None else None
    if authority is None:
        if not named:
            return
        authority = named[0].decode("latin-1")
    host = host_of(authority)
    if host is None:
        raise Refused(failures.bad_request("the Host header is not a host"))
    anyone = not rules.loopback and not rules.hosts
    if not (anyone or is_loopback_host(host) or host in rules.hosts):
        raise Refused(failures.foreign_host(host))


def host_of(authority: str) -> str | None:
    """Return the host in ``host`` or ``host:port``, in lower case and without brackets, or None."""
    authority = authority.strip()
    if authority.startswith("["):
        host, bracket, rest = authority[1:].partition("]")
        if not bracket:
            return None
    else:
        host, _, rest = authority.partition(":")
        rest = f":{rest}" if _ else ""
    port_is_fine = not rest or (rest.startswith(":") and (rest == ":" or rest[1:].isdecimal()))
    if not host or not port_is_fine or not host.isascii() or "@" in host:
        return None
    return host.lower().rstrip(".")


def check_page(head: RequestHead, rules: GuardRules) -> None:
    """Refuse what a web page sent that is not listed (Fetch standard: Origin, Sec-Fetch-Site)."""
    origins = every(head.headers, b"origin")
    if origins:
        for origin in origins:
            if origin.decode("latin-1").lower() not in rules.origins:
                raise Refused(failures.foreign_origin(origin.decode("latin-1")))
        return
    site = first(head.headers, b"sec-fetch-site")
    if site is not None and site.lower() not in _OWN_SITE:
        raise Refused(failures.foreign_origin(None))


def check_key(head: RequestHead, rules: GuardRules) -> None:
    """Refuse who does not show a client key, or shows another one, where one is asked for."""
    if not rules.client_keys:
        return
    shown = [_bearer_in(value) for value in every(head.headers, b"authorization")]
    if not shown or None in shown:
        raise Refused(failures.client_key_required())
    for key in shown:
        # No early end: how long this takes must not tell which key came close.
        if not any([key == own for own in rules.client_keys]):  # noqa: C419 - the same
            raise Refused(failures.client_key_invalid())


def _bearer_in(value: bytes) -> Secret | None:
    scheme, _, key = value.partition(b" ")
    key = key.strip()
    if scheme.lower() != b"bearer" or not key:
        return None
    return Secret(key.decode("latin-1"))
