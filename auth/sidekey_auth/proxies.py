"""Which HTTP proxy the environment names for an address: one rule for the issuer and for upstream."""

from __future__ import annotations

from typing import Final
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from .errors import ConfigurationError
from .issuer_settings import is_loopback

_PROXY_SCHEMES: Final = ("http", "https")


def proxy_for(target: URL) -> URL | None:
    """Return the proxy that the environment (or the system's settings) names for an address, or None.

    Raises:
        ConfigurationError: it cannot be used.
    """
    host = target.host or ""
    if is_loopback(host) or proxy_bypass(host):
        return None
    named = getproxies().get(target.scheme)
    if not named:
        return None
    try:
        proxy = URL(named if "://" in named else f"http://{named}")
        usable = proxy.scheme in _PROXY_SCHEMES and bool(proxy.host)
    except ValueError:
        usable = False
    if not usable:
        raise ConfigurationError(
            f"the proxy that {target.scheme.upper()}_PROXY names cannot be used",
            remedy="Give an http:// address, such as http://proxy.example:3128.",
        )
    return proxy
