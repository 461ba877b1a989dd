"""What an id_token tells of the key exchange beforehand."""

from __future__ import annotations

import pytest

from sidekey_auth.claims import Claims
from sidekey_auth.key_outlook import WAYS, WAYS_WITH_KEY, key_outlook


@pytest.mark.parametrize(
    ("organization", "project", "onboarded", "likely", "reason"),
    [
        ("org-1", "proj_1", True, True, "names a Platform organisation and a project"),
        ("org-1", "proj_1", None, True, "names a Platform organisation and a project"),
        ("org-1", "proj_1", False, False, "has not completed the Platform's onboarding"),
        ("org-1", None, True, False, "names a Platform organisation, but no project"),
        (None, "proj_1", True, False, "names no Platform organisation"),
        (None, None, None, False, "names no Platform organisation"),
    ],
)
def test_three_claims_decide(
    organization: str | None, project: str | None, onboarded: bool | None, likely: bool, reason: str
) -> None:
    outlook = key_outlook(Claims(organization_id=organization, project_id=project, onboarded=onboarded))
    assert outlook.likely is likely
    assert reason in outlook.reason
    assert outlook.sentence.startswith(f"An API key is {'likely' if likely else 'unlikely'}: ")
    assert outlook.sentence.endswith(".")


def test_three_ways_are_left_and_two_for_who_has_a_key_already() -> None:
    for way in ("https://platform.openai.com/", "sidekey login --choose-organization", "sidekey key set"):
        assert way in WAYS
        assert (way in WAYS_WITH_KEY) is (way != "sidekey key set")
    assert "may" in WAYS.partition("--choose-organization")[2]
