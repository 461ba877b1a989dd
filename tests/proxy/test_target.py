"""What a request target asks for, byte for byte."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_proxy.target import BadTarget, NotOurs, Target, below_base, parse

path_text = st.text("abcXYZ019-._~%!$&'()*+,;=:@/\\", max_size=30)
query_text = st.text("abcXYZ019-._~%!$&'()*+,;=:@/?", max_size=30)


@given(path_text, st.none() | query_text)
def test_path_and_query_below_v1_pass_byte_for_byte(rest: str, query: str | None) -> None:
    tail = f"/{rest}" + ("" if query is None else f"?{query}")
    target = parse(f"/v1{tail}")
    try:
        assert below_base(target) == tail
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
    st.sampled_from(["", "/x", "%2Fx", "?a", "\\"]),
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
