"""What an id_token tells of the key exchange beforehand."""

from __future__ import annotations

from dataclasses import replace

import jwt
import pytest

from sidekey_auth.claims import AUTH_CLAIMS, Claims
from sidekey_auth.credential import Credential, Failure
from sidekey_auth.key_outlook import WAYS, WAYS_WITH_KEY, key_exchange_of, key_outlook
from sidekey_auth.secret import Secret


@pytest.mark.parametrize(
    ("organization", "project", "onboarded", "likely", "reason"),
    [
        ("org-1", "proj_1", True, True, "names a Platform organisation and a project"),
        ("org-1", "proj_1", None, True, "names a Platform organisation and a project"),
        ("org-1", "proj_1", False, False, "the onboarding at the Platform is not completed"),
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


def test_who_may_still_get_a_key_is_told_no_other_way() -> None:
    likely = key_outlook(Claims(organization_id="org-1", project_id="proj_1"))
    assert likely.ways(has_static_key=False) == ""
    unlikely = key_outlook(Claims())
    assert unlikely.ways(has_static_key=False) == WAYS
    assert unlikely.ways(has_static_key=True) == WAYS_WITH_KEY


def id_token(**about: object) -> Secret:
    return Secret(jwt.encode({AUTH_CLAIMS: about}, "k" * 32, algorithm="HS256"))


TOKEN = id_token(organization_id="org-1", project_id="proj_1")
SIGNED_IN = Credential(mode="chatgpt", id_token=TOKEN)
REFUSED = Failure(TOKEN.fingerprint(), "key_creation_disabled", "no", 1.0)


def test_of_a_stored_id_token_it_is_told_whether_it_has_its_key_was_refused_or_may_get_one() -> None:
    waiting = key_exchange_of(SIGNED_IN)
    assert waiting is not None
    assert (waiting.outlook.likely, waiting.done, waiting.refused) == (True, False, None)
    done = key_exchange_of(replace(SIGNED_IN, key_source=TOKEN.fingerprint()))
    assert done is not None
    assert done.done
    refused = key_exchange_of(replace(SIGNED_IN, exchange_failure=REFUSED))
    assert refused is not None
    assert (refused.done, refused.refused) == (False, REFUSED)
    later = key_exchange_of(replace(SIGNED_IN, id_token=id_token(), exchange_failure=REFUSED))
    assert later is not None
    assert (later.outlook.likely, later.refused) == (False, None), "the refusal was another id_token's"


@pytest.mark.parametrize(
    "credential",
    [
        Credential(),
        replace(SIGNED_IN, mode="api_key"),
        replace(SIGNED_IN, id_token=None),
        replace(SIGNED_IN, id_token=Secret("not-a-jwt-0123456789")),
    ],
)
def test_where_there_is_no_id_token_to_exchange_nothing_is_told(credential: Credential) -> None:
    assert key_exchange_of(credential) is None
