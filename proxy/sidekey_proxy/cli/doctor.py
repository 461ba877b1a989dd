"""``sidekey doctor``."""

from __future__ import annotations

from collections.abc import Sequence

from sidekey_auth.errors import ConfigurationError, SealError
from sidekey_proxy.doctor.findings import Finding, settings_found
from sidekey_proxy.place import find_place

from .options import Config, Json, Profile, Sandbox
from .output import FAILED, OK, Report, Table
from .verb import run


def doctor(
    profile: Profile = None, sandbox: Sandbox = False, config: Config = None, as_json: Json = False
) -> None:
    """Look for what is wrong, and say what to do about it.

    Settings, vault, seal, credential, listeners, proxies, upstream, issuer, clock and the process itself are
    looked at. Nothing is changed, and no key is sent anywhere. The exit code is 1 when there is a problem.

    Examples:

        sidekey doctor

        sidekey doctor --json | jq '.checks[] | select(.verdict != "ok")'
    """

    async def work() -> Report:
        try:
            place = find_place(config=config, sandbox=sandbox, flags={"profile": profile})
        except (ConfigurationError, SealError) as error:
            return told([settings_found(None, error)])
        # aiohttp takes longer to import than all the rest.
        from sidekey_proxy.doctor.examine import examine  # noqa: PLC0415

        return told(await examine(place))

    run(work(), "sidekey cannot be examined", as_json=as_json)


def told(findings: Sequence[Finding]) -> Report:
    """Return the findings as they are printed. Pure."""
    problems = sum(finding.verdict == "problem" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    return Report(
        sentence=_summary(problems, warnings),
        table=Table(
            ("check", "verdict", "found"),
            tuple(
                (finding.check, finding.verdict, " ".join(filter(None, (finding.says, finding.remedy))))
                for finding in findings
            ),
        ),
        document={"ok": not problems, "checks": [finding.as_json() for finding in findings]},
        exit_code=FAILED if problems else OK,
    )


def _summary(problems: int, warnings: int) -> str:
    if not problems and not warnings:
        return "All is well."
    counts = ((problems, "problem"), (warnings, "warning"))
    words = [f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count]
    return f"{' and '.join(words)}."
