"""``sidekey logout``."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from sidekey_auth.credential import Credential
from sidekey_auth.errors import SidekeyError
from sidekey_auth.issuer_settings import API_KEYS
from sidekey_auth.signout import SignedOut, sign_out
from sidekey_proxy.place import find_place
from sidekey_proxy.status import made_keys_document

from .made_keys import keys_note, keys_table
from .options import Config, Json, Profile, Sandbox
from .output import Report
from .terminal import Terminal
from .verb import run

_PROGRAMS: Final = {"codex": "the Codex CLI"}


def logout(
    revoke: Annotated[
        bool | None,
        typer.Option(
            "--revoke/--no-revoke",
            help="Whether the issuer ends the sign-in, too. Left out: yes; of an imported one you are asked.",
            show_default=False,
        ),
    ] = None,
    profile: Profile = None,
    sandbox: Sandbox = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Sign out: revoke the sign-in, delete its key and tokens.

    A static key stays; `sidekey key clear` removes it. An imported sign-in is revoked only if you say so,
    since the program that it came from may still use it.

    Examples:

        sidekey logout

        sidekey logout --profile work

        sidekey logout --no-revoke
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        before = await place.vault.load(place.profile)
        wanted = _asked(before) if revoke is None else revoke
        async with place.issuers() as issuers:
            result = await sign_out(place.vault, issuers, profile=place.profile, revoke=wanted)
        return told_of_sign_out(result, before)

    run(work(), "The sign-out failed", as_json=as_json)


def _asked(credential: Credential) -> bool | None:
    """Return what a person says about an imported sign-in; None where nobody is asked."""
    terminal = Terminal()
    shared = credential.imported_from is not None and credential.refresh_token is not None
    if not shared or not terminal.interactive:
        return None
    question = (
        f"This sign-in was imported from {_program(credential)}, which may still use it. Revoke it, too?"
    )
    return terminal.confirm(question)


def told_of_sign_out(result: SignedOut, before: Credential) -> Report:
    """Return what is said after a sign-out.

    Args:
        result: how it ended.
        before: what was stored.

    Raises:
        SidekeyError: something could not be deleted.
    """
    if result.vault_problem is not None:
        raise SidekeyError(
            f"{', '.join(result.left)} could not be deleted: {result.vault_problem}",
            remedy=result.vault_problem.remedy or "Mend that and run `sidekey logout` again.",
        )
    after = result.credential
    notes = keys_note(after.keys_made, after.made_keys)
    if not notes and result.had_key:
        notes = (f"Exchanged API keys stay valid until you delete them at {API_KEYS}.",)
    return Report(
        sentence=f"Signed out. {_end(result, before)}" if result.was_signed_in else "Nobody was signed in.",
        table=keys_table(after.made_keys),
        notes=notes,
        document={
            "was_signed_in": result.was_signed_in,
            "revoked": result.revoked,
            "revoke_problem": str(result.revoke_problem) if result.revoke_problem else None,
            **made_keys_document(after.keys_made, after.made_keys),
        },
    )


def _end(result: SignedOut, before: Credential) -> str:
    if result.spared and before.imported_from is not None:
        return f"The sign-in is not revoked, as {_program(before)} may still use it; --revoke does that, too."
    if result.spared:
        return "The sign-in is not revoked at the issuer."
    if result.revoked is None:
        return "There was no refresh token to revoke."
    if result.revoked:
        return "The sign-in is revoked."
    return f"It could not be revoked at the issuer ({result.revoke_problem}), and is deleted here."


def _program(credential: Credential) -> str:
    name = credential.imported_from or ""
    return _PROGRAMS.get(name, name)
