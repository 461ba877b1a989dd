from __future__ import annotations

import pytest

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.issuer_settings import TOKEN_PATH, IssuerSettings


def test_the_defaults_are_the_protocols() -> None:
    settings = IssuerSettings()
    assert settings.issuer == "https://auth.openai.com"
    assert settings.client_id == "app_EMoamEEZ73f0CkXaXp7hrann"
    assert settings.scope == "openid profile email offline_access"
    assert settings.ports == (1455, 1457)
    assert settings.redirect_host == "localhost"
    assert settings.callback_timeout == 300
    assert settings.device_timeout == 900
    assert settings.revoke_timeout == 10


def test_a_slash_at_the_issuers_end_does_not_double() -> None:
    assert IssuerSettings(issuer="https://a.example/").url(TOKEN_PATH) == "https://a.example/oauth/token"


@pytest.mark.parametrize(
    "issuer",
    [
        "",
        "auth.example",
        "ftp://auth.example",
        "https://",
        "https://[::1",
        "https://a.example:port",
        "https://user@a.example",
        "https://a.example?x=1",
        "https://a.example#x",
        "http://a.example",
        "http://10.0.0.1",
    ],
)
def test_tokens_go_to_https_addresses_or_to_this_machine(issuer: str) -> None:
    with pytest.raises(ConfigurationError):
        IssuerSettings(issuer=issuer)


@pytest.mark.parametrize("issuer", ["http://127.0.0.1:8000", "http://localhost:1", "http://[::1]:80"])
def test_plain_http_is_good_on_this_machine(issuer: str) -> None:
    assert IssuerSettings(issuer=issuer).issuer == issuer


def test_only_our_issuer_and_the_allowed_ones_get_tokens() -> None:
    settings = IssuerSettings(issuer="https://a.example", allowed_issuers=("https://b.example/",))
    assert settings.at(None) is settings
    assert settings.at("https://a.example/") is settings
    assert settings.at("https://b.example").issuer == "https://b.example"
    assert settings.allows("https://a.example/")
    assert not settings.allows("https://c.example")
    with pytest.raises(ConfigurationError, match=r"c\.example"):
        settings.at("https://c.example")


def test_a_sign_in_needs_a_port() -> None:
    with pytest.raises(ConfigurationError):
        IssuerSettings(ports=())
