"""``sidekey login``, ``refresh`` and ``mode``."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from sidekey_auth.claims import Claims
from sidekey_auth.credential import Credential
from sidekey_auth.credits import redeem_credits
from sidekey_auth.device import DeviceInvitation
from sidekey_auth.errors import (
    ConfigurationError,
    CredentialUnsaved,
    DeviceCodeUnavailable,
    IssuerRefused,
    NoRefreshToken,
    SidekeyError,
)
from sidekey_auth.key_outlook import key_outlook
from sidekey_auth.signin import BrowserInvitation, PasteInvitation, SignedIn, SignIn
from sidekey_auth.stored_credential import switch_mode
from sidekey_auth.upstream import sign_in_may_go
from sidekey_proxy.configuration.settings import allowed_origins
from sidekey_proxy.place import Place, find_place
from sidekey_proxy.status import span

from .browser import Way, open_browser, propose, this_machine
from .options import Config, Profile, Sandbox
from .output import Output, Report
from .qr import qr_code
from .terminal import Terminal
from .verb import output, run


def login(
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address instead of opening it.")
    ] = False,
    paste: Annotated[
        bool, typer.Option("--paste", help="The browser is elsewhere: paste the address it ends up at.")
    ] = False,
    device: Annotated[bool, typer.Option("--device", help="Show a code to type in any browser.")] = False,
    choose: Annotated[
        bool,
        typer.Option(
            "--choose-organization",
            help="Ask for OpenAI's older page, which may let you choose the API organisation and project.",
        ),
    ] = False,
    redeem: Annotated[
        bool, typer.Option("--redeem-credits", help="Ask for a subscription's API credits afterwards.")
    ] = False,
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
) -> None:
    """Sign in with ChatGPT.

    Without a flag, the way that suits this machine is taken: the browser, or what works over SSH and in
    containers.

    Examples:

        sidekey login

        sidekey login --device

        sidekey login --no-browser --profile work

        sidekey login --choose-organization
    """
    flags: dict[Way, bool] = {"no-browser": no_browser, "paste": paste, "device": device}
    said = [way for way, wanted in flags.items() if wanted]

    async def work() -> Report:
        if len(said) > 1:
            raise ConfigurationError("--no-browser, --paste and --device are three ways: choose one")
        if choose and device:
            raise ConfigurationError(
                "--device has no page to choose an organisation on", remedy="Use --no-browser or --paste."
            )
        place = _place(config, profile, sandbox=sandbox)
        told = output()
        async with place.issuer() as issuer:
            signing = SignIn(
                place.vault,
                issuer,
                place.profile,
                choose_organization=choose,
                show_claims=lambda claims: _foretell(claims, told),
            )
            signed_in = await _sign_in(signing, said[0] if said else None, told)
        notes = await _after(place, signed_in, redeem=redeem or place.settings.redeem_credits)
        return told_of_sign_in(signed_in, notes)

    run(work(), "The sign-in failed")


async def _sign_in(signing: SignIn, way: Way | None, told: Output) -> SignedIn:
    if way is None:
        proposal = propose(this_machine())
        way = "paste" if proposal.way == "device" and signing.choose_organization else proposal.way
        if proposal.reason and way == proposal.way:
            told.say(proposal.reason)
    if way == "device":
        try:
            return await signing.with_device_code(lambda invitation: _show_device(invitation, told))
        except DeviceCodeUnavailable as error:
            if not Terminal().interactive:
                raise
            told.say(f"It cannot be done so: {error}. It is turned on in {error.setting}.")
            told.say("So this sign-in goes on as with --paste.")
            way = "paste"
    if way == "paste":
        return await signing.by_pasting(lambda invitation: _ask_callback(invitation, told))
    return await signing.with_browser(
        lambda invitation: _show_browser(invitation, told, opens=way == "browser")
    )


async def _show_browser(invitation: BrowserInvitation, told: Output, *, opens: bool) -> None:
    machine = this_machine()
    over_ssh = any(name in machine.environ for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"))
    if opens:
        opened = await asyncio.to_thread(open_browser, invitation.url, machine)
        if not opened.problem:
            told.say("Your browser has opened; sign in there. If it has not, open this address:")
        else:
            told.say(f"The browser could not be opened ({opened.problem}). Open this address:")
    else:
        told.say("Open this address in a browser and sign in:")
    told.figure(f"\n{invitation.url}\n\n")
    if over_ssh or not opens:
        told.say("If that browser is on another machine, run this there first:")
        told.figure(f"\n{invitation.ssh_line}\n\n")
        told.say("or use `sidekey login --device` or `sidekey login --paste`.")


async def _ask_callback(invitation: PasteInvitation, told: Output) -> str:
    if invitation.problem is None:
        told.say("Open this address in any browser and sign in:")
        told.figure(f"\n{invitation.url}\n\n")
        told.say(
            "The browser ends up at an address that it cannot open. Copy it whole. (Enter alone cancels.)"
        )
    else:
        told.say(f"{invitation.problem}. Nothing was exchanged; paste the address of this very sign-in.")
    return Terminal().line("Address")


async def _show_device(invitation: DeviceInvitation, told: Output) -> None:
    told.say(f"Open {invitation.url} in any browser and type this code:")
    told.figure(f"\n    {invitation.user_code}\n\n")
    told.figure(qr_code(invitation.url, told.encoding, columns=min(told.columns, 80)))
    told.say(
        f"If the page says that device codes are off, turn them on in {DeviceCodeUnavailable.setting}, "
        "or use `sidekey login --paste`."
    )
    told.say(f"Waiting for you there, {span(int(invitation.lifetime))} at the most. Ctrl-C cancels.")


def _foretell(claims: Claims, told: Output) -> None:
    outlook = key_outlook(claims)
    if not outlook.likely:
        told.say(f"{outlook.sentence} It is tried all the same.")


async def _after(place: Place, signed_in: SignedIn, *, redeem: bool) -> tuple[str, ...]:
    id_token = signed_in.credential.id_token
    if not redeem or id_token is None:
        return ()
    allowed = allowed_origins(place.settings)
    redemption = await redeem_credits(
        place.settings.upstream,
        id_token,
        place.issuer_settings(),
        may_carry=lambda url: sign_in_may_go(url, allowed),
    )
    if redemption.problem is not None:
        output().say(f"Warning: {redemption.problem}")
        return ()
    return (f"Redeemed API credits: {redemption.granted:g}.",)


def told_of_sign_in(signed_in: SignedIn, notes: tuple[str, ...] = ()) -> Report:
    """Return what is said after a sign-in.

    Raises:
        SidekeyError: signed in, but without a key; what to do is in its remedy.
    """
    who = signed_in.claims.email or signed_in.claims.account_id or "your account"
    if signed_in.unsaved is not None:
        raise CredentialUnsaved(
            f"signed in as {who}, but {signed_in.unsaved}",
            aside=signed_in.unsaved.aside,
            remedy=signed_in.unsaved.remedy,
        )
    if isinstance(signed_in.problem, IssuerRefused):
        raise SidekeyError(
            f"signed in as {who}, but without an API key: {signed_in.problem}",
            remedy=signed_in.problem.remedy,
        )
    if signed_in.problem is not None:
        raise SidekeyError(
            f"signed in as {who}, but there is no API key yet: {signed_in.problem}",
            remedy="Run `sidekey refresh` in a moment; a running server goes on trying by itself.",
        )
    plan = f" ({signed_in.claims.plan})" if signed_in.claims.plan else ""
    return Report(sentence=f"Signed in as {who}{plan}.", notes=notes)


def refresh(profile: Profile = None, sandbox: Sandbox = False, config: Config = None) -> None:
    """Refresh the sign-in and exchange it for a new API key now.

    Examples:

        sidekey refresh
    """

    async def work() -> Report:
        place = _place(config, profile, sandbox=sandbox)
        return await refresh_now(place)

    run(work(), "The refresh failed")


async def refresh_now(place: Place) -> Report:
    """Refresh and exchange now, and say how it stands then.

    Raises:
        SidekeyError: it did not work; the state's sentence says why.
    """
    async with place.issuers() as issuers:
        broker = place.broker(issuers)
        await broker.take_up()
        before = broker.credential
        if not before.signed_in:
            raise NoRefreshToken
        if before.mode != "chatgpt":
            raise SidekeyError(
                f"profile {place.profile} is in mode {before.mode}, which has nothing to refresh",
                remedy="Run `sidekey mode chatgpt` first.",
            )
        try:
            standing = await broker.refresh()
        finally:  # also after Ctrl-C: the answer to a refresh comes only once
            await broker.stop()
        after = broker.credential
    if after.api_key is None or after.api_key == before.api_key or standing.state != "ready":
        raise SidekeyError(standing.sentence, remedy=standing.remedy)
    return Report(sentence=f"Refreshed: the API key in use is now {after.api_key.masked()}.")


def mode(
    name: Annotated[str, typer.Argument(metavar="chatgpt|api_key", help="Where the bearer comes from.")],
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
) -> None:
    """Switch between the sign-in and the static key.

    Nothing is deleted.

    Examples:

        sidekey mode api_key

        sidekey mode chatgpt
    """

    async def work() -> Report:
        place = _place(config, profile, sandbox=sandbox)
        return await switch(place, name)

    run(work(), "The mode was not switched")


async def switch(place: Place, name: str) -> Report:
    """Switch the mode, and say what follows."""
    stored = await switch_mode(place.vault, name, profile=place.profile)
    return Report(sentence=f"Profile {place.profile} is in mode {stored.mode} now.", notes=_missing(stored))


def _missing(credential: Credential) -> tuple[str, ...]:
    if credential.mode == "chatgpt" and not credential.signed_in:
        return ("Nobody is signed in yet: run `sidekey login`.",)
    if credential.mode == "api_key" and credential.static_key is None:
        return ("No API key is stored yet: run `sidekey key set`.",)
    return ()


def _place(config: Path | None, profile: str | None, *, sandbox: bool) -> Place:
    return find_place(config=config, sandbox=sandbox, flags={"profile": profile})
