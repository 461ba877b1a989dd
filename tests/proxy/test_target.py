"""What a request target asks for, byte for byte."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.message import target
from sidekey_proxy.message.target import BadTarget, NotOurs, Target, below_base

path_text = st.text("abcXYZ019-._~%!$&'()*+,;=:@/\\", max_size=30)
query_text = st.text("abcXYZ019-._~%!$&'()*+,;=:@/?", max_size=30)


def parse(text: str) -> Target:
    return target.parse("GET", text)


@given(path_text, st.none() | query_text)
def test_path_and_query_below_v1_pass_byte_for_byte(rest: str, query: str | None) -> None:
    tail = f"/{rest}" + ("" if query is None else f"?{query}")
    try:
        assert below_base(parse(f"/v1{tail}")) == tail
    except BadTarget:
        assert ".." in rest.replace("%2e", ".").replace("%2E", ".")


@pytest.mark.parametrize(
    "tail",
    [
        "",
        "?",
        "?a=&a=b&&c",
        "/",
        "//files",
        "/files%2Fabc?x=%2F+y",
        "/a/./b",
        "/a..b/c...",
        "/é".encode().decode(),
    ],
)
def test_odd_but_lawful_targets_pass_unchanged(tail: str) -> None:
    assert below_base(parse(f"/v1{tail}")) == tail


@pytest.mark.parametrize(
    "path", ["/", "/v2/models", "/v1x", "/V1/models", "/chat/completions", "//v1/models", "/v"]
)
def test_a_path_outside_v1_is_not_ours(path: str) -> None:
    with pytest.raises(NotOurs):
        below_base(parse(path))


@given(
    st.sampled_from(["/", "\\", "%2f", "%2F", "%5c"]),
    st.sampled_from(["..", "%2e.", ".%2E", "%2e%2E"]),
    st.sampled_from(["", "/x", "%2Fx", "?a", "\\", ";", ";a=b/x"]),
)
def test_no_spelling_of_a_parent_segment_leaves_the_base(separator: str, dots: str, rest: str) -> None:
    with pytest.raises(BadTarget):
        below_base(parse(f"/v1/files{separator}{dots}{rest}"))


def test_dots_in_the_query_are_nobodys_business() -> None:
    assert below_base(parse("/v1/files?after=../x")) == "/files?after=../x"


def test_an_absolute_form_names_its_own_authority() -> None:
    assert parse("http://Example.org:80/v1/models?x") == Target("Example.org:80", "/v1/models", "?x")
    assert parse("HTTPS://localhost") == Target("localhost", "/", "")
    assert parse("http://localhost?x") == Target("localhost", "/", "?x")


@pytest.mark.parametrize(
    "text", ["*", "", "v1/models", "localhost:443", "http://", "http:///v1", "ftp://localhost/v1", "/v1/a#b"]
)
def test_what_is_neither_path_nor_url_is_refused(text: str) -> None:
    with pytest.raises(BadTarget):
        parse(text)


@given(st.sampled_from("\r\n\t \x00\x7f#"), path_text)
def test_characters_that_end_or_split_a_request_line_are_refused(character: str, rest: str) -> None:
    with pytest.raises(BadTarget):
        parse(f"/v1/{rest}{character}")


@given(st.text(max_size=40) | st.text("./%2eEfF\\;5cC", max_size=14))
def test_what_is_let_through_has_no_parent_segment_however_it_is_read(text: str) -> None:
    """Decoded once, as servers do; cut at semicolons, or with backslashes as slashes, as some do."""
    try:
        passed = below_base(parse(f"/v1/{text}"))
    except (BadTarget, NotOurs):
        return
    path = unquote(passed.partition("?")[0]).replace("\\", "/")
    assert ".." not in [segment.partition(";")[0] for segment in path.split("/")]


def test_options_may_ask_about_the_server_itself() -> None:
    assert target.parse("OPTIONS", "*") == Target(None, "*", "")
    assert target.parse("OPTIONS", "http://localhost:8484") == Target("localhost:8484", "*", "")
    assert target.parse("OPTIONS", "http://localhost/") == Target("localhost", "/", "")
    assert target.parse("OPTIONS", "/v1/models") == Target(None, "/v1/models", "")


def test_the_target_of_a_connect_is_a_host_and_a_port() -> None:
    assert target.parse("CONNECT", "[::1]:443") == Target("[::1]:443", "", "")


@pytest.mark.parametrize(
    "text",
    ["localhost", "localhost:", "localhost:0", "localhost:65536", "u@localhost:443", "/v1", ":443", "*"],
)
def test_any_other_target_of_a_connect_is_refused(text: str) -> None:
    with pytest.raises(BadTarget):
        target.parse("CONNECT", text)


@given(st.sampled_from(["GET", "OPTIONS", "CONNECT"]), st.text(max_size=40))
def test_no_target_breaks_anything_but_by_a_bad_target(method: str, text: str) -> None:
    try:
        parsed = target.parse(method, text)
    except BadTarget:
        return
    assert text.endswith(parsed.path + parsed.query) or parsed.path in ("*", "/") or method == "CONNECT"
