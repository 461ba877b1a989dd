"""``sidekey status``."""

from __future__ import annotations

from sidekey_proxy.place import find_place
from sidekey_proxy.status import StatusReport

from .made_keys import keys_note, keys_table
from .options import Config, Json, Profile, Sandbox
from .output import NOT_READY, OK, Report
from .verb import run


def status(
    profile: Profile = None, sandbox: Sandbox = False, config: Config = None, as_json: Json = False
) -> None:
    """Say how things stand: mode, state, account, key, expiry, vault.

    The exit code is 0 when a request would be sent with a key, and 3 when not.

    Examples:

        sidekey status

        sidekey status --json | jq .state
    """

    async def work() -> Report:
        place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        broker = place.broker()
        await broker.inspect()
        return shown(await place.status(broker))

    run(work(), "The status cannot be told", as_json=as_json)


def shown(report: StatusReport) -> Report:
    """Return the report as it is printed. Pure."""
    return Report(
        facts=tuple(report.rows()),
        table=keys_table(report.made_keys),
        notes=keys_note(report.keys_made, report.made_keys),
        document=report.as_json(),
        exit_code=OK if report.ready else NOT_READY,
    )
