"""What is made of what was seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sidekey_auth.claims import Claims
from sidekey_auth.credential import Bearer, Failure
from sidekey_auth.errors import ConfigurationError, WrongSeal
from sidekey_auth.key_outlook import WAYS, KeyExchange, key_outlook
from sidekey_auth.key_refusals import UNKNOWN_REMEDY
from sidekey_auth.secret import Secret
from sidekey_auth.states import Standing
from sidekey_auth.vault import VaultDescription
from sidekey_proxy.cli.doctor import told
from sidekey_proxy.doctor import findings
from sidekey_proxy.doctor.findings import Finding
from sidekey_proxy.running.hardening import Protection

BEARER = Bearer(Secret("sk-upstream-key-number-one"), 1, "chatgpt")
LIKELY = key_outlook(Claims(organization_id="org-1", project_id="proj_1"))
UNLIKELY = key_outlook(Claims())
VAULT = VaultDescription("/home/ada/sidekey", "the OS keyring")


def standing(**changes: object) -> Standing:
    usual: dict[str, object] = {
        "state": "ready",
        "code": "ready",
        "sentence": "Requests are sent with the key",
        "remedy": "",
        "bearer": BEARER,
        "fallback": False,
        "transient": False,
    }
    return Standing(**{**usual, **changes})  # type: ignore[arg-type]


def test_an_error_becomes_a_problem_with_its_remedy_and_without_secrets() -> None:
    error = WrongSeal("the seal does not fit sk-proj-0123456789abcdefghijklmnop", remedy="Bring it back.")
    finding = findings.failed("vault", error)
    assert (finding.verdict, finding.remedy) == ("problem", "Bring it back.")
    assert "0123456789abcdef" not in finding.says
    assert finding.says.endswith(".")


def test_of_a_foreign_error_only_the_kind_is_told() -> None:
    finding = findings.broke("proxies", ValueError("http://user:secret@proxy"))
    assert finding.verdict == "problem"
    assert "ValueError" in finding.says
    assert "secret" not in finding.says


@pytest.mark.parametrize(
    ("seen", "may_carry", "verdict"),
    [
        (standing(), True, "ok"),
        (standing(), False, "problem"),
        (standing(fallback=True), True, "warning"),
        (standing(state="degraded"), True, "warning"),
        (standing(state="reauth_required", bearer=None, remedy="Run `sidekey login`."), True, "problem"),
    ],
)
def test_a_credential_is_a_problem_exactly_where_requests_go_without_it(
    seen: Standing, may_carry: bool, verdict: str
) -> None:
    finding = findings.standing_found(seen, may_carry=may_carry, upstream="https://gateway.example/v1")
    assert finding.verdict == verdict
    if seen.bearer is None:
        assert finding.remedy == "Run `sidekey login`."


def test_a_bearer_that_may_not_go_to_upstream_names_the_setting() -> None:
    finding = findings.standing_found(standing(), may_carry=False, upstream="https://gateway.example/v1")
    assert "allow_upstream" in finding.remedy


@pytest.mark.parametrize(
    ("exchange", "verdict", "says", "remedy"),
    [
        (KeyExchange(LIKELY, done=True, refused=None), "ok", "The sign-in has its API key.", ""),
        (KeyExchange(UNLIKELY, done=True, refused=None), "ok", "The sign-in has its API key.", ""),
        (KeyExchange(LIKELY, done=False, refused=None), "ok", LIKELY.sentence, ""),
        (
            KeyExchange(UNLIKELY, done=False, refused=None),
            "warning",
            f"{UNLIKELY.sentence} It is tried all the same.",
            WAYS,
        ),
        (
            KeyExchange(LIKELY, done=False, refused=Failure("f", "shoe_size_unknown", "No", 1.0)),
            "warning",
            "Refused with shoe_size_unknown: No.",
            UNKNOWN_REMEDY,
        ),
    ],
)
def test_a_key_exchange_is_foretold_until_it_is_done_or_refused(
    exchange: KeyExchange, verdict: str, says: str, remedy: str
) -> None:
    finding = findings.key_exchange_found(exchange, has_static_key=False)
    assert (finding.verdict, finding.says, finding.remedy) == (verdict, says, remedy)


def test_a_vault_that_is_not_there_yet_is_no_problem() -> None:
    assert findings.vault_found(VAULT, there=False).verdict == "ok"
    assert "the OS keyring" in findings.vault_found(VAULT, there=True).says


@pytest.mark.parametrize(
    ("answerer", "error", "verdict"),
    [
        ("sidekey", None, "ok"),
        ("nobody", None, "ok"),
        ("somebody else", None, "problem"),
        ("nobody", ConfigurationError("it cannot be listened on", remedy="Choose another."), "problem"),
    ],
)
def test_a_listener_is_a_problem_where_sidekey_neither_is_nor_could_be(
    answerer: findings.Answerer, error: ConfigurationError | None, verdict: str
) -> None:
    finding = findings.listener_found("127.0.0.1:8484", answerer, error)
    assert finding.verdict == verdict
    assert bool(finding.remedy) == (verdict == "problem")


@pytest.mark.parametrize(
    ("ahead", "verdict"),
    [(0.0, "ok"), (119.0, "ok"), (-119.0, "ok"), (121.0, "warning"), (-900.0, "warning")],
)
def test_a_clock_may_be_off_by_two_minutes(ahead: float, verdict: str) -> None:
    finding = findings.clock_found(ahead)
    assert finding is not None
    assert finding.verdict == verdict
    assert verdict == "ok" or ("ahead of" if ahead > 0 else "behind") in finding.says


@pytest.mark.parametrize(
    ("left", "verdict"),
    [
        (timedelta(days=14), "ok"),
        (timedelta(days=14, seconds=-1), "warning"),
        (timedelta(seconds=1), "warning"),
        (timedelta(0), "problem"),
        (timedelta(days=-3), "problem"),
    ],
)
def test_a_certificate_is_to_be_renewed_two_weeks_before_its_end(left: timedelta, verdict: str) -> None:
    now = datetime(2026, 11, 24, tzinfo=UTC)
    finding = findings.certificate_found(Path("/etc/side.pem"), now + left, now=now)
    assert finding.verdict == verdict
    assert "/etc/side.pem" in finding.says
    assert ("SIGHUP" in finding.remedy) == (verdict != "ok")


def test_without_anybodys_time_nothing_is_said_of_the_clock() -> None:
    assert findings.clock_found(None) is None


@pytest.mark.parametrize(
    ("core_dumps", "dumpable", "verdict"),
    [(False, False, "ok"), (False, None, "ok"), (True, False, "warning"), (False, True, "warning")],
)
def test_a_process_that_others_can_look_into_is_a_warning(
    core_dumps: bool, dumpable: bool | None, verdict: str
) -> None:
    finding = findings.process_found(Protection(core_dumps=core_dumps, dumpable=dumpable))
    assert finding.verdict == verdict


@pytest.mark.parametrize(
    ("verdicts", "sentence", "code"),
    [
        (["ok"], "All is well.", 0),
        (["ok", "warning"], "1 warning.", 0),
        (["problem", "warning", "warning"], "1 problem and 2 warnings.", 1),
        (["problem", "problem"], "2 problems.", 1),
    ],
)
def test_the_exit_code_is_1_when_there_is_a_problem(
    verdicts: list[findings.Verdict], sentence: str, code: int
) -> None:
    report = told([Finding("x", verdict, "It is.", "Do it.") for verdict in verdicts])
    assert (report.sentence, report.exit_code) == (sentence, code)
    document = json.loads(json.dumps(report.document))
    assert document["ok"] == (code == 0)
    assert [check["verdict"] for check in document["checks"]] == verdicts
    assert report.table is not None
    assert report.table.rows[0] == ("x", verdicts[0], "It is. Do it.")
