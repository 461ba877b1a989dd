"""How programs use the library, for the type checker to judge; nothing here ever runs."""

from __future__ import annotations

from typing import assert_type

import sidekey_auth
from sidekey_auth import (
    Bearer,
    ConfigurationError,
    IssuerError,
    IssuerRefused,
    IssuerUnavailable,
    NoBearer,
    OpenCredential,
    SealError,
    Secret,
    SidekeyError,
    Standing,
    VaultError,
    bearer,
    open_credential,
)
from sidekey_auth.errors import VaultBusy


def headers(bearer: Bearer) -> dict[str, str]:
    assert_type(bearer.value, Secret)
    assert_type(bearer.generation, int)
    return {"Authorization": f"Bearer {bearer.value.reveal()}"}


def told(standing: Standing) -> tuple[str, str | None]:
    assert_type(standing.ready, bool)
    assert_type(standing.bearer, Bearer | None)
    return standing.sentence, standing.remedy


def explained(error: SidekeyError) -> str:
    assert_type(error.code, str)
    assert_type(error.remedy, str)
    if isinstance(error, NoBearer):
        assert_type(error.state_code, str)
        assert_type(error.transient, bool)
    if isinstance(error, IssuerError):
        assert_type(error.status, int | None)
        assert_type(error.error_code, str | None)
    if isinstance(error, IssuerUnavailable):
        assert_type(error.retry_after, float | None)
    return f"{error} {error.remedy}"


async def asked(profile: str) -> str:
    async with open_credential(profile) as credential:
        assert_type(credential, OpenCredential)
        found = await credential.fresh(for_url="https://api.openai.com/v1")
        assert_type(found, Bearer)
        assert_type(await credential.refused(found), Bearer | None)
        assert_type(await credential.standing(), Standing)
        return await credential.api_key()


assert_type(bearer(), Bearer)
families: tuple[type[SidekeyError], ...] = (ConfigurationError, IssuerRefused, SealError, VaultError)
busy: type[VaultError] = VaultBusy
listed: list[str] = sidekey_auth.__all__
unknown = sidekey_auth.nothing_like_this  # type: ignore[attr-defined]
