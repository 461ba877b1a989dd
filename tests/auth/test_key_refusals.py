"""Which reasons are recognised, and which are left to the issuer's own words.

OpenAI's words are not known for the policies: these are as many ways to say it as came to mind.
"""

from __future__ import annotations

import pytest

from sidekey_auth.key_refusals import (
    KEY_REFUSALS,
    UNKNOWN_REMEDY,
    UNKNOWN_REMEDY_WITH_KEY,
    known_refusal,
    remedy_of,
    speaks_of_name,
)

NAME = "sidekey name-server default 2026-11-24"


@pytest.mark.parametrize(
    ("expected", "code", "message"),
    [
        ("no_platform_key", "invalid_subject_token", "Invalid ID token: missing organization_id"),
        ("no_platform_key", "no_organization", "You must be a member of an organization to use the API."),
        ("service_account_keys_only", "service_account_required", ""),
        ("service_account_keys_only", None, "This organization only allows service-account API keys."),
        ("service_account_keys_only", "forbidden", "User API keys are disabled. Use a service account."),
        ("service_account_keys_only", None, "Keys must belong to ServiceAccounts"),
        ("key_creation_disabled", "api_key_creation_disabled", "No."),
        ("key_creation_disabled", "user_api_keys_disabled", ""),
        ("key_creation_disabled", None, "New API keys cannot be created in this organization."),
        ("key_creation_disabled", None, "Creating API keys is not allowed by your organization."),
        ("key_creation_disabled", None, "Your organization's policy does not permit API key creation."),
        ("key_creation_disabled", "key_creation_not_allowed", ""),
        ("key_creation_disabled", None, "API key creation is turned off for this project."),
        ("key_creation_disabled", None, "An administrator has restricted API key creation."),
        ("key_expiry_required", "api_key_expiration_required", ""),
        ("key_expiry_required", None, "API keys must have an expiration date."),
        ("key_expiry_required", "missing_required_parameter", "expires_in_seconds is required for new keys."),
        ("key_expiry_required", None, "The key exceeds the maximum lifetime that your organization allows."),
        ("key_expiry_required", None, "Keys that never expire are not allowed in this organization."),
        (None, "invalid_subject_token", "Invalid ID token: expired"),
        (None, "invalid_subject_token", "Invalid ID token: wrong audience"),
        (None, "invalid_request", "Unknown requested_token."),
        (None, "account_deactivated", "This account has been disabled."),
        (None, "unsupported_country", "Your country is not allowed."),
        (None, None, ""),
    ],
)
def test_a_reason_is_recognised_by_code_or_words(
    expected: str | None, code: str | None, message: str
) -> None:
    found = known_refusal(code, message)
    assert (found.code if found else None) == expected


def test_each_reason_names_what_to_do_and_only_who_has_no_key_is_told_to_store_one() -> None:
    assert len({row.code for row in KEY_REFUSALS}) == len(KEY_REFUSALS)
    for row in KEY_REFUSALS:
        assert "sidekey key set" in row.remedy
        assert row.remedy_with_key
        assert "key set" not in row.remedy_with_key
        assert not row.reason.endswith(".")
    for remedy in (UNKNOWN_REMEDY, UNKNOWN_REMEDY_WITH_KEY, *(row.remedy for row in KEY_REFUSALS)):
        assert "sidekey login --choose-organization" in remedy
    assert all("sidekey login --choose-organization" in row.remedy_with_key for row in KEY_REFUSALS)


def test_a_stored_code_leads_to_its_remedy_and_a_foreign_one_to_the_issuers_words() -> None:
    for row in KEY_REFUSALS:
        assert remedy_of(row.code, has_static_key=False) == row.remedy
        assert remedy_of(row.code, has_static_key=True) == row.remedy_with_key
    assert remedy_of("shoe_size_unknown", has_static_key=False) == UNKNOWN_REMEDY
    assert remedy_of("shoe_size_unknown", has_static_key=True) == UNKNOWN_REMEDY_WITH_KEY


@pytest.mark.parametrize(
    ("speaks", "code", "message", "parameter"),
    [
        (True, "unknown_parameter", "Unknown parameter.", "name"),
        (True, None, "Unknown parameter: 'name'.", None),
        (True, "name_too_long", "", None),
        (True, "invalid_key_name", "", None),
        (True, None, "The Name may hold letters only.", None),
        (False, "invalid_username", "", None),
        (False, None, "This host is renamed.", None),
        (False, None, f"What is {NAME}?", None),
        (False, "invalid_request", "", "subject_token"),
        (False, None, "", None),
    ],
)
def test_whether_a_refusal_speaks_of_the_name(
    speaks: bool, code: str | None, message: str, parameter: str | None
) -> None:
    assert speaks_of_name(code, message, parameter, name=NAME) is speaks
