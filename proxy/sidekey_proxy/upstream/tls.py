"""How upstream is recognised over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

from sidekey_auth.errors import ConfigurationError


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """Return a context that verifies upstream's certificate and name; there is no way to turn that off.

    Args:
        ca_bundle: a PEM file of certificate authorities to trust instead of the system's.

    Raises:
        ConfigurationError: the file cannot be read, or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"the CA bundle {ca_bundle} cannot be used: {error}",
            remedy="Set ca_bundle to a readable PEM file of certificates.",
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
