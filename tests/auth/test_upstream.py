"""Which upstream may be used, and which bearer may go there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.upstream import (
    Origin,
    UpstreamBase,
    clear_text_problem,
    is_openai,
    may_carry,
    parse_allowed,
    parse_base,
    sign_in_may_go,
)

OPENAI = Origin("https", "api.openai.com", 443)


@pytest.mark.parametrize(
    ("url", "meant"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com", "https://api.openai.com/v1"),
        ("https://api.openai.com/", "https://api.openai.com/v1"),
        ("https://api.openai.com/v1/", "https://api.openai.com/v1"),
        ("HTTPS://API.OpenAI.com:443/v1", "https://api.openai.com/v1"),
        ("https://api.openai.com./v1", "https://api.openai.com/v1"),
        ("https://gateway.example:8443/openai/v1", "https://gateway.example:8443/openai/v1"),
        ("http://127.0.0.1:9000", "http://127.0.0.1:9000/v1"),
        ("http://[::1]:9000/x", "http://[::1]:9000/x"),
        ("http://localhost:80/a%2Fb", "http://localhost/a%2Fb"),
    ],
)
def test_a_base_url_is_read(url: str, meant: str) -> None:
    assert str(parse_base(url)) == meant


@pytest.mark.parametrize(
    "url",
    [
        "",
        "api.openai.com/v1",
        "//api.openai.com/v1",
        "ftp://api.openai.com/v1",
        "file:///etc/passwd",
        "https:///v1",
        "https://:443/v1",
        "https://user:pass@api.openai.com/v1",
        "https://api.openai.com@evil.example/v1",
        "https://api.openai.com/v1?x=1",
        "https://api.openai.com/v1?",
        "https://api.openai.com/v1#x",
        "https://api.openai.com:0/v1",
        "https://api.openai.com:65536/v1",
        "https://api.openai.com:/v1",
        "https://api.openai.com:x/v1",
        "https://api.openai.com/v1/../x",
        "https://api.openai.com/%2e%2E/x",
        "https://api.openai.com/.",
        "https://api.openai.com/v1\\x",
        "https://api.openai.com/v 1",
        "https://api.openai.com\r\nX: y/v1",
        "https://api.openai.com\t/v1",
        "https://api.ópenai.com/v1",
        "https://127.1/v1",
        "https://2130706433/v1",
        "https://[::1/v1",
        "https://a..b/v1",
    ],
)
def test_what_is_no_base_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_base(url)


@given(st.text(max_size=80))
def test_a_base_url_that_is_accepted_reads_back_the_same(text: str) -> None:
    try:
        base = parse_base(f"https://{text}")
    except ValueError:
        return
    assert parse_base(str(base)) == base


@pytest.mark.parametrize(
    ("entry", "origin"),
    [
        ("gateway.example", Origin("https", "gateway.example", 443)),
        ("Gateway.Example:8443", Origin("https", "gateway.example", 8443)),
        ("http://127.0.0.1:9000", Origin("http", "127.0.0.1", 9000)),
        ("https://gateway.example/", Origin("https", "gateway.example", 443)),
        ("[::1]:9000", Origin("https", "::1", 9000)),
    ],
)
def test_an_allowed_upstream_is_a_host_or_an_origin(entry: str, origin: Origin) -> None:
    assert parse_allowed(entry) == origin


@pytest.mark.parametrize("entry", ["", "*", "*.example", "a.example/v1", "a.example?x", "u@a.example", "a b"])
def test_wildcards_paths_and_names_with_users_cannot_be_allowed(entry: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_allowed(entry)


@pytest.mark.parametrize("region", ["us", "eu", "ae", "au", "in", "jp"])
def test_regional_hosts_are_openai(region: str) -> None:
    assert is_openai(parse_base(f"https://{region}.api.openai.com/v1").origin)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://openai.com/v1",
        "https://chat.openai.com/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil-api.openai.com/v1",
        "https://xapi.openai.com/v1",
        "https://a.us.api.openai.com/v1",
        "https://apixopenai.com/v1",
        "https://127.0.0.1/v1",
    ],
)
def test_look_alikes_are_not_openai(url: str) -> None:
    assert not is_openai(parse_base(url).origin)


def test_a_bearer_from_a_sign_in_goes_to_openai_and_to_what_is_allowed() -> None:
    gateway = parse_base("https://gateway.example/v1").origin
    allowed = (parse_allowed("gateway.example"),)

    assert may_carry(OPENAI, "chatgpt", ())
    assert may_carry(OPENAI, "workload", ())
    assert not may_carry(gateway, "chatgpt", ())
    assert not may_carry(gateway, "workload", ())
    assert may_carry(gateway, "chatgpt", allowed)
    assert not may_carry(Origin("http", "gateway.example", 80), "chatgpt", allowed)
    assert not may_carry(Origin("https", "gateway.example", 8443), "chatgpt", allowed)
    assert not may_carry(Origin("https", "x.gateway.example", 443), "chatgpt", allowed)


@pytest.mark.parametrize(
    ("url", "may"),
    [
        ("https://api.openai.com/v1/billing/redeem_credits", True),
        ("https://gateway.example/v1/billing/redeem_credits", True),
        ("https://gateway.example:8443/v1", False),
        ("https://other.example/v1", False),
        ("https://api.openai.com@other.example/v1", False),
        ("https://api.openai.com:https/v1", False),
        ("not a URL", False),
    ],
)
def test_a_token_of_a_sign_in_goes_where_its_bearer_may(url: str, may: bool) -> None:
    assert sign_in_may_go(url, (parse_allowed("gateway.example"),)) is may


def test_a_static_key_goes_to_the_configured_upstream() -> None:
    assert may_carry(parse_base("https://gateway.example/v1").origin, "api_key", ())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.9.9.9"])
def test_http_is_fine_on_this_machine(host: str) -> None:
    assert clear_text_problem(parse_base(f"http://{host}:9/").origin, allow_insecure=False) is None


@pytest.mark.parametrize("host", ["10.0.0.1", "gateway.example", "0.0.0.0", "localhost.example"])
def test_http_to_another_machine_needs_a_setting(host: str) -> None:
    origin = parse_base(f"http://{host}/").origin

    assert "in the clear" in (clear_text_problem(origin, allow_insecure=False) or "")
    assert clear_text_problem(origin, allow_insecure=True) is None


def test_https_is_never_clear_text() -> None:
    assert clear_text_problem(OPENAI, allow_insecure=False) is None


def test_a_base_shows_itself_as_a_url() -> None:
    assert str(UpstreamBase(OPENAI, "/v1")) == "https://api.openai.com/v1"
