"""What ``sidekey doctor`` makes of what was seen: a verdict for each, and a remedy. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from sidekey_auth.errors import SidekeyError
from sidekey_auth.key_outlook import KeyExchange
from sidekey_auth.key_refusals import remedy_of
from sidekey_auth.redaction import redact
from sidekey_auth.states import Standing
from sidekey_auth.vault import VaultDescription
from sidekey_proxy.running.hardening import Protection

Verdict = Literal["ok", "warning", "problem"]
Answerer = Literal["sidekey", "somebody else", "nobody"]

CLOCK_TOLERANCE: Final = 120.0
"""Seconds that a clock may be off: an answer's date is a rough clock, and tokens live for minutes."""

CERTIFICATE_DAYS: Final = 14
"""Days before its end from which a certificate should have been renewed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: what was looked at, such as ``vault``.
        verdict: ``problem`` where requests would fail or a secret is open to others, ``warning`` where
            somebody should know.
        says: what was found, one sentence.
        remedy: what to do; nothing where all is well.
    """

    check: str
    verdict: Verdict
    says: str
    remedy: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


def failed(check: str, error: SidekeyError) -> Finding:
    """Return the finding that a check ended with an error."""
    return Finding(check, "problem", _sentence(redact(str(error))), error.remedy)


def broke(check: str, error: Exception) -> Finding:
    """Return the finding that a check could not be made; a foreign error's text may hold anything."""
    return Finding(check, "problem", f"This could not be checked: {type(error).__name__}.")


def settings_found(file: Path | None, problem: SidekeyError | None = None) -> Finding:
    """Judge the settings.

    Args:
        file: what was read, or None where there is no file.
        problem: why they cannot be used.
    """
    if problem is not None:
        return failed("settings", problem)
    where = f"read from {file}" if file else "no file; defaults and the environment"
    return Finding("settings", "ok", f"Usable: {where}.")


def vault_found(description: VaultDescription, *, there: bool) -> Finding:
    """Judge a vault that could be opened, or is not there yet."""
    if not there:
        return Finding("vault", "ok", f"None in {description.where} yet: the first start makes it.")
    return Finding("vault", "ok", f"Opens and can be written: {description.where}, {description.sealed_by}.")


def seal_file_open(file: Path, mode: int) -> Finding:
    """Judge that other users can get at the file that holds the seal.

    Args:
        file: where it is.
        mode: its permissions.
    """
    return Finding(
        "seal",
        "warning",
        f"Other users can get at the seal in {file} (mode {mode:03o}): with it, the vault's files are open.",
        f"Run `chmod 600 {file}`, unless nobody else is on this machine or in this container.",
    )


def standing_found(standing: Standing, *, may_carry: bool, upstream: str) -> Finding:
    """Judge whether requests would be sent with a bearer.

    Args:
        standing: the credential's.
        may_carry: whether its bearer may go to the configured upstream.
        upstream: that upstream, for people.
    """
    if standing.bearer is None:
        return Finding("credential", "problem", _sentence(standing.sentence), standing.remedy)
    if not may_carry:
        return Finding(
            "credential",
            "problem",
            f"The key of a sign-in may not go to {upstream}: requests are refused.",
            "Name it in the setting allow_upstream.",
        )
    verdict: Verdict = "ok" if standing.state == "ready" and not standing.fallback else "warning"
    return Finding("credential", verdict, _sentence(standing.sentence), standing.remedy)


def key_exchange_found(exchange: KeyExchange, *, has_static_key: bool) -> Finding:
    """Tell how it stands with the exchange of a sign-in for an API key, or how it is likely to end.

    Args:
        exchange: of the stored id_token.
        has_static_key: a person has stored an API key already.
    """
    check, refused = "key exchange", exchange.refused
    if refused is not None:
        says = _sentence(f"Refused with {refused.code}: {refused.message}")
        return Finding(check, "warning", says, remedy_of(refused.code, has_static_key=has_static_key))
    if exchange.done:
        return Finding(check, "ok", "The sign-in has its API key.")
    if exchange.outlook.likely:
        return Finding(check, "ok", exchange.outlook.sentence)
    says = f"{exchange.outlook.sentence} It is tried all the same."
    return Finding(check, "warning", says, exchange.outlook.ways(has_static_key=has_static_key))


def listener_found(address: str, answerer: Answerer, problem: SidekeyError | None = None) -> Finding:
    """Judge one listen address.

    Args:
        address: where.
        answerer: who answers there.
        problem: why it could not be listened on, where nobody answers.
    """
    check = f"listener {address}"
    if answerer == "sidekey":
        return Finding(check, "ok", "sidekey answers.")
    if answerer == "somebody else":
        return Finding(
            check,
            "problem",
            "Another program answers.",
            "End it, or choose another address with --listen or --admin-listen.",
        )
    if problem is not None:
        return failed(check, problem)
    return Finding(check, "ok", "Nobody answers, and the address is free: run `sidekey serve`.")


def clear_text_found(addresses: Sequence[str]) -> Finding:
    """Judge that other machines can reach listeners without TLS."""
    return Finding(
        "clear text",
        "warning",
        f"Other machines can reach {', '.join(addresses)} without TLS: client keys travel in the clear.",
        "Listen on loopback only, or with TLS.",
    )


def certificate_found(file: Path, ends: datetime, *, now: datetime) -> Finding:
    """Judge the certificate that https:// listeners show.

    Args:
        file: where it is; it can be used.
        ends: when it is over.
        now: the time.
    """
    days = (ends - now).days
    renew = "Put a new one in its place and send the server SIGHUP."
    if ends <= now:
        return Finding("certificate", "problem", f"{file} is over since {ends:%Y-%m-%d}.", renew)
    if days < CERTIFICATE_DAYS:
        return Finding("certificate", "warning", f"{file} is over in {days} days.", renew)
    return Finding("certificate", "ok", f"{file} is good until {ends:%Y-%m-%d}.")


def proxies_found(proxies: Mapping[str, str]) -> Finding:
    """Tell which HTTP proxies the environment puts in between.

    Args:
        proxies: the proxy, without its password, by the host that is reached through it.
    """
    if not proxies:
        return Finding("proxies", "ok", "None in between.")
    ways = ", ".join(f"{host} through {proxy}" for host, proxy in proxies.items())
    return Finding("proxies", "ok", f"In between: {ways}.")


def reached(what: str, where: str, status: int) -> Finding:
    """Return the finding that a server answered, whatever it said."""
    return Finding(what, "ok", f"{where} answers (status {status} without a key).")


def not_reached(what: str, why: str, remedy: str = "") -> Finding:
    """Return the finding that a server did not answer."""
    usual = (
        "See that this machine is online; behind a proxy set HTTPS_PROXY, and ca_bundle for its certificate."
    )
    return Finding(what, "problem", _sentence(redact(why)), remedy or usual)


def clock_found(ahead: float | None) -> Finding | None:
    """Judge this machine's clock.

    Args:
        ahead: seconds that it is ahead of a server's; None where no server told the time.
    """
    if ahead is None:
        return None
    if abs(ahead) <= CLOCK_TOLERANCE:
        return Finding("clock", "ok", "It agrees with upstream's.")
    where = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        "warning",
        f"It is {abs(ahead):.0f} s {where} upstream's: tokens are taken for older or younger than they are.",
        "Set the clock, or let it be set (NTP).",
    )


def process_found(protection: Protection) -> Finding:
    """Judge how well a sidekey process is protected on this system."""
    if protection.core_dumps or protection.dumpable:
        return Finding(
            "process",
            "warning",
            "This system lets core dumps be made, or other programs of this user look into sidekey's memory.",
            "Forbid core dumps for this user (`ulimit -H -c 0`), and run sidekey as a user of its own.",
        )
    if protection.dumpable is None:
        return Finding("process", "ok", "No core dumps. This system cannot hide memory from the same user.")
    return Finding("process", "ok", "No core dumps, and no looking in by other programs of this user.")


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
