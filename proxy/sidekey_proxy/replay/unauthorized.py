"""What becomes of a 401: it is looked at, judged, and told to the broker where the bearer is to blame."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import structlog

from sidekey_auth.credential import Bearer
from sidekey_auth.errors import SidekeyError
from sidekey_proxy.bearers import Bearers
from sidekey_proxy.upstream.interface import UpstreamAnswer

from .looked_at import LookedAt
from .refusals import LOOKED_AT, Refusal, judge

log = structlog.get_logger("sidekey.unauthorized")

_PATIENCE = 2.0


class Unauthorized:
    """Deals with upstream's 401 answers.

    Args:
        bearers: where other bearers come from.
        foreign: error codes, besides those that are known, that speak of something other than the bearer.
        patience: seconds that a 401's body may take to come before it is judged by what is there.
    """

    def __init__(
        self, bearers: Bearers, foreign: Collection[str] = (), *, patience: float = _PATIENCE
    ) -> None:
        self.patience = patience
        self.renewals: set[asyncio.Task[None]] = set()
        self._bearers = bearers
        self._foreign = frozenset(code.lower() for code in foreign)

    async def judged(self, answer: UpstreamAnswer) -> tuple[LookedAt, Refusal]:
        """Return the answer, which still passes on as it came, and what it says."""
        looked_at = LookedAt(answer)
        refusal = judge(await looked_at.look(LOOKED_AT, self.patience), self._foreign)
        if refusal.foreign:
            log.info("a 401 that no other bearer would cure", code=refusal.kind)
        return looked_at, refusal

    async def another(self, bearer: Bearer, refusal: Refusal) -> Bearer | None:
        """Tell that upstream refused this bearer, and return another one where there is one."""
        try:
            return await self._bearers.refused(bearer, refusal.kind)
        except SidekeyError as error:
            log.warning("no other bearer", code=error.code, reason=str(error))
            return None

    def tell_aside(self, bearer: Bearer, refusal: Refusal) -> None:
        """Tell that upstream refused this bearer, for the sake of later requests."""

        async def tell() -> None:
            await self.another(bearer, refusal)

        task = asyncio.create_task(tell())
        self.renewals.add(task)
        task.add_done_callback(self.renewals.discard)
