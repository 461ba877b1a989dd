"""Signing in, from the first proof to the stored credential: with a browser, by pasting, by device code.

Nothing here prints or asks: what a person must see or say goes through callables that the caller hands in.
The tokens are stored before the key exchange. A claim keeps a server that sees them appear from trading the
same id_token. Tokens that came are not thrown away: a vault that cannot be written has them put aside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .authorize import authorize_url, parse_callback, redirect_uri
from .callback import CallbackServer
from .callback_page import Pages
from .callback_ports import ssh_line
from .claims import Claims, read_claims
from .clock import Clock, SystemClock
from .credential import DEFAULT_PROFILE, Credential, TokenSet
from .device import DeviceInvitation, wait_for_device
from .errors import (
    Cancelled,
    CredentialUnsaved,
    IssuerError,
    IssuerRefused,
    IssuerUnavailable,
    NoPlatformKey,
    SealError,
    SidekeyError,
    StateMismatch,
    VaultError,
)
from .issuer import Issuer
from .issuer_settings import DEVICE_PAGE_PATH, PLATFORM
from .journal import Journal
from .key_exchange import exchange_key
from .key_outlook import NO_ORGANISATION
from .key_refusals import remedy_of
from .pkce import Pkce, new_pkce
from .renewal import exchange_barred, untraded
from .secret import Secret
from .signed_in import signed_in
from .vault import Vault


@dataclass(frozen=True, slots=True)
class BrowserInvitation:
    """What a person needs for a browser sign-in.

    Attributes:
        url: to be opened.
        port: that the callback server really bound.
        ssh_line: brings that port to the machine with the browser.
    """

    url: str
    port: int
    ssh_line: str


@dataclass(frozen=True, slots=True)
class PasteInvitation:
    """What a person needs for a sign-in by pasting.

    Attributes:
        url: to be opened in any browser; the address it ends at is to be pasted.
        problem: why the last paste would not do; None at first.
    """

    url: str
    problem: SidekeyError | None = None


@dataclass(frozen=True, slots=True)
class SignedIn:
    """How a sign-in ended.

    Attributes:
        credential: as stored.
        claims: who signed in; checked.
        problem: why there is no API key (``IssuerRefused``: there will be none for this id_token;
            ``IssuerUnavailable``: a running server goes on trying), or None where there is one.
        unsaved: why the sign-in is not in the vault, and where it is kept instead; None where it is stored.
    """

    credential: Credential
    claims: Claims
    problem: IssuerError | None = None
    unsaved: CredentialUnsaved | None = None

    @property
    def note(self) -> str:
        """One sentence about what does not work yet; empty where all is well."""
        if isinstance(self.problem, NoPlatformKey):
            return f"There is no API key yet, since {NO_ORGANISATION}: see {PLATFORM}"
        return "There is no API key yet; the terminal says why." if self.problem else ""


ShowBrowser = Callable[[BrowserInvitation], Awaitable[None]]
AskCallback = Callable[[PasteInvitation], Awaitable[str]]
ShowDevice = Callable[[DeviceInvitation], Awaitable[None]]
ShowClaims = Callable[[Claims], None]


def _show_nothing(_: Claims) -> None:
    pass


@dataclass(frozen=True, slots=True)
class SignIn:
    """One sign-in of one profile.

    Attributes:
        vault: where the credential goes.
        issuer: who is asked.
        profile: whose credential.
        clock: the time.
        pages: what the browser is shown.
        choose_organization: leave out what asks for the simplified page, so that the page may let the person
            choose the API organisation and the project. A device code has no such page.
        show_claims: is told who signed in, once that is checked and before the key exchange.
    """

    vault: Vault
    issuer: Issuer
    profile: str = DEFAULT_PROFILE
    clock: Clock = field(default_factory=SystemClock)
    pages: Pages = field(default_factory=Pages)
    choose_organization: bool = False
    show_claims: ShowClaims = _show_nothing

    async def with_browser(self, show: ShowBrowser) -> SignedIn:
        """Sign in with a browser on this machine, or one that a port is forwarded from.

        Args:
            show: opens the URL or shows it; called once the callback server listens.

        Raises:
            PortsBusy, SignInTimedOut, SignInRefused, NoAuthorizationCode: it did not come to an end.
            IssuerError, IdTokenInvalid: the issuer's tokens cannot be had or used.
            VaultError, SealError: it cannot be stored.
        """
        journal = await self._look_at_vault()
        settings, proofs = self.issuer.settings, new_pkce()
        async with CallbackServer(
            proofs.state, ports=settings.ports, timeout=settings.callback_timeout, pages=self.pages
        ) as server:
            uri = redirect_uri(settings, server.port)
            await show(BrowserInvitation(self._url(proofs, uri), server.port, ssh_line(server.port)))
            callback = await server.wait()
            try:
                result = await self._finish(journal, callback.code, uri, proofs.verifier)
            except SidekeyError as error:
                await server.fail(str(error))
                raise
            if result.unsaved is not None:
                await server.fail(str(result.unsaved))
            else:
                await server.succeed(result.note)
        return result

    async def by_pasting(self, ask: AskCallback) -> SignedIn:
        """Sign in with a browser anywhere, whose last address is pasted here.

        Args:
            ask: shows the URL and returns what was pasted; asked again after a wrong state. An empty paste
                cancels.

        Raises:
            Cancelled: nothing was changed.
            SignInRefused, NoAuthorizationCode: it did not come to an end.
            IssuerError, IdTokenInvalid, VaultError, SealError: as for ``with_browser``.
        """
        journal = await self._look_at_vault()
        settings, proofs = self.issuer.settings, new_pkce()
        uri = redirect_uri(settings, settings.ports[0])
        code = await self._pasted_code(self._url(proofs, uri), proofs.state, ask)
        return await self._finish(journal, code, uri, proofs.verifier)

    async def with_device_code(self, show: ShowDevice) -> SignedIn:
        """Sign in by typing a short code in a browser anywhere.

        Args:
            show: shows the code and where to type it.

        Raises:
            DeviceCodeUnavailable, SignInTimedOut: it did not come to an end.
            IssuerError, IdTokenInvalid, VaultError, SealError: as for ``with_browser``.
        """
        journal = await self._look_at_vault()
        settings = self.issuer.settings
        start = await self.issuer.start_device()
        page = settings.url(DEVICE_PAGE_PATH)
        await show(DeviceInvitation(page, start.user_code, settings.device_timeout))
        grant = await wait_for_device(self.issuer, start, timeout=settings.device_timeout)
        return await self._finish(journal, grant.code, self.issuer.device_redirect_uri(), grant.verifier)

    # --- the steps ----------------------------------------------------------------------------------------

    async def _look_at_vault(self) -> Journal:
        """Make the vault, or find out that it cannot be used, before anybody is sent anywhere."""
        await self.vault.create()
        journal = Journal(self.vault, self.profile)
        async with journal.locked():
            return journal

    def _url(self, proofs: Pkce, uri: str) -> str:
        return authorize_url(
            self.issuer.settings,
            redirect_uri=uri,
            challenge=proofs.challenge,
            state=proofs.state,
            simplified=not self.choose_organization,
        )

    async def _pasted_code(self, url: str, state: str, ask: AskCallback) -> Secret:
        problem: SidekeyError | None = None
        while True:
            pasted = await ask(PasteInvitation(url, problem))
            if not pasted.strip():
                raise Cancelled("nothing was pasted")
            try:
                return parse_callback(pasted, state)
            except StateMismatch as error:
                problem = error

    async def _finish(self, journal: Journal, code: Secret, uri: str, verifier: Secret) -> SignedIn:
        tokens = await self.issuer.exchange_code(code, uri, verifier)
        received = self.clock.wall()
        id_token = tokens.id_token
        assert id_token is not None  # noqa: S101 - exchange_code has looked
        try:
            claims = await self.issuer.verify(id_token, self.issuer.settings.client_id)
        except IssuerUnavailable as error:
            # The tokens are good for all that is known: they are kept, and looked at again later.
            claims = read_claims(id_token)
            self.show_claims(claims)
            await self._store(journal, tokens, claims, received, verified=False)
            return SignedIn(journal.credential, claims, error, unsaved=await unsaved_of(journal))
        self.show_claims(claims)
        await self._store(journal, tokens, claims, received, verified=True)
        unsaved = await unsaved_of(journal)
        if unsaved is not None and unsaved.aside is None:  # no key is made that could not be kept
            return SignedIn(journal.credential, claims, unsaved=unsaved)
        problem = await trade(journal, self.issuer, self.clock)
        return SignedIn(journal.credential, claims, problem, unsaved=await unsaved_of(journal))

    async def _store(
        self, journal: Journal, tokens: TokenSet, claims: Claims, received: float, *, verified: bool
    ) -> None:
        settings = self.issuer.settings

        def signed(before: Credential) -> Credential:
            return signed_in(
                before,
                tokens,
                claims,
                issuer=settings.issuer,
                client_id=settings.client_id,
                now=received,
                verified=verified,
            )

        await journal.change(signed)


async def trade(journal: Journal, issuer: Issuer, clock: Clock) -> IssuerError | None:
    """Exchange a stored credential's id_token for an API key and store that, or why there is none.

    Args:
        journal: the credential, as it was just stored.
        issuer: whom the id_token came from.
        clock: the time.

    Returns:
        Why there is no key; None where there is one, made here or by a running server.
    """
    client_id = journal.credential.client_id or issuer.settings.client_id
    refusals: list[IssuerRefused] = []
    try:
        await exchange_key(
            journal,
            issuer,
            client_id,
            clock,
            wanted=lambda stored: untraded(stored) and not exchange_barred(stored),
            refused=refusals.append,
        )
    except IssuerUnavailable as error:
        return error
    except (VaultError, SealError) as error:
        return IssuerUnavailable(f"the key exchange could not be begun: {error}", sent=False)
    failure = journal.credential.exchange_failure
    if refusals or failure is None or not exchange_barred(journal.credential):
        return refusals[0] if refusals else None
    return IssuerRefused(
        failure.message,
        error_code=failure.code,
        remedy=remedy_of(failure.code, has_static_key=journal.credential.static_key is not None),
    )


async def unsaved_of(journal: Journal) -> CredentialUnsaved | None:
    """Go on trying to save what is unsaved, and return what to say where that did not work."""
    try:
        await journal.settle()
    except CredentialUnsaved as error:
        return error
    return None
