"""The issuers that stored credentials came from."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from .clock import Clock
from .credential import Credential
from .issuer import Issuer
from .issuer_settings import IssuerSettings


class Issuers:
    """The issuers that credentials came from, each opened when it is first needed; ``async with``.

    Args:
        settings: of the usual one; which others are allowed stands there, too.
        clock: the time.
    """

    def __init__(self, settings: IssuerSettings, *, clock: Clock | None = None) -> None:
        self.settings = settings
        self._clock = clock
        self._open: dict[str, Issuer] = {}
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of all connections."""
        issuers, self._open = list(self._open.values()), {}
        for issuer in issuers:
            await issuer.close()

    async def of(self, credential: Credential) -> Issuer:
        """Return the issuer that a credential's tokens came from.

        Raises:
            ConfigurationError: tokens may not be sent there.
        """
        settings = self.settings.at(credential.issuer)
        async with self._opening:
            issuer = self._open.get(settings.issuer)
            if issuer is None:
                issuer = Issuer(settings, clock=self._clock)
                await issuer.open()
                self._open[settings.issuer] = issuer
        return issuer
