"""Sign-ins from start to the stored credential, against the sandbox, with a browser made of HTTP requests."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace

import aiohttp
import pytest
from yarl import URL

from canary import Canary
from sidekey_auth.claims import Claims
from sidekey_auth.credential import Credential, next_generation
from sidekey_auth.device import DeviceInvitation
from sidekey_auth.errors import (
    Cancelled,
    DeviceCodeUnavailable,
    IdTokenInvalid,
    IssuerRefused,
    IssuerUnavailable,
    NoAuthorizationCode,
    NoPlatformKey,
    PortsBusy,
    SignInRefused,
    SignInTimedOut,
    StateMismatch,
    VaultUnwritable,
)
from sidekey_auth.issuer import Issuer
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.secret import Secret
from sidekey_auth.signin import BrowserInvitation, PasteInvitation, SignedIn, SignIn
from sidekey_auth.vaults.memory import MemoryVault
from sidekey_proxy.sandbox import (
    AuthorizeRefused,
    AuthorizeWithoutCode,
    DeviceDenied,
    DevicePending,
    DeviceUnavailable,
    ExchangeForbidden,
    ExchangeRefused,
    Fault,
    JwksUnavailable,
    KeyNameRefused,
    Sandbox,
    SandboxAccount,
    SandboxSettings,
    TokenAnswer,
    TokenHang,
)

STATIC = Secret("sk-static-canary-0123456789")


async def location_of(url: str) -> str:
    """Return where the issuer would send a browser."""
    async with aiohttp.ClientSession() as session, session.get(url, allow_redirects=False) as response:
        return response.headers["Location"]


class Rig:
    """A sandbox, an issuer's client, a vault, and a browser."""

    def __init__(self, sandbox: Sandbox, settings: IssuerSettings) -> None:
        self.sandbox = sandbox
        self.vault = MemoryVault()
        self.issuer = Issuer(settings)
        self.pages: list[tuple[int, str, URL]] = []
        self.browsers: list[asyncio.Task[None]] = []

    @property
    def sign_in(self) -> SignIn:
        return SignIn(self.vault, self.issuer)

    def tune(self, **changes: object) -> None:
        self.issuer.settings = replace(self.issuer.settings, **changes)  # type: ignore[arg-type]

    async def stored(self) -> Credential:
        return await self.vault.load("default")

    async def store(self, credential: Credential) -> None:
        async with self.vault.lock(credential.profile):
            await self.vault.save(credential)

    async def visit(self, url: str) -> None:
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            self.pages.append((response.status, await response.text(), response.url))

    async def open(self, invitation: BrowserInvitation) -> None:
        """Open the URL as a browser does: nobody waits for it."""
        self.browsers.append(asyncio.create_task(self.visit(invitation.url)))

    async def with_browser(self) -> SignedIn:
        try:
            return await self.sign_in.with_browser(self.open)
        finally:
            await asyncio.gather(*self.browsers)

    def count(self, kind: str) -> int:
        return self.sandbox.events.seen(kind)  # type: ignore[arg-type]


@pytest.fixture
async def rig(canary: Canary) -> AsyncIterator[Rig]:
    sandbox_settings = SandboxSettings(auto_approve=True, any_redirect_port=True, device_interval="0.01")
    async with Sandbox(sandbox_settings) as sandbox:
        settings = IssuerSettings(
            issuer=sandbox.issuer, client_id=sandbox.client_id, ports=(0,), retry_wait=0.001
        )
        made = Rig(sandbox, settings)
        yield made
        sandbox.release()
        await made.issuer.close()
        for secret in sandbox.issued_secrets():
            canary.add(secret.reveal())
        for _, body, _ in made.pages:
            canary.check(body)


# --- with a browser -----------------------------------------------------------------------------------------


async def test_a_browser_sign_in_ends_with_a_stored_credential(rig: Rig) -> None:
    before = time.time()
    result = await rig.with_browser()
    stored = await rig.stored()
    assert result.problem is None
    assert result.claims.email == "ada@example.com"
    assert stored == result.credential
    assert stored.mode == "chatgpt"
    assert None not in {stored.id_token, stored.access_token, stored.refresh_token, stored.api_key}
    assert (stored.issuer, stored.client_id) == (rig.sandbox.issuer, rig.sandbox.client_id)
    assert stored.key_source == (stored.id_token.fingerprint() if stored.id_token else "")
    assert stored.received_at is not None
    assert before <= stored.received_at <= time.time()
    assert stored.last_refresh is not None
    assert stored.last_refresh.timestamp() == pytest.approx(stored.received_at, abs=0.001)
    assert stored.generation >= int(before * 1000)
    ((status, page, url),) = rig.pages
    assert status == 200
    assert "You can close this tab and return to the terminal" in page
    assert url.path == "/auth/callback"


async def test_each_request_is_made_once_and_in_order(rig: Rig) -> None:
    await rig.with_browser()
    kinds = [event.kind for event in rig.sandbox.events]
    assert kinds == ["authorize", "code_exchange", "jwks", "key_exchange"]


async def test_what_is_shown_names_the_port_that_is_really_bound(rig: Rig) -> None:
    shown: list[BrowserInvitation] = []

    async def show(invitation: BrowserInvitation) -> None:
        shown.append(invitation)
        await rig.open(invitation)

    await rig.sign_in.with_browser(show)
    (invitation,) = shown
    query = URL(invitation.url).query
    assert query["redirect_uri"] == f"http://localhost:{invitation.port}/auth/callback"
    assert invitation.ssh_line == f"ssh -L {invitation.port}:localhost:{invitation.port} <host>"
    await asyncio.gather(*rig.browsers)


async def test_the_page_waits_for_the_credential(rig: Rig) -> None:
    rig.sandbox.faults.put(TokenHang(grant="key_exchange"))
    running = asyncio.create_task(rig.with_browser())
    await rig.sandbox.wait_for("key_exchange")
    assert rig.pages == []
    stored = await rig.stored()
    assert stored.refresh_token is not None, "the tokens are stored before the key exchange"
    assert stored.api_key is None
    rig.sandbox.release()
    assert (await running).credential.api_key is not None
    assert rig.pages[0][0] == 200


async def test_a_second_callback_exchanges_nothing_twice(rig: Rig) -> None:
    rig.sandbox.faults.put(TokenHang(grant="key_exchange"))
    seen: list[URL] = []

    async def show(invitation: BrowserInvitation) -> None:
        seen.append(URL(await location_of(invitation.url)))
        rig.browsers.append(asyncio.create_task(rig.visit(str(seen[0]))))

    running = asyncio.create_task(rig.sign_in.with_browser(show))
    await rig.sandbox.wait_for("key_exchange")
    again = asyncio.create_task(rig.visit(str(seen[0])))
    other = str(seen[0].update_query(code="ac_other"))
    await rig.visit(other)
    assert rig.pages[0][0] == 409
    rig.sandbox.release()
    await running
    await asyncio.gather(*rig.browsers, again)
    assert rig.count("code_exchange") == 1
    with pytest.raises(aiohttp.ClientConnectorError):
        await rig.visit(str(seen[0]))


async def test_an_account_without_an_organisation_keeps_its_tokens(rig: Rig) -> None:
    rig.sandbox.account = SandboxAccount(organization_id=None)
    result = await rig.with_browser()
    assert isinstance(result.problem, NoPlatformKey)
    stored = await rig.stored()
    assert stored.mode == "chatgpt"
    assert stored.api_key is None
    assert stored.refresh_token is not None
    assert stored.id_token is not None
    assert stored.exchange_failure is not None
    assert stored.exchange_failure.code == "no_platform_key"
    assert stored.exchange_failure.token == stored.id_token.fingerprint()
    assert "https://platform.openai.com/" in rig.pages[0][1]
    assert rig.pages[0][0] == 200


async def test_a_key_exchange_that_fails_for_now_is_not_remembered_as_for_good(rig: Rig) -> None:
    rig.sandbox.faults.put(TokenAnswer(grant="key_exchange", status=503, times=3))
    result = await rig.with_browser()
    assert isinstance(result.problem, IssuerUnavailable)
    stored = await rig.stored()
    assert stored.refresh_token is not None
    assert stored.exchange_failure is None


async def test_another_refusal_of_the_key_exchange_is_remembered_with_its_code(rig: Rig) -> None:
    body = '{"error":{"code":"invalid_subject_token","message":"no"}}'
    rig.sandbox.faults.put(TokenAnswer(grant="key_exchange", status=401, body=body))
    result = await rig.with_browser()
    assert isinstance(result.problem, IssuerRefused)
    failure = (await rig.stored()).exchange_failure
    assert failure is not None
    assert failure.code == "invalid_subject_token"


@pytest.mark.parametrize(
    ("fault", "code", "words"),
    [
        (
            ExchangeForbidden(policy="service_account_keys_only"),
            "service_account_keys_only",
            "This organization allows API keys of service accounts only.",
        ),
        (
            ExchangeForbidden(policy="key_creation_disabled"),
            "key_creation_disabled",
            "API key creation is disabled for this organization.",
        ),
        (
            ExchangeForbidden(policy="key_expiry_required"),
            "key_expiry_required",
            "API keys of this organization must have an expiration.",
        ),
        (
            ExchangeRefused(status=403, code="shoe_size_unknown", message="We do not know your shoe size."),
            "shoe_size_unknown",
            "We do not know your shoe size.",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_an_organisations_policy_forbids_keeps_tokens_code_and_words(
    rig: Rig, fault: Fault, code: str, words: str
) -> None:
    rig.sandbox.faults.put(fault)
    result = await rig.with_browser()
    assert isinstance(result.problem, IssuerRefused)
    assert "sidekey key set" in result.problem.remedy
    stored = await rig.stored()
    assert stored.refresh_token is not None
    assert stored.id_token is not None
    failure = stored.exchange_failure
    assert failure is not None
    assert (failure.code, failure.token) == (code, stored.id_token.fingerprint())
    assert words in failure.message
    assert rig.count("key_exchange") == 1
    assert (rig.pages[0][0], "no API key yet" in rig.pages[0][1]) == (200, True)


# --- the key ------------------------------------------------------------------------------------------------


async def test_the_key_is_named_after_the_profile_and_remembered(rig: Rig) -> None:
    rig.tune(key_name="{profile}'s key")
    await SignIn(rig.vault, rig.issuer, profile="work").with_browser(rig.open)
    await asyncio.gather(*rig.browsers)
    (event,) = rig.sandbox.events.of("key_exchange")
    assert event.field("name") == "work's key"
    stored = await rig.vault.load("work")
    assert stored.api_key is not None
    assert stored.keys_made == 1
    assert stored.received_at is not None
    (made,) = stored.made_keys
    assert (made.name, made.last_four) == ("work's key", stored.api_key.last_four())
    assert stored.received_at <= made.at <= time.time()


async def test_a_key_whose_name_was_refused_is_remembered_without_one_and_made_once(rig: Rig) -> None:
    rig.sandbox.faults.put(KeyNameRefused())
    result = await rig.with_browser()
    assert result.problem is None
    assert [made.name for made in result.credential.made_keys] == [None]
    assert [event.status for event in rig.sandbox.events.of("key_exchange")] == [400, 200]


async def test_each_sign_in_adds_its_key_to_those_that_are_remembered(rig: Rig) -> None:
    await rig.with_browser()
    rig.browsers.clear()
    result = await rig.with_browser()
    assert (result.credential.keys_made, len(result.credential.made_keys)) == (2, 2)


async def test_what_the_id_token_tells_is_shown_before_the_exchange_and_hinders_nothing(rig: Rig) -> None:
    rig.sandbox.account = SandboxAccount(organization_id=None, onboarded=False)
    seen: list[tuple[Claims, int]] = []
    sign_in = SignIn(
        rig.vault,
        rig.issuer,
        show_claims=lambda claims: seen.append((claims, rig.count("key_exchange"))),
    )
    await sign_in.with_browser(rig.open)
    await asyncio.gather(*rig.browsers)
    ((claims, exchanged),) = seen
    assert (claims.organization_id, claims.onboarded, exchanged) == (None, False, 0)
    assert rig.count("key_exchange") == 1


async def test_a_sign_in_that_lets_choose_an_organisation_ends_in_a_key_where_the_simplified_one_does_not(
    rig: Rig,
) -> None:
    rig.sandbox.account = SandboxAccount(organization_id=None, project_id=None)
    assert isinstance((await rig.with_browser()).problem, NoPlatformKey)
    rig.browsers.clear()
    sign_in = SignIn(rig.vault, rig.issuer, choose_organization=True)
    result = await sign_in.with_browser(rig.open)
    await asyncio.gather(*rig.browsers)
    assert result.problem is None
    assert (result.claims.organization_id, result.claims.project_id) == ("org-sandbox", "proj_sandbox")
    assert result.credential.exchange_failure is None
    first, second = rig.sandbox.events.of("authorize")
    assert "codex_cli_simplified_flow=true" in first.target
    assert "codex_cli_simplified_flow" not in second.target


async def test_an_issuers_error_stores_nothing(rig: Rig) -> None:
    rig.sandbox.faults.put(AuthorizeRefused(error="access_denied", description="<b>No</b>"))
    with pytest.raises(SignInRefused, match=r"OAuth error: access_denied: <b>No</b>"):
        await rig.with_browser()
    assert "&lt;b&gt;No&lt;/b&gt;" in rig.pages[0][1]
    assert await rig.stored() == Credential()


async def test_a_missing_code_stores_nothing(rig: Rig) -> None:
    rig.sandbox.faults.put(AuthorizeWithoutCode())
    with pytest.raises(NoAuthorizationCode):
        await rig.with_browser()
    assert await rig.stored() == Credential()


async def test_a_wrong_state_exchanges_nothing_and_it_keeps_waiting(rig: Rig) -> None:
    async def show(invitation: BrowserInvitation) -> None:
        await rig.visit(f"http://localhost:{invitation.port}/auth/callback?code=ac_evil&state=wrong")
        assert rig.pages[0][0] == 400
        assert rig.count("code_exchange") == 0
        await rig.open(invitation)

    await rig.sign_in.with_browser(show)
    await asyncio.gather(*rig.browsers)
    assert rig.count("code_exchange") == 1


async def test_nobody_coming_back_is_a_time_out(rig: Rig) -> None:
    rig.tune(callback_timeout=0.05)

    async def show(_: BrowserInvitation) -> None:
        return

    with pytest.raises(SignInTimedOut):
        await rig.sign_in.with_browser(show)
    assert await rig.stored() == Credential()


async def test_a_refused_code_is_shown_to_browser_and_terminal(rig: Rig) -> None:
    rig.sandbox.faults.put(TokenAnswer(grant="code_exchange", status=400, body='{"error":"invalid_grant"}'))
    with pytest.raises(IssuerRefused, match="invalid_grant"):
        await rig.with_browser()
    status, page, _ = rig.pages[0]
    assert status == 500
    assert "the code could not be exchanged" in page
    assert await rig.stored() == Credential()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sandbox: sandbox.id_token(forged=True),
        lambda sandbox: sandbox.id_token(lifetime=-3600),
        lambda sandbox: sandbox.id_token(iss="https://evil.example"),
        lambda sandbox: sandbox.id_token(client_id="app_other"),
    ],
)
async def test_an_id_token_that_is_not_true_is_not_stored(
    rig: Rig, spoil: Callable[[Sandbox], Secret]
) -> None:
    token = spoil(rig.sandbox).reveal()
    body = f'{{"id_token":"{token}","access_token":"at_0123456789ab","refresh_token":"rt_0123456789ab"}}'
    rig.sandbox.faults.put(TokenAnswer(grant="code_exchange", status=200, body=body))
    with pytest.raises(IdTokenInvalid):
        await rig.with_browser()
    assert await rig.stored() == Credential()


async def test_without_the_issuers_keys_the_tokens_are_kept_and_checked_later(rig: Rig) -> None:
    rig.sandbox.faults.put(JwksUnavailable(times=3))
    result = await rig.with_browser()
    assert isinstance(result.problem, IssuerUnavailable)
    stored = await rig.stored()
    assert stored.refresh_token is not None
    assert (stored.id_token, stored.api_key) == (None, None), "nothing is used that was not checked"
    assert stored.unverified_id_token is not None


async def test_both_ports_busy_opens_no_browser(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        ports = (one.getsockname()[1], two.getsockname()[1])
        rig.tune(ports=ports)
        with pytest.raises(PortsBusy, match=f"{ports[0]} and {ports[1]}"):
            await rig.with_browser()
    assert rig.count("authorize") == 0


async def test_the_second_port_is_named_when_the_first_is_busy(rig: Rig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        rig.tune(ports=(busy.getsockname()[1], 0))
        assert (await rig.with_browser()).problem is None


class UnwritableVault(MemoryVault):
    """A vault whose disk is full after so many writes."""

    def __init__(self, writes: int) -> None:
        super().__init__()
        self.writes = writes

    async def save(self, credential: Credential) -> None:
        if self.writes == 0:
            raise VaultUnwritable("the disk is full")
        self.writes -= 1
        await super().save(credential)


async def test_a_vault_that_cannot_be_written_is_told_to_browser_and_terminal(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.vault = UnwritableVault(0)
    monkeypatch.setattr("sidekey_auth.journal.SAVING", 0.1)
    result = await rig.with_browser()
    assert result.unsaved is not None
    assert result.unsaved.aside is None
    assert "the disk is full" in str(result.unsaved)
    assert "the disk is full" in rig.pages[0][1]
    assert rig.count("key_exchange") == 0, "no key is made that could not be kept"


class LockedVault(MemoryVault):
    """A vault in a folder that cannot be written."""

    def lock(self, profile: str, *, timeout: float = 60.0) -> AbstractAsyncContextManager[None]:
        raise VaultUnwritable(f"{profile} cannot be locked within {timeout} s")


async def test_a_vault_that_cannot_be_used_is_found_before_anybody_is_sent_anywhere(rig: Rig) -> None:
    rig.vault = LockedVault()
    with pytest.raises(VaultUnwritable):
        await rig.with_browser()
    with pytest.raises(VaultUnwritable):
        await rig.sign_in.by_pasting(Paster())
    with pytest.raises(VaultUnwritable):
        await rig.sign_in.with_device_code(quiet)
    assert len(rig.sandbox.events) == 0


# --- what was there before ----------------------------------------------------------------------------------


async def test_the_static_key_stays_and_numbers_go_on(rig: Rig) -> None:
    high = next_generation(0, time.time() + 1e6)
    await rig.store(Credential(static_key=STATIC, generation=high))
    result = await rig.with_browser()
    assert result.credential.static_key == STATIC
    assert result.credential.generation > high


@pytest.mark.parametrize(
    ("account", "kept"),
    [
        (SandboxAccount(), True),
        (SandboxAccount(account_id="other", user_id="other"), False),
        (SandboxAccount(organization_id="org-other"), False),
    ],
)
async def test_the_old_key_serves_on_until_the_new_one_is_there_if_it_is_the_same_accounts(
    rig: Rig, account: SandboxAccount, kept: bool
) -> None:
    first = (await rig.with_browser()).credential
    rig.browsers.clear()
    rig.sandbox.account = account
    rig.sandbox.faults.put(TokenAnswer(grant="key_exchange", status=503, times=3))
    second = (await rig.with_browser()).credential
    assert second.refresh_token != first.refresh_token
    assert (second.api_key == first.api_key) is kept
    assert (second.api_key is None) is not kept


async def test_a_permanent_failure_of_the_old_token_is_forgotten(rig: Rig) -> None:
    first = (await rig.with_browser()).credential
    rig.browsers.clear()
    await rig.store(replace(first, key_refused=True))
    second = (await rig.with_browser()).credential
    assert not second.key_refused
    assert second.refresh_failure is None


async def test_only_its_profile_is_touched(rig: Rig) -> None:
    sign_in = SignIn(rig.vault, rig.issuer, profile="work")
    await sign_in.with_browser(rig.open)
    await asyncio.gather(*rig.browsers)
    assert await rig.vault.profiles() == ("work",)


# --- by pasting ---------------------------------------------------------------------------------------------


class Paster:
    """A person with a browser elsewhere."""

    def __init__(self, *spoil: Callable[[str], str]) -> None:
        self.spoil = list(spoil)
        self.asked: list[PasteInvitation] = []

    async def __call__(self, invitation: PasteInvitation) -> str:
        self.asked.append(invitation)
        location = await location_of(invitation.url)
        return self.spoil.pop(0)(location) if self.spoil else location


@pytest.fixture
def by_paste(rig: Rig) -> Rig:
    rig.tune(ports=(1455, 1457))
    return rig


async def test_a_pasted_callback_signs_in_without_any_server(by_paste: Rig) -> None:
    paster = Paster()
    result = await by_paste.sign_in.by_pasting(paster)
    assert result.problem is None
    assert await by_paste.stored() == result.credential
    redirect = URL(paster.asked[0].url).query["redirect_uri"]
    assert redirect == "http://localhost:1455/auth/callback"
    assert paster.asked[0].problem is None


async def test_a_wrong_state_exchanges_nothing_and_is_asked_again(by_paste: Rig) -> None:
    paster = Paster(
        lambda url: str(URL(url).update_query(state="wrong")), lambda _: "what?", lambda url: f"  {url}\n"
    )
    await by_paste.sign_in.by_pasting(paster)
    assert len(paster.asked) == 3
    assert isinstance(paster.asked[1].problem, StateMismatch)
    assert str(paster.asked[2].problem) == "Invalid OAuth state - possible CSRF attack"
    assert by_paste.count("code_exchange") == 1
    assert len({invitation.url for invitation in paster.asked}) == 1


async def test_an_empty_paste_cancels_and_changes_nothing(by_paste: Rig) -> None:
    with pytest.raises(Cancelled):
        await by_paste.sign_in.by_pasting(Paster(lambda _: " \n"))
    assert await by_paste.stored() == Credential()
    assert by_paste.count("code_exchange") == 0


async def test_a_pasted_refusal_ends_it(by_paste: Rig) -> None:
    by_paste.sandbox.faults.put(AuthorizeRefused())
    with pytest.raises(SignInRefused):
        await by_paste.sign_in.by_pasting(Paster())


# --- with a device code -------------------------------------------------------------------------------------


async def test_a_device_code_signs_in_and_exchanges_the_key(rig: Rig) -> None:
    rig.sandbox.faults.put(DevicePending(status=403, times=2))
    rig.sandbox.faults.put(DevicePending(status=404, times=2))
    shown: list[DeviceInvitation] = []

    async def show(invitation: DeviceInvitation) -> None:
        shown.append(invitation)

    result = await rig.sign_in.with_device_code(show)
    assert result.problem is None
    assert (await rig.stored()).api_key is not None
    (invitation,) = shown
    assert invitation.url == f"{rig.sandbox.issuer}/codex/device"
    assert len(invitation.user_code) == 10
    assert invitation.lifetime == 900
    assert rig.count("device_token") == 5


async def quiet(_: DeviceInvitation) -> None:
    return


async def test_a_device_that_is_refused_stores_nothing(rig: Rig) -> None:
    rig.sandbox.faults.put(DeviceDenied())
    with pytest.raises(IssuerRefused, match="not confirmed"):
        await rig.sign_in.with_device_code(quiet)
    assert await rig.stored() == Credential()


async def test_a_device_code_that_nobody_types_times_out(rig: Rig) -> None:
    rig.tune(device_timeout=0.1)
    rig.sandbox.faults.put(DevicePending(times=None))
    with pytest.raises(SignInTimedOut):
        await rig.sign_in.with_device_code(quiet)


async def test_a_device_code_that_is_not_enabled_says_so(rig: Rig) -> None:
    rig.sandbox.faults.put(DeviceUnavailable())
    with pytest.raises(DeviceCodeUnavailable):
        await rig.sign_in.with_device_code(quiet)
