"""What a key is called."""

from __future__ import annotations

import re
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.key_name import LONGEST, TEMPLATE, checked_template, key_name

NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z


def test_the_usual_name_tells_host_profile_and_date() -> None:
    name = key_name(TEMPLATE, host="ada-laptop.corp.example", profile="work", now=NOON)
    assert name == "sidekey ada-laptop work 2026-11-24"


def test_an_empty_template_sends_no_name() -> None:
    assert key_name("", host="h", profile="p", now=NOON) is None
    assert key_name("  ", host="h", profile="p", now=NOON) is None
    assert key_name("{host}", host="", profile="p", now=NOON) is None


@pytest.mark.parametrize(
    ("host", "spelled"),
    [
        ("Jürgens-Mac", "Jurgens-Mac"),
        ("Ñandú", "Nandu"),
        ("工作站", "---"),
        ("a\nb\x1b[31m", "a-b-[31m"),
        ("{profile}", "{profile}"),
        ("x" * 300, "x" * 40),
        ("two   words", "two words"),
        ("\u202eevil", "-evil"),
    ],
)
def test_a_hosts_name_is_spelled_in_printable_ascii_and_cut(host: str, spelled: str) -> None:
    assert key_name("{host}!", host=host, profile="p", now=NOON) == f"{spelled}!"


@given(st.text(), st.text(), st.text(alphabet=string.printable))
def test_whatever_it_is_made_of_a_name_is_short_printable_ascii(host: str, profile: str, text: str) -> None:
    template = re.sub(r"[{}]", "", text) + TEMPLATE + "é" * 200
    name = key_name(template, host=host, profile=profile, now=NOON)
    assert name is not None
    assert name.isascii()
    assert name.isprintable()
    assert 0 < len(name) <= LONGEST
    assert name == name.strip()


@pytest.mark.parametrize("template", ["", "sidekey", TEMPLATE, "{date}{date}", "é {host}"])
def test_templates_that_a_name_can_be_made_of(template: str) -> None:
    assert checked_template(template) == template


@pytest.mark.parametrize("template", ["{user}", "{}", "{host", "host}", "{{host}}", "{host!r}", "{ host }"])
def test_a_template_with_other_braces_is_refused_with_what_there_is(template: str) -> None:
    with pytest.raises(ValueError, match=r"\{host\}, \{profile\}, \{date\}"):
        checked_template(template)
    with pytest.raises(ConfigurationError, match="a key cannot be called"):
        IssuerSettings(key_name=template)
