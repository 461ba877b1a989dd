"""Looking at a place from all sides, without changing anything: files, sockets, servers, this process.

Every look is bounded in time, and what it cannot see becomes a finding; none of them raises.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from cryptography import x509
from yarl import URL

from sidekey_auth.broker import Broker
from sidekey_auth.clock import SystemClock
from sidekey_auth.errors import ConfigurationError, IssuerUnavailable, SealError, SidekeyError, VaultError
from sidekey_auth.issuer_settings import JWKS_PATH
from sidekey_auth.key_outlook import key_exchange_of
from sidekey_auth.outbound import Outbound
from sidekey_auth.proxies import proxy_for
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.upstream import may_carry, parse_base
from sidekey_proxy.addresses import ListenAddress
from sidekey_proxy.configuration.settings import allowed_origins
from sidekey_proxy.listener.endpoint import bind
from sidekey_proxy.listener.tls import server_tls
from sidekey_proxy.message.exchange import Headers, first
from sidekey_proxy.place import Place
from sidekey_proxy.running.hardening import protection
from sidekey_proxy.running.serving import upstream_settings
from sidekey_proxy.upstream.interface import UpstreamError, UpstreamRequest
from sidekey_proxy.upstream.pool import PooledUpstream

from . import findings
from .findings import Finding
from .knock import who_answers

PATIENCE: Final = 5.0
"""Seconds for one server to answer."""


async def examine(place: Place) -> list[Finding]:
    """Look at everything that a place is made of, and return what was found, in the order of a request's way.

    Args:
        place: its settings are usable.
    """
    looks: list[tuple[str, Callable[[Place], Awaitable[list[Finding]]]]] = [
        ("vault", _vault),
        ("seal", _seal),
        ("credential", _credential),
        ("listeners", _listeners),
        ("certificate", _certificate),
        ("proxies", _proxies),
        ("upstream", _upstream),
        ("issuer", _issuer),
    ]
    found = await asyncio.gather(*(_guarded(name, look, place) for name, look in looks))
    settings = findings.settings_found(place.configuration.file)
    return [settings, *(finding for some in found for finding in some), findings.process_found(protection())]


async def _guarded(
    name: str, look: Callable[[Place], Awaitable[list[Finding]]], place: Place
) -> list[Finding]:
    try:
        return await look(place)
    except SidekeyError as error:
        return [findings.failed(name, error)]
    except Exception as error:  # noqa: BLE001 - a doctor that breaks helps nobody
        return [findings.broke(name, error)]


# --- what is stored -------------------------------------------------------------------------------------


async def _vault(place: Place) -> list[Finding]:
    there = await place.vault.examine()
    return [findings.vault_found(await place.vault.describe(), there=there)]


async def _seal(place: Place) -> list[Finding]:
    """Look at a seal that a person keeps in a file; one of sidekey's own is refused where it is open."""
    seal = place.seal
    if not isinstance(seal, FileSeal) or seal.keeps:
        return []
    mode = await asyncio.to_thread(seal.open_to_others)
    return [] if mode is None else [findings.seal_file_open(seal.path, mode)]


async def _credential(place: Place) -> list[Finding]:
    broker = await _read(place)
    if broker is None:
        return []
    standing = broker.standing()
    settings = place.settings
    allowed = standing.bearer is None or may_carry(
        parse_base(settings.upstream).origin, standing.bearer.origin, allowed_origins(settings)
    )
    found = [findings.standing_found(standing, may_carry=allowed, upstream=settings.upstream)]
    exchange = key_exchange_of(broker.credential)
    # In that state the credential's own finding says all of it.
    if exchange is not None and standing.state != "no_platform_key":
        has_static_key = broker.credential.static_key is not None
        found.append(findings.key_exchange_found(exchange, has_static_key=has_static_key))
    return found


async def _read(place: Place) -> Broker | None:
    """Return a broker that has read the vault, or None where it cannot: that is the vault's finding."""
    broker = place.broker()
    try:
        await broker.inspect()
    except (VaultError, SealError):
        return None
    return broker


# --- this machine ---------------------------------------------------------------------------------------


async def _listeners(place: Place) -> list[Finding]:
    addresses = (*place.settings.listen, *place.settings.admin_listen)
    found = await asyncio.gather(*(_listener(address) for address in addresses))
    exposed = [str(address) for address in place.settings.listen if address.is_clear_text]
    return [*found, findings.clear_text_found(exposed)] if exposed else found


async def _listener(address: ListenAddress) -> Finding:
    answerer = await who_answers(address)
    problem = _not_to_be_had(address) if answerer == "nobody" else None
    return findings.listener_found(str(address), answerer, problem)


def _not_to_be_had(address: ListenAddress) -> SidekeyError | None:
    try:
        bound = bind(address)
    except ConfigurationError as error:
        return error
    if bound is not None:
        bound.close()
    return None


async def _certificate(place: Place) -> list[Finding]:
    file = place.settings.tls_certificate
    if file is None:
        return []
    await asyncio.to_thread(server_tls, place.settings)
    certificate = x509.load_pem_x509_certificate(await asyncio.to_thread(file.read_bytes))
    now = datetime.fromtimestamp(SystemClock().wall(), UTC)
    return [findings.certificate_found(file, certificate.not_valid_after_utc, now=now)]


async def _proxies(place: Place) -> list[Finding]:
    proxies: dict[str, str] = {}
    for url in (URL(place.settings.upstream), URL(place.settings.issuer)):
        proxy = await asyncio.to_thread(proxy_for, url)
        if proxy is not None:
            proxies[url.host or ""] = str(proxy.with_user(None))
    return [findings.proxies_found(proxies)]


# --- the others -----------------------------------------------------------------------------------------


async def _upstream(place: Place) -> list[Finding]:
    """Ask upstream for something harmless, as a request would, but without a key."""
    chosen = upstream_settings(place)
    patient = replace(
        chosen, connect_timeout=min(chosen.connect_timeout, PATIENCE), response_timeout=PATIENCE
    )
    upstream = PooledUpstream(patient)
    try:
        async with asyncio.timeout(2 * PATIENCE):
            answer = await upstream.send(UpstreamRequest("GET", "/models", ()))
        clock = findings.clock_found(_ahead(answer.headers))
        answer.close()
        found = [findings.reached("upstream", str(chosen.base), answer.status)]
        return found if clock is None else [*found, clock]
    except (UpstreamError, TimeoutError) as error:
        return [findings.not_reached("upstream", str(error) or f"{chosen.base} did not answer in time")]
    finally:
        with contextlib.suppress(OSError):
            await upstream.close()


async def _issuer(place: Place) -> list[Finding]:
    """Ask the issuer for its public keys, where the credential needs it at all."""
    issuer = place.settings.issuer
    broker = await _read(place)
    if broker is not None and broker.credential.mode == "api_key" and broker.standing().ready:
        return []
    async with Outbound(
        connect_timeout=min(place.settings.connect_timeout, PATIENCE),
        request_timeout=PATIENCE,
        ca_bundle=place.settings.ca_bundle,
    ) as outbound:
        try:
            answer = await outbound.request(issuer + JWKS_PATH, what="no answer")
        except SidekeyError as error:
            remedy = "" if error.remedy == IssuerUnavailable.remedy else error.remedy
            return [findings.not_reached("issuer", str(error), remedy)]
    return [findings.reached("issuer", issuer, answer.status)]


def _ahead(headers: Headers) -> float | None:
    """Return by how many seconds this clock is ahead of what an answer's Date says, or None without one."""
    date = first(headers, b"date")
    if date is None:
        return None
    try:
        return SystemClock().wall() - parsedate_to_datetime(date.decode("latin-1")).timestamp()
    except ValueError:
        return None
