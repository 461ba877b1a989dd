"""Which web pages may read the answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message.cors import BadPreflight, is_preflight, preflight_headers, readable
from sidekey_proxy.message.exchange import Headers, RequestHead, every, first

ORIGINS = frozenset({"https://app.example"})
PAGE = (b"Origin", b"https://app.example")
METHOD = (b"Access-Control-Request-Method", b"POST")
NAMES = b"Access-Control-Request-Headers"


def test_a_preflight_is_allowed_what_it_asks_for() -> None:
    answer = preflight_headers((PAGE, METHOD, (NAMES, b"authorization,content-type")))
    assert first(answer, b"access-control-allow-origin") == b"https://app.example"
    assert first(answer, b"access-control-allow-methods") == b"POST"
    assert first(answer, b"access-control-allow-headers") == b"authorization,content-type"
    assert first(answer, b"access-control-max-age") == b"7200"
    assert (first(answer, b"vary") or b"").startswith(b"Origin, ")


def test_what_is_not_asked_for_is_not_said() -> None:
    answer = preflight_headers((PAGE, METHOD))
    assert first(answer, b"access-control-allow-headers") is None
    assert first(answer, b"access-control-allow-private-network") is None
    assert first(answer, b"access-control-allow-credentials") is None


def test_a_page_from_the_internet_may_reach_this_network_where_its_browser_asks() -> None:
    asks = (b"Access-Control-Request-Private-Network", b"true")
    answer = preflight_headers((PAGE, METHOD, asks))
    assert first(answer, b"access-control-allow-private-network") == b"true"


@pytest.mark.parametrize(
    "fields",
    [
        (METHOD, METHOD),
        ((METHOD[0], b""),),
        ((METHOD[0], b"GET, POST"),),
        (METHOD, (NAMES, b"a b")),
        (METHOD, (NAMES, b"a,,b")),
        (METHOD, (NAMES, b"a\xff")),
    ],
)
def test_what_no_browser_asks_is_refused(fields: Headers) -> None:
    with pytest.raises(BadPreflight):
        preflight_headers((PAGE, *fields))


def test_a_preflight_is_options_with_an_origin_and_a_method() -> None:
    def asks(method: str, *fields: tuple[bytes, bytes]) -> bool:
        return is_preflight(RequestHead(method, "/v1/models", fields, ""))

    assert asks("OPTIONS", PAGE, METHOD)
    assert not asks("OPTIONS", PAGE)
    assert not asks("OPTIONS", METHOD)
    assert not asks("POST", PAGE, METHOD)


def test_a_listed_page_may_read_the_answer_and_the_headers_that_sdks_look_at() -> None:
    answer = (
        (b"Content-Type", b"application/json"),
        (b"X-Request-ID", b"req_1"),
        (b"x-ratelimit-remaining-tokens", b"7"),
        (b"Retry-After", b"1"),
        (b"x-sidekey-replay", b"done"),
        (b"x-envoy-anything", b"1"),
        (b"openai-processing-ms", b"12"),
        (b"x-ratelimit-remaining-tokens", b"7"),
    )
    seen = readable(answer, (PAGE,), ORIGINS)
    assert seen[: len(answer)] == answer
    assert first(seen, b"access-control-allow-origin") == b"https://app.example"
    assert first(seen, b"vary") == b"Origin"
    exposed = first(seen, b"access-control-expose-headers")
    assert exposed == (
        b"x-request-id, x-ratelimit-remaining-tokens, retry-after, x-sidekey-replay, openai-processing-ms"
    )


def test_upstreams_own_vary_stays_beside_ours() -> None:
    answer = ((b"Vary", b"Accept-Encoding"),)
    assert every(readable(answer, (PAGE,), ORIGINS), b"vary") == [b"Accept-Encoding", b"Origin"]


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=8), st.binary(max_size=8)), max_size=4).map(tuple))
def test_without_listed_pages_nothing_is_added(answer: Headers) -> None:
    assert readable(answer, (PAGE,), frozenset()) == answer


@pytest.mark.parametrize(
    "request_headers",
    [(), ((b"Origin", b"https://other.example"),), ((b"Origin", b"null"),), (PAGE, PAGE)],
)
def test_others_are_told_only_that_the_answer_depends_on_the_page(request_headers: Headers) -> None:
    answer = ((b"x-request-id", b"req_1"),)
    assert readable(answer, request_headers, ORIGINS) == (*answer, (b"vary", b"Origin"))
