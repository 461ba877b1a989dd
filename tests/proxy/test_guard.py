"""Who may come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import Canary
from sidekey_auth.secret import Secret
from sidekey_proxy.guard import Answered, GuardRules, Refused, admit, host_of
from sidekey_proxy.message.exchange import RequestHead
from sidekey_proxy.message.failures import Failure, Reply

KEY = "sk-side-0123456789abcdef0123456789abcdef"
KEYED = GuardRules(client_keys=(Secret("sk-side-another-key-of-somebody-else"), Secret(KEY)))
OPEN = GuardRules()


def head(
    *fields: tuple[str, str],
    method: str = "POST",
    target: str = "/v1/responses?a=b",
    host: str | None = "localhost:8484",
    version: str = "1.1",
    websocket: bool = False,
) -> RequestHead:
    named = () if host is None else (("Host", host),)
    headers = tuple((k.encode(), v.encode("latin-1")) for k, v in (*named, *fields))
    return RequestHead(method, target, headers, "127.0.0.1", version, websocket=websocket)


def refusal(request: RequestHead, rules: GuardRules) -> Failure:
    with pytest.raises(Refused) as refused:
        admit(request, rules)
    return refused.value.failure


def reply(request: RequestHead, rules: GuardRules) -> Reply:
    with pytest.raises(Answered) as answered:
        admit(request, rules)
    return answered.value.reply


# --- Host


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8484", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8484", "127.8.9.1"]
)
def test_loopback_names_are_ours_whatever_the_port(host: str) -> None:
    """A forwarded port (ssh -L, a container's) has another number, and no web page can have these names."""
    assert admit(head(host=host), OPEN) == "/responses?a=b"


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "[fe80::1]:8484", "0.0.0.0"]
)
def test_a_foreign_host_is_misdirected_and_told_of_the_setting(host: str) -> None:
    failure = refusal(head(host=host), OPEN)
    assert failure.status == 421
    assert "setting hosts" in failure.message


def test_the_setting_hosts_adds_names() -> None:
    rules = GuardRules(hosts=frozenset({"sidecar"}))
    assert admit(head(host="Sidecar:80"), rules)
    assert refusal(head(host="other"), rules).status == 421


def test_a_listener_that_others_reach_takes_any_host_unless_hosts_says_which() -> None:
    public = GuardRules(loopback=False, client_keys=KEYED.client_keys)
    bearer = ("Authorization", f"Bearer {KEY}")
    assert admit(head(bearer, host="box.example"), public)
    listed = GuardRules(loopback=False, hosts=frozenset({"box.example"}), client_keys=KEYED.client_keys)
    assert admit(head(bearer, host="box.example"), listed)
    assert refusal(head(bearer, host="other.example"), listed).status == 421


def test_http_1_1_has_exactly_one_host() -> None:
    assert refusal(head(host=None), OPEN).status == 400
    assert refusal(head(("host", "localhost")), OPEN).status == 400
    assert admit(head(host=None, version="1.0"), OPEN)


@pytest.mark.parametrize(
    "host",
    [
        "",
        ":80",
        ".",
        "a b",
        "user@localhost",
        "a/b",
        "[::1",
        "localhost:80:80",
        "[::1]x",
        "a:\xb2",
        "l\xf6calhost",
    ],
)
def test_what_is_no_host_is_a_bad_request(host: str) -> None:
    assert host_of(host) is None
    for rules in (OPEN, GuardRules(loopback=False)):
        assert refusal(head(host=host), rules).status == 400


def test_an_absolute_targets_authority_counts_instead_of_host() -> None:
    assert admit(head(target="http://localhost:8484/v1/models", host="evil.example"), OPEN) == "/models"
    assert refusal(head(target="http://evil.example/v1/models"), OPEN).status == 421


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("http://user:secret@localhost/v1/models", "localhost"),
        ("http://localhost:80@evil.example/v1/models", "localhost"),
        ("http://localhost/v1/models", None),
        ("http://localhost/v1/models", "a b"),
    ],
)
def test_an_absolute_target_has_no_user_and_needs_its_host_header_all_the_same(
    target: str, host: str | None
) -> None:
    assert refusal(head(target=target, host=host), OPEN).status == 400


def test_http_1_0_may_name_its_host_in_the_target_alone() -> None:
    assert admit(head(target="http://localhost/v1/models", host=None, version="1.0"), OPEN) == "/models"
    foreign = head(target="http://evil.example/v1/models", host=None, version="1.0")
    assert refusal(foreign, OPEN).status == 421


@given(st.text(max_size=30))
def test_no_host_breaks_the_guard(host: str) -> None:
    request = RequestHead("GET", "/v1/x", ((b"host", host.encode("utf-8", "replace")),), "", "1.1")
    try:
        admit(request, OPEN)
    except Refused as refused:
        assert refused.failure.status in (400, 421)  # noqa: PT017 - either outcome is fine, nothing else


# --- pages


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:3000", "null", ""])
def test_a_web_page_that_is_not_listed_is_refused(origin: str) -> None:
    failure = refusal(head(("Origin", origin)), OPEN)
    assert failure.status == 403
    assert "setting origins" in failure.message


def test_a_listed_page_may_call_from_another_site() -> None:
    rules = GuardRules(origins=frozenset({"https://app.example"}))
    assert admit(head(("Origin", "https://app.example"), ("Sec-Fetch-Site", "cross-site")), rules)
    assert refusal(head(("Origin", "https://app.example.evil")), rules).status == 403


def test_two_origins_are_a_bad_request() -> None:
    page = ("Origin", "https://app.example")
    rules = GuardRules(origins=frozenset({"https://app.example"}))
    assert refusal(head(page, page), rules).status == 400


PAGE = ("Origin", "https://app.example")
LISTED = GuardRules(origins=frozenset({"https://app.example"}), client_keys=KEYED.client_keys)
ASKS = (("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "authorization,x-a"))


def test_a_listed_pages_preflight_is_answered_before_any_key_is_asked_for() -> None:
    """A browser sends no Authorization with it."""
    answer = reply(head(PAGE, *ASKS, method="OPTIONS"), LISTED)
    assert answer.status == 204
    assert (b"access-control-allow-origin", b"https://app.example") in answer.headers


def test_a_preflight_outside_v1_is_answered_so_that_the_page_can_read_what_is_wrong() -> None:
    assert reply(head(PAGE, *ASKS, method="OPTIONS", target="/models"), LISTED).status == 204


@pytest.mark.parametrize("origin", ["https://other.example", "null"])
def test_a_preflight_of_a_page_that_is_not_listed_is_refused(origin: str) -> None:
    request = head(("Origin", origin), *ASKS, method="OPTIONS")
    assert refusal(request, LISTED).status == 403
    assert refusal(request, OPEN).status == 403


def test_a_preflight_for_a_foreign_host_is_refused() -> None:
    assert refusal(head(PAGE, *ASKS, method="OPTIONS", host="evil.example"), LISTED).status == 421


def test_a_preflight_that_no_browser_sends_is_a_bad_request() -> None:
    bad = head(PAGE, ("Access-Control-Request-Method", "a b"), method="OPTIONS")
    assert refusal(bad, LISTED).status == 400


def test_options_that_are_no_preflight_go_to_upstream() -> None:
    assert admit(head(PAGE, method="OPTIONS"), GuardRules(origins=LISTED.origins)) == "/responses?a=b"
    assert admit(head(*ASKS, method="OPTIONS"), OPEN) == "/responses?a=b"
    assert refusal(head(PAGE, method="OPTIONS"), LISTED).code == "sidekey_client_key_required"
    assert refusal(head(PAGE, *ASKS), LISTED).code == "sidekey_client_key_required"


def test_a_second_word_on_the_site_counts_as_well() -> None:
    fields = (("Sec-Fetch-Site", "none"), ("Sec-Fetch-Site", "cross-site"))
    assert refusal(head(*fields), OPEN).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
def test_a_browser_from_elsewhere_is_refused_even_without_origin(site: str) -> None:
    """A page at localhost:3000 is same-site with localhost:8484: that is not enough."""
    assert refusal(head(("Sec-Fetch-Site", site)), OPEN).status == 403


@pytest.mark.parametrize("site", ["same-origin", "none"])
def test_a_browser_that_was_told_by_its_person_may_come_in(site: str) -> None:
    assert admit(head(("Sec-Fetch-Site", site)), OPEN)


# --- keys


def test_the_client_key_opens() -> None:
    assert admit(head(("Authorization", f"Bearer {KEY}")), KEYED)
    assert admit(head(("authorization", f"bearer  {KEY} ")), KEYED)


@pytest.mark.parametrize("value", [None, "", "Bearer", "Bearer ", "Basic abc", KEY])
def test_without_a_key_the_answer_says_where_to_find_it(value: str | None) -> None:
    fields = () if value is None else (("Authorization", value),)
    failure = refusal(head(*fields), KEYED)
    assert (failure.status, failure.code) == (401, "sidekey_client_key_required")
    assert "sidekey env" in failure.message
    assert (b"x-should-retry", b"false") in failure.headers()


@pytest.mark.parametrize("key", [KEY[:-1], KEY + "x", KEY.upper(), "sk-proj-somebody-elses-openai-key", "é"])
def test_a_wrong_key_is_refused_and_never_repeated(key: str, canary: Canary) -> None:
    failure = refusal(head(("Authorization", f"Bearer {key}")), KEYED)
    assert (failure.status, failure.code) == (401, "sidekey_client_key_invalid")
    canary.check(failure.body().decode())


def test_of_two_keys_both_must_be_right() -> None:
    right, wrong = ("Authorization", f"Bearer {KEY}"), ("Authorization", "Bearer sk-side-wrong")
    assert refusal(head(right, wrong), KEYED).code == "sidekey_client_key_invalid"


OFFERED = ("Sec-WebSocket-Protocol", f"realtime, openai-insecure-api-key.{KEY}, openai-beta.realtime-v1")


def test_a_browsers_key_among_the_subprotocols_opens_a_websocket_and_nothing_else() -> None:
    assert admit(head(OFFERED, method="GET", websocket=True), KEYED)
    assert refusal(head(OFFERED, method="GET"), KEYED).code == "sidekey_client_key_required"


@pytest.mark.parametrize("key", ["sk-side-wrong", KEY + "x"])
def test_a_wrong_key_among_the_subprotocols_is_refused(key: str) -> None:
    offered = ("Sec-WebSocket-Protocol", f"openai-insecure-api-key.{key}")
    assert refusal(head(offered, websocket=True), KEYED).code == "sidekey_client_key_invalid"
    empty = ("Sec-WebSocket-Protocol", "realtime, openai-insecure-api-key.")
    assert refusal(head(empty, websocket=True), KEYED).code == "sidekey_client_key_required"


def test_of_a_header_and_a_subprotocol_both_keys_must_be_right() -> None:
    right = ("Authorization", f"Bearer {KEY}")
    assert admit(head(right, OFFERED, websocket=True), KEYED)
    wrong = ("Authorization", "Bearer sk-side-wrong")
    assert refusal(head(wrong, OFFERED, websocket=True), KEYED).code == "sidekey_client_key_invalid"
    offered = ("Sec-WebSocket-Protocol", "openai-insecure-api-key.sk-side-wrong")
    assert refusal(head(right, offered, websocket=True), KEYED).code == "sidekey_client_key_invalid"


@pytest.mark.parametrize("value", [None, "Bearer whatever", "Basic abc"])
def test_where_no_key_is_asked_for_any_or_none_suffices(value: str | None) -> None:
    assert admit(head(*(() if value is None else (("Authorization", value),))), OPEN)


# --- what is asked for


def test_a_path_outside_v1_is_answered_only_to_those_who_may_come_in() -> None:
    assert refusal(head(target="/models"), KEYED).status == 401
    failure = refusal(head(target="/models"), OPEN)
    assert failure.status == 404
    assert "/v1" in failure.message


@pytest.mark.parametrize(("method", "target"), [("TRACE", "/v1/models"), ("CONNECT", "api.openai.com:443")])
def test_trace_and_connect_are_not_forwarded_and_what_is_stands_in_allow(method: str, target: str) -> None:
    failure = refusal(head(method=method, target=target), OPEN)
    assert failure.status == 405
    assert (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS") in failure.headers()


def test_no_other_spelling_of_trace_gets_through() -> None:
    assert refusal(head(method="Trace"), OPEN).status == 405


@pytest.mark.parametrize("target", ["/v1/models", "http://localhost/v1", "localhost", "localhost:0", "*"])
def test_a_connect_without_host_and_port_is_a_bad_request(target: str) -> None:
    assert refusal(head(method="CONNECT", target=target), OPEN).status == 400


@pytest.mark.parametrize("target", ["*", "http://localhost:8484"])
def test_options_about_the_server_itself_are_answered_here(target: str) -> None:
    answer = reply(head(method="OPTIONS", target=target), KEYED)
    allow = (b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")
    assert answer == Reply(200, (allow, (b"content-length", b"0")))


def test_options_about_another_server_are_misdirected() -> None:
    assert refusal(head(method="OPTIONS", target="*", host="evil.example"), OPEN).status == 421
    assert refusal(head(method="OPTIONS", target="http://evil.example"), OPEN).status == 421


def test_an_asterisk_goes_with_options_only() -> None:
    assert refusal(head(method="GET", target="*"), OPEN).status == 400


@pytest.mark.parametrize("method", ["QUERY", "PURGE", "get", "M-SEARCH"])
def test_a_method_that_nobody_here_knows_goes_to_upstream(method: str) -> None:
    assert admit(head(method=method), OPEN) == "/responses?a=b"


def test_bad_framing_and_bad_targets_are_bad_requests() -> None:
    assert refusal(head(("Transfer-Encoding", "gzip")), OPEN).status == 501
    assert refusal(head(("Transfer-Encoding", "chunked"), version="1.0"), OPEN).status == 400
    assert refusal(head(target="/v1/../admin"), OPEN).status == 400


# --- whatever comes

names = st.sampled_from(["Origin", "Authorization", "Sec-Fetch-Site", "Host", "Content-Length", "X-A"])
texts = st.sampled_from(
    ["localhost", "https://app.example", f"Bearer {KEY}", "Bearer x", "none", "3", "", "\xff"]
) | st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=12)
fields = st.lists(st.tuples(names, texts), max_size=5)
methods = st.sampled_from(["GET", "POST", "OPTIONS", "CONNECT", "TRACE", "QUERY"])
targets = st.sampled_from(["/v1/models", "*", "http://localhost/v1/x", "localhost:443", "/v1/%2e%2e/x"])


@given(methods, targets | st.text(max_size=30), fields, st.booleans(), st.booleans())
def test_whatever_comes_is_let_in_with_the_right_key_only_or_answered(
    method: str, target: str, fields: list[tuple[str, str]], named: bool, websocket: bool
) -> None:
    request = head(
        *fields, method=method, target=target, host="localhost" if named else None, websocket=websocket
    )
    try:
        admitted = admit(request, LISTED)
    except Refused as refused:
        assert 400 <= refused.failure.status < 500 or refused.failure.status in (501, 505)  # noqa: PT017
    except Answered as answered:
        assert answered.reply.status in (200, 204)  # noqa: PT017 - any of the three outcomes is fine
    else:
        assert target.endswith(f"/v1{admitted}")
        assert ("Authorization", f"Bearer {KEY}") in [(name, value.strip()) for name, value in fields]
        assert [value for name, value in fields if name == "Origin"] in ([], ["https://app.example"])
