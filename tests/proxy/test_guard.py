"""Who may come in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from canary import Canary
from sidekey_auth.secret import Secret
from sidekey_proxy.exchange import RequestHead
from sidekey_proxy.failures import Failure
from sidekey_proxy.guard import GuardRules, Refused, admit, host_of

KEY = "sk-side-0123456789abcdef0123456789abcdef"
KEYED = GuardRules(client_keys=(Secret("sk-side-another-key-of-somebody-else"), Secret(KEY)))
OPEN = GuardRules()


def head(
    *fields: tuple[str, str],
    method: str = "POST",
    target: str = "/v1/responses?a=b",
    host: str | None = "localhost:8484",
    version: str = "1.1",
) -> RequestHead:
    named = () if host is None else (("Host", host),)
    headers = tuple((k.encode(), v.encode("latin-1")) for k, v in (*named, *fields))
    return RequestHead(method, target, headers, "127.0.0.1", version)


def refusal(request: RequestHead, rules: GuardRules) -> Failure:
    with pytest.raises(Refused) as refused:
        admit(request, rules)
    return refused.value.failure


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
    "host", ["", ":80", "a b@localhost", "[::1", "localhost:80:80", "user@localhost", "[::1]x"]
)
def test_what_is_no_host_is_a_bad_request(host: str) -> None:
    assert refusal(head(host=host), OPEN).status in (400, 421)
    assert host_of(host) is None or host == "a b@localhost"


def test_an_absolute_targets_authority_counts_instead_of_host() -> None:
    assert admit(head(target="http://localhost:8484/v1/models", host="evil.example"), OPEN) == "/models"
    assert refusal(head(target="http://evil.example/v1/models"), OPEN).status == 421


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


@pytest.mark.parametrize("value", [None, "Bearer whatever", "Basic abc"])
def test_where_no_key_is_asked_for_any_or_none_suffices(value: str | None) -> None:
    assert admit(head(*(() if value is None else (("Authorization", value),))), OPEN)


# --- what is asked for


def test_a_path_outside_v1_is_answered_only_to_those_who_may_come_in() -> None:
    assert refusal(head(target="/models"), KEYED).status == 401
    failure = refusal(head(target="/models"), OPEN)
    assert failure.status == 404
    assert "/v1" in failure.message


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
def test_trace_and_connect_are_not_forwarded(method: str) -> None:
    assert refusal(head(method=method, target="localhost:443"), OPEN).status == 405


def test_bad_framing_and_bad_targets_are_bad_requests() -> None:
    assert refusal(head(("Transfer-Encoding", "gzip")), OPEN).status == 501
    assert refusal(head(("Transfer-Encoding", "chunked"), version="1.0"), OPEN).status == 400
    assert refusal(head(target="/v1/../admin"), OPEN).status == 400
    assert refusal(head(target="*", method="OPTIONS"), OPEN).status == 400
