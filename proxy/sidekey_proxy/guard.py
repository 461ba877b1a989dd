"""Who may come in: Host, Origin, client key. Decided before any of the body is read. Pure.

The order is: is it HTTP that sidekey speaks, is the host ours, may the page call, is the key right, is the
path the API's. What needs no key (a listed page's preflight, ``OPTIONS *``) is answered before the key is
looked at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from sidekey_auth.hosts import is_loopback_host
from sidekey_auth.secret import Secret

from .message import cors, failures, subprotocols
from .message.exchange import RequestHead, every
from .message.failures import Failure, Reply
from .message.framing import BadFraming, request_framing
from .message.target import ASTERISK, BadTarget, NotOurs, Target, below_base, parse

_NOT_FORWARDED: Final = frozenset({"CONNECT", "TRACE"})
_OWN_SITE: Final = frozenset({b"same-origin", b"none"})
_AUTHORITY = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._~%!$&'()*+,;=-]+))(?::[0-9]*)?")


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


class Answered(Exception):
    """The request is answered by sidekey itself, and is no failure.

    Args:
        reply: the answer.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"answered here with {reply.status}")
        self.reply = reply


def admit(head: RequestHead, rules: GuardRules) -> str:
    """Return what of the request's target goes to upstream, if the request may come in.

    Args:
        head: the request's.
        rules: the listener's.

    Raises:
        Refused: it may not, and this is the answer.
        Answered: it may, and goes no further.
    """
    target = _well_formed(head)
    check_host(head, target, rules)
    check_page(head, rules)
    if head.method == "OPTIONS":
        _answer_here(head, target)
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
        target = parse(head.method, head.target)
        if head.method.upper() in _NOT_FORWARDED:
            raise Refused(failures.method_not_allowed(head.method))
        return target
    except BadFraming as error:
        raise Refused(failures.bad_request(str(error), error.status)) from None
    except BadTarget as error:
        raise Refused(failures.bad_request(str(error))) from None


def _answer_here(head: RequestHead, target: Target) -> None:
    if cors.is_preflight(head):
        try:
            raise Answered(Reply(204, cors.preflight_headers(head.headers)))
        except cors.BadPreflight as error:
            raise Refused(failures.bad_request(str(error))) from None
    if target.path == ASTERISK:
        raise Answered(Reply(200, (failures.ALLOW, (b"content-length", b"0"))))


def check_host(head: RequestHead, target: Target | None, rules: GuardRules) -> None:
    """Refuse what was meant for another host: a page that had its name point here (DNS rebinding)."""
    named = every(head.headers, b"host")
    if len(named) > 1 or (not named and head.version != "1.0"):
        raise Refused(failures.bad_request("a request has exactly one Host header"))
    host = host_of(named[0].decode("latin-1")) if named else ""
    if target is not None and target.authority is not None and host is not None:
        host = host_of(target.authority)
    if host is None:
        raise Refused(failures.bad_request("the Host header, or the target's authority, is not a host"))
    anyone = not rules.loopback and not rules.hosts
    if host and not (anyone or is_loopback_host(host) or host in rules.hosts):
        raise Refused(failures.foreign_host(host))


def host_of(authority: str) -> str | None:
    """Return the host in ``host`` or ``host:port``, in lower case and without brackets, or None.

    A user name before it makes it none (RFC 9110 section 4.2.4).
    """
    parts = _AUTHORITY.fullmatch(authority.strip(" \t"))
    if parts is None:
        return None
    return (parts[1] or parts[2]).lower().removesuffix(".") or None


def check_page(head: RequestHead, rules: GuardRules) -> None:
    """Refuse what a web page sent that is not listed (Fetch standard: Origin, Sec-Fetch-Site)."""
    origins = every(head.headers, b"origin")
    if len(origins) > 1:
        raise Refused(failures.bad_request("a request has at most one Origin header"))
    if origins:
        if not cors.is_listed(origins[0], rules.origins):
            raise Refused(failures.foreign_origin(origins[0].decode("latin-1")))
        return
    if any(site.lower() not in _OWN_SITE for site in every(head.headers, b"sec-fetch-site")):
        raise Refused(failures.foreign_origin(None))


def check_key(head: RequestHead, rules: GuardRules) -> None:
    """Refuse who does not show a client key, or shows another one, where one is asked for.

    A key stands in Authorization or, at a WebSocket's handshake, in a subprotocol; of several each must be
    right, so that nobody has to know which one counts.
    """
    if not rules.client_keys:
        return
    shown = [_bearer_in(value) for value in every(head.headers, b"authorization")]
    if head.websocket:
        shown += subprotocols.client_keys(head.headers)
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
