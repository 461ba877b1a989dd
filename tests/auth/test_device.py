"""Waiting for a device code: through outages, as slowly as the issuer wishes, and no longer than it lives."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from sidekey_auth.device import Pace, wait_for_device
from sidekey_auth.errors import IssuerRefused, IssuerUnavailable, SignInTimedOut
from sidekey_auth.issuer import Issuer
from sidekey_auth.issuer_answers import DeviceGrant, DeviceStart
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_proxy.sandbox import DeviceDenied, DevicePending, DevicePollFails, Sandbox, SandboxSettings

LIFETIME = 30.0
"""Seconds; longer than any of these tests."""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


class Poller(Issuer):
    """An issuer's client that tells when a poll has failed."""

    def __init__(self, settings: IssuerSettings) -> None:
        super().__init__(settings)
        self.failed = asyncio.Event()

    async def poll_device(self, start: DeviceStart) -> DeviceGrant | None:
        try:
            return await super().poll_device(start)
        except IssuerUnavailable:
            self.failed.set()
            raise


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    """One that can come back at the place where it was."""
    async with Sandbox(SandboxSettings(port=free_port(), device_interval="0.01")) as running:
        yield running


@pytest.fixture
async def issuer(sandbox: Sandbox) -> AsyncIterator[Poller]:
    async with Poller(IssuerSettings(issuer=sandbox.issuer, client_id=sandbox.client_id)) as client:
        yield client


async def test_an_issuer_that_is_away_for_a_while_ends_nothing(sandbox: Sandbox, issuer: Poller) -> None:
    start = await issuer.start_device()
    waiting = asyncio.create_task(wait_for_device(issuer, start, timeout=LIFETIME))
    await sandbox.wait_for("device_token")
    await sandbox.stop()
    await issuer.failed.wait()
    await sandbox.start()
    assert sandbox.approve_device(start.user_code)
    grant = await waiting
    assert grant.code.reveal() in {secret.reveal() for secret in sandbox.issued_secrets()}


@pytest.mark.parametrize("fault", [DevicePollFails(times=5), DevicePollFails(status=429, times=2)])
async def test_failures_for_now_end_nothing(sandbox: Sandbox, issuer: Poller, fault: DevicePollFails) -> None:
    sandbox.faults.put(fault)
    start = await issuer.start_device()
    sandbox.approve_device(start.user_code)
    assert await wait_for_device(issuer, start, timeout=LIFETIME)
    assert not sandbox.faults.waiting()


@pytest.mark.parametrize("fault", [DeviceDenied(), DeviceDenied(status=403), DevicePollFails(status=410)])
async def test_a_refusal_for_good_ends_it_at_once(
    sandbox: Sandbox, issuer: Poller, fault: DeviceDenied | DevicePollFails
) -> None:
    sandbox.faults.put(DevicePollFails())
    sandbox.faults.put(fault)
    with pytest.raises(IssuerRefused):
        await wait_for_device(issuer, await issuer.start_device(), timeout=LIFETIME)


async def test_an_outage_that_outlasts_the_code_is_told_as_such(sandbox: Sandbox, issuer: Poller) -> None:
    sandbox.faults.put(DevicePollFails(times=None))
    start = await issuer.start_device()
    with pytest.raises(SignInTimedOut, match=r"within .* minutes; the last answer: .*503"):
        await wait_for_device(issuer, start, timeout=0.1)


async def test_a_code_that_nobody_types_is_told_without_a_failure(sandbox: Sandbox, issuer: Poller) -> None:
    sandbox.faults.put(DevicePollFails())
    sandbox.faults.put(DevicePending(times=None))
    start = await issuer.start_device()
    with pytest.raises(SignInTimedOut, match=r"minutes$"):
        await wait_for_device(issuer, start, timeout=0.5)


# --- how long to wait between two polls -------------------------------------------------------------------


def unavailable(*, retry_after: float | None = None, code: str | None = None) -> IssuerUnavailable:
    return IssuerUnavailable("no", retry_after=retry_after, error_code=code)


def test_while_nobody_has_been_there_the_interval_is_kept() -> None:
    pace = Pace(5.0, lambda: 1.0)
    assert [pace.after(None) for _ in range(3)] == [5.0, 5.0, 5.0]


def test_failures_in_a_row_are_waited_for_longer_and_longer_and_an_answer_ends_that() -> None:
    pace = Pace(5.0, lambda: 1.0)
    assert [pace.after(unavailable()) for _ in range(6)] == [10.0, 20.0, 40.0, 60.0, 60.0, 60.0]
    assert pace.after(None) == 5.0
    assert pace.after(unavailable()) == 10.0


def test_jitter_never_makes_a_pause_shorter_than_the_interval() -> None:
    pace = Pace(5.0, lambda: 0.0)
    assert [pace.after(unavailable()) for _ in range(3)] == [5.0, 10.0, 20.0]


def test_the_issuers_own_wish_counts_where_it_is_longer() -> None:
    pace = Pace(5.0, lambda: 1.0)
    assert pace.after(unavailable(retry_after=90.0)) == 90.0
    assert pace.after(unavailable(retry_after=1.0)) == 20.0


def test_slow_down_adds_five_seconds_for_good() -> None:
    """RFC 8628 section 3.5."""
    pace = Pace(5.0, lambda: 1.0)
    assert pace.after(unavailable(code="slow_down")) == 10.0
    assert pace.after(None) == 10.0
    assert pace.after(unavailable(code="slow_down")) == 15.0
    assert pace.after(unavailable(code="slow_down", retry_after=30.0)) == 30.0
    assert pace.after(None) == 20.0
