"""Redeeming a subscription's API credits, as old Codex versions did: best effort, never fatal."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from yarl import URL

from .errors import SidekeyError
from .issuer_failures import document_of, error_text
from .issuer_settings import IssuerSettings, is_loopback
from .outbound import Outbound
from .secret import Secret

REDEEM_PATH: Final = "/billing/redeem_credits"
GRANTED: Final = "granted_chatgpt_subscriber_api_credits"
TIMEOUT: Final = 10.0
_WHAT: Final = "the API credits were not redeemed"
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Redemption:
    """How a redemption ended.

    Attributes:
        granted: how many credits there were; None where there were none.
        problem: why, in one line for people.
    """

    granted: float | None = None
    problem: str | None = None


async def redeem_credits(
    api_base: str, id_token: Secret, settings: IssuerSettings, *, may_carry: Callable[[str], bool]
) -> Redemption:
    """Ask the API for the credits that come with a subscription; the answer is never an exception.

    Args:
        api_base: the API's base URL with its ``/v1``; https, or on this machine.
        id_token: of the account that has the subscription.
        settings: time-outs, CA bundle and the like.
        may_carry: tells whether a token of a sign-in may go to an address; who gets the id_token can have
            an API key made of it.
    """
    base = URL(api_base)
    if base.scheme != "https" and not is_loopback(base.host or ""):
        return Redemption(problem=f"{_WHAT}: {base.host} would get the id_token in the clear")
    url = str(base).rstrip("/") + REDEEM_PATH
    if not may_carry(url):
        why = f"no token of a sign-in may go to {base.host}; name it in the setting allow_upstream"
        return Redemption(problem=f"{_WHAT}: {why}")
    try:
        async with Outbound(
            connect_timeout=settings.connect_timeout,
            request_timeout=TIMEOUT,
            ca_bundle=settings.ca_bundle,
            user_agent=settings.user_agent,
        ) as outbound:
            answer = await outbound.request(url, what=_WHAT, document={"id_token": id_token})
    except SidekeyError as error:
        return Redemption(problem=str(error))
    if answer.status != _OK:
        return Redemption(problem=f"{_WHAT}: {answer.status} {error_text(answer, (id_token,))}".rstrip())
    granted = (document_of(answer) or {}).get(GRANTED)
    if isinstance(granted, bool) or not isinstance(granted, int | float) or not math.isfinite(granted):
        return Redemption(problem=f"{_WHAT}: the answer does not say how many")
    return Redemption(granted=granted)
