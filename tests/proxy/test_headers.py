"""Which headers travel, both ways."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.secret import Secret
from sidekey_proxy.message.exchange import Headers
from sidekey_proxy.message.headers import downward, is_event_stream, switching, upward

BEARER = Secret("sk-upstream-key-number-one")
AUTHORIZATION = (b"Authorization", b"Bearer sk-upstream-key-number-one")
NEVER_UP = [
    "Authorization",
    "Cookie",
    "Proxy-Authorization",
    "X-Api-Key",
    "Api-Key",
    "Host",
    "Expect",
    "Forwarded",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Anything",
]
HOP_BY_HOP = ["Connection", "Keep-Alive", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade"]

tokens = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=12).map(
    lambda text: f"Z-{text}".encode()  # no real header begins like this
)
values = st.binary(max_size=20).map(lambda data: data.translate(None, b"\r\n\0").strip())
harmless = st.lists(st.tuples(tokens, values), max_size=8).map(tuple)
in_some_case = st.sampled_from(["lower", "upper", "title"])


def cased(name: str, case: str) -> bytes:
    changed: str = getattr(name, case)()
    return changed.encode()


@given(harmless)
def test_what_nobody_owns_travels_in_order_with_duplicates_and_case(headers: Headers) -> None:
    assert upward(headers, BEARER) == (*headers, AUTHORIZATION)
    assert downward(headers) == headers


@given(harmless, harmless, st.sampled_from(NEVER_UP + HOP_BY_HOP), in_some_case)
def test_what_is_the_clients_own_or_its_connections_never_goes_up(
    before: Headers, after: Headers, name: str, case: str
) -> None:
    headers = (*before, (cased(name, case), b"z-unlikely"), *after)
    assert upward(headers, BEARER) == (*before, *after, AUTHORIZATION)


@given(harmless, harmless, st.sampled_from(["Set-Cookie", "Set-Cookie2", *HOP_BY_HOP]), in_some_case)
def test_cookies_and_what_is_the_connections_never_come_down(
    before: Headers, after: Headers, name: str, case: str
) -> None:
    headers = (*before, (cased(name, case), b"z-unlikely"), *after)
    assert downward(headers) == (*before, *after)


@given(harmless, st.lists(tokens, min_size=1, max_size=3), in_some_case)
def test_what_connection_names_falls_both_ways(headers: Headers, named: list[bytes], case: str) -> None:
    connection = (b"Connection", b" , ".join(named) + b", keep-alive")
    lower = {name.lower() for name in named}
    kept = tuple(pair for pair in headers if pair[0].lower() not in lower)
    spoken = tuple((cased(name.decode(), case), b"x") for name in named)
    assert upward((*headers, connection, *spoken), BEARER) == (*kept, AUTHORIZATION)
    assert downward((*headers, connection, *spoken)) == kept


def test_connection_cannot_name_away_the_length_nor_what_is_set_here() -> None:
    named = b"content-length, authorization, host, transfer-encoding, x-accel-buffering"
    headers = ((b"Connection", named), (b"Content-Length", b"3"))
    assert upward(headers, BEARER) == ((b"Content-Length", b"3"), AUTHORIZATION)
    assert downward(headers) == ((b"Content-Length", b"3"),)


def test_organization_and_project_go_up() -> None:
    headers = ((b"OpenAI-Organization", b"org-1"), (b"OpenAI-Project", b"proj_1"))
    assert upward(headers, BEARER) == (*headers, AUTHORIZATION)


def test_a_setting_keeps_organization_and_project_down() -> None:
    headers = (
        (b"openai-ORGANIZATION", b"org-1"),
        (b"OpenAI-Project", b"proj_1"),
        (b"OpenAI-Beta", b"x"),
        (b"Sec-WebSocket-Protocol", b"realtime, openai-organization.org-1, openai-project.proj_1"),
    )
    expected = ((b"OpenAI-Beta", b"x"), (b"Sec-WebSocket-Protocol", b"realtime"), AUTHORIZATION)
    assert upward(headers, BEARER, organization=False) == expected


def test_a_key_among_the_subprotocols_never_goes_up() -> None:
    offered = (
        b"Sec-WebSocket-Protocol",
        b"realtime,openai-insecure-api-key.sk-side-1 ,openai-beta.realtime-v1",
    )
    kept = (b"Sec-WebSocket-Protocol", b"realtime, openai-beta.realtime-v1")
    assert upward((offered,), BEARER) == (kept, AUTHORIZATION)


@given(harmless, harmless, st.sampled_from(["Origin", "Anything", "allow-headers"]), in_some_case)
def test_which_pages_may_read_is_not_upstreams_to_say(
    before: Headers, after: Headers, name: str, case: str
) -> None:
    own = (b"Vary", b"Origin")
    headers = (*before, (cased(f"Access-Control-{name}", case), b"*"), own, *after)
    assert downward(headers) == (*before, own, *after)


def test_request_ids_and_rate_limits_come_down() -> None:
    headers = ((b"x-request-id", b"req_1"), (b"retry-after", b"3"), (b"x-ratelimit-remaining-tokens", b"7"))
    assert downward(headers) == headers


def test_an_event_stream_is_not_to_be_held_by_an_nginx_in_front() -> None:
    headers = ((b"Content-Type", b"Text/Event-Stream; charset=utf-8"),)
    assert downward(headers) == (*headers, (b"x-accel-buffering", b"no"))
    assert is_event_stream(headers)
    assert not is_event_stream(((b"content-type", b"application/json"),))


def test_what_is_set_on_an_event_stream_cannot_be_named_away() -> None:
    headers = ((b"Content-Type", b"text/event-stream"), (b"Connection", b"x-accel-buffering"))
    assert downward(headers) == (headers[0], (b"x-accel-buffering", b"no"))


def test_upstreams_own_word_on_buffering_stays() -> None:
    headers = ((b"content-type", b"text/event-stream"), (b"X-Accel-Buffering", b"yes"))
    assert downward(headers) == headers


def test_a_switch_carries_subprotocol_and_extensions_down() -> None:
    headers = (
        (b"Upgrade", b"websocket"),
        (b"Connection", b"Upgrade"),
        (b"Sec-WebSocket-Accept", b"abc"),
        (b"Sec-WebSocket-Protocol", b"realtime"),
        (b"Sec-WebSocket-Extensions", b"permessage-deflate"),
        (b"Set-Cookie", b"a=b"),
    )
    assert switching(headers) == headers[2:5]
