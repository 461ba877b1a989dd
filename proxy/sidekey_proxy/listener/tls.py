"""What https:// listeners show to clients, and what they ask of them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from sidekey_auth.errors import ConfigurationError
from sidekey_proxy.configuration.settings import Settings

_REMEDY = "Set tls_certificate and tls_key to PEM files that belong together; the key has no passphrase."


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS of a server's listeners, as its files are now.

    Attributes:
        clients: for listeners that clients connect to.
        admin: for admin listeners: probes have no certificate.
    """

    clients: ssl.SSLContext
    admin: ssl.SSLContext


def server_tls(settings: Settings) -> ServerTls | None:
    """Read certificate, key and client authorities, or return None where there is no certificate.

    Raises:
        ConfigurationError: a file cannot be read, or is not what it should be.
    """
    if settings.tls_certificate is None:
        return None
    clients = _context(settings.tls_certificate, settings.tls_key)
    if settings.tls_client_ca is not None:
        _demand_certificates(clients, settings.tls_client_ca)
    return ServerTls(clients, _context(settings.tls_certificate, settings.tls_key))


def _context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    for file, name in ((certificate, "tls_certificate"), (key, "tls_key")):
        _insist_on_reading(file, name)
    try:
        # OpenSSL would ask at the terminal for the passphrase of an encrypted key.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"tls_certificate and tls_key cannot be used: {_reason(error)}", remedy=_REMEDY
        ) from None
    return context


def _demand_certificates(context: ssl.SSLContext, authorities: Path) -> None:
    _insist_on_reading(authorities, "tls_client_ca")
    try:
        context.load_verify_locations(cafile=authorities)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"tls_client_ca cannot be used: {_reason(error)}",
            remedy="Set tls_client_ca to a PEM file of certificates.",
        ) from None
    context.verify_mode = ssl.CERT_REQUIRED


def _insist_on_reading(file: Path | None, name: str) -> None:
    """Name the file that cannot be read: OpenSSL does not."""
    if file is None:
        return
    try:
        file.open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {file}: {error.strerror}", remedy=_REMEDY) from None


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or "it is no PEM file"
