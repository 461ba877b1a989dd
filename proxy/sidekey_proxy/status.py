"""What people and programs are told of a profile: one report for `sidekey status` and `/status`. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sidekey_auth.claims import Claims, read_claims
from sidekey_auth.credential import Credential
from sidekey_auth.errors import IdTokenInvalid
from sidekey_auth.issuer_settings import API_KEYS
from sidekey_auth.key_outlook import KeyExchange, key_exchange_of
from sidekey_auth.made_keys import MadeKey
from sidekey_auth.states import Standing
from sidekey_auth.vault import VaultDescription


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusReport:
    """How a profile stands. No secret in it, ever.

    Attributes:
        profile, mode: of the credential.
        state, code, sentence, remedy: as the table of states says.
        ready: a bearer can be served, and may go to the upstream.
        fallback: the static key stands in for the sign-in.
        generation: the present bearer's number.
        account, plan: of the signed-in person, or None.
        key_last_four: the last characters of the key that is served, or None.
        static_key_last_four: those of the stored static key, or None.
        refreshable: there is a refresh token.
        id_token_expires: when, or None.
        id_token_expires_in: seconds until then, negative once it is over, or None.
        last_refresh: when the tokens were last obtained, or None.
        vault, sealed_by: where the vault is and what seals it.
        sandbox: it is the sandbox's, not a real credential.
        clear_text_listeners: where clients connect from other machines without TLS.
        key_exchange: how it stands with the exchange of the id_token for an API key, or None.
        keys_made: how many API keys this profile has made, ever.
        made_keys: the newest of them, oldest first.
    """

    profile: str
    mode: str
    state: str
    code: str
    sentence: str
    remedy: str
    ready: bool
    fallback: bool
    generation: int
    account: str | None
    plan: str | None
    key_last_four: str | None
    static_key_last_four: str | None
    refreshable: bool
    id_token_expires: datetime | None
    id_token_expires_in: int | None
    last_refresh: datetime | None
    vault: str
    sealed_by: str
    sandbox: bool
    clear_text_listeners: tuple[str, ...] = ()
    key_exchange: KeyExchange | None = None
    keys_made: int = 0
    made_keys: tuple[MadeKey, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values, times in ISO 8601 (UTC)."""
        values = asdict(self)
        for name in ("id_token_expires", "last_refresh"):
            moment: datetime | None = values[name]
            values[name] = moment.isoformat() if moment else None
        values["key_exchange"] = _exchange_document(self.key_exchange)
        return {**values, **made_keys_document(self.keys_made, self.made_keys)}

    def rows(self) -> list[tuple[str, str]]:
        """Return labels and values for people."""
        rows = [
            ("Profile", self.profile + (" (sandbox)" if self.sandbox else "")),
            ("Mode", self.mode),
            ("State", f"{self.state}: {self.sentence}"),
            ("Next", self.remedy),
            ("Account", self.account or ""),
            ("Plan", self.plan or ""),
            ("API key in use", _ending(self.key_last_four)),
            ("Stored API key", _ending(self.static_key_last_four)),
            ("Key exchange", self._exchange()),
            ("Sign-in refreshes", _expiry(self.id_token_expires_in, refreshable=self.refreshable)),
            ("Last refresh", _moment(self.last_refresh)),
            ("Vault", self.vault),
            ("Sealed by", self.sealed_by),
            ("In the clear", _clear_text(self.clear_text_listeners)),
        ]
        return [(label, value) for label, value in rows if value]

    def _exchange(self) -> str:
        exchange = self.key_exchange
        if exchange is None or exchange.done:
            return ""
        refused = exchange.refused
        if refused is not None:
            words = "" if refused.message.rstrip(". ") in self.sentence else f": {refused.message}"
            return f"refused with {refused.code} at {_moment(datetime.fromtimestamp(refused.at, UTC))}{words}"
        ways = exchange.outlook.ways(has_static_key=self.static_key_last_four is not None)
        return f"{exchange.outlook.sentence} {ways}".strip()


def report(
    credential: Credential,
    standing: Standing,
    vault: VaultDescription,
    *,
    now: float,
    sandbox: bool,
    clear_text: tuple[str, ...] = (),
) -> StatusReport:
    """Return the report.

    Args:
        credential: as it is stored or held in memory.
        standing: how it stands before the upstream.
        vault: where it is kept.
        now: Unix time in seconds.
        sandbox: whether it is the sandbox's.
        clear_text: where clients connect from other machines without TLS.
    """
    claims = _claims(credential)
    expires = datetime.fromtimestamp(claims.exp, UTC) if claims and claims.exp is not None else None
    return StatusReport(
        profile=credential.profile,
        mode=credential.mode,
        state=standing.state,
        code=standing.code,
        sentence=standing.sentence,
        remedy=standing.remedy,
        ready=standing.ready,
        fallback=standing.fallback,
        generation=credential.generation,
        account=claims.email or claims.account_id if claims else None,
        plan=claims.plan if claims else None,
        key_last_four=standing.bearer.value.last_four() if standing.bearer else None,
        static_key_last_four=credential.static_key.last_four() if credential.static_key else None,
        refreshable=credential.refresh_token is not None,
        id_token_expires=expires,
        id_token_expires_in=int(expires.timestamp() - now) if expires else None,
        last_refresh=credential.last_refresh,
        vault=vault.where,
        sealed_by=vault.sealed_by,
        sandbox=sandbox,
        clear_text_listeners=clear_text,
        key_exchange=key_exchange_of(credential),
        keys_made=credential.keys_made,
        made_keys=credential.made_keys,
    )


def made_keys_document(count: int, made: Sequence[MadeKey]) -> dict[str, Any]:
    """Return which keys a profile has made, JSON-able.

    Args:
        count: how many, ever.
        made: the newest of them, oldest first.
    """
    return {
        "keys_made": count,
        "made_keys": [{**asdict(key), "at": _iso(key.at)} for key in made],
        "keys_page": API_KEYS,
    }


def _exchange_document(exchange: KeyExchange | None) -> dict[str, Any] | None:
    if exchange is None:
        return None
    refused = exchange.refused
    return {
        **asdict(exchange.outlook),
        "done": exchange.done,
        "refused": refused and {"code": refused.code, "message": refused.message, "at": _iso(refused.at)},
    }


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def _claims(credential: Credential) -> Claims | None:
    if credential.id_token is None:
        return None
    try:
        return read_claims(credential.id_token)
    except IdTokenInvalid:
        return None


def _clear_text(listeners: tuple[str, ...]) -> str:
    if not listeners:
        return ""
    return f"client keys, at {', '.join(listeners)}: other machines can reach it without TLS"


def _ending(last_four: str | None) -> str:
    if last_four is None:
        return ""
    return f"…{last_four}"


def _expiry(seconds: int | None, *, refreshable: bool) -> str:
    if seconds is None:
        return ""
    when = f"id_token expires in {span(seconds)}" if seconds > 0 else f"id_token expired {span(-seconds)} ago"
    return when + ("" if refreshable else ", and there is no refresh token")


def _moment(moment: datetime | None) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def span(seconds: int) -> str:
    """Return a duration for people: its two largest units."""
    units = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))
    parts: list[str] = []
    for name, size in units:
        count, seconds = divmod(seconds, size)
        if count or (name == "s" and not parts):
            parts.append(f"{count} {name}")
    return " ".join(parts[:2])
