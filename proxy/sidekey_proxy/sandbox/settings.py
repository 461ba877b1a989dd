"""How a sandbox behaves: whom it signs in, how long tokens live, which faults it starts with. Pure."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, replace
from typing import Final

from sidekey_auth.errors import ConfigurationError
from sidekey_auth.issuer_settings import CALLBACK_PORTS, CLIENT_ID
from sidekey_auth.secret import Secret

from .faults import Fault


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxProject:
    """A project of a Platform organisation, for a person to choose at the sign-in.

    Attributes:
        organization_id, project_id: as an id_token names them.
        organization, project: what they are called.
    """

    organization_id: str
    organization: str
    project_id: str
    project: str


_PROJECTS: Final = tuple(
    SandboxProject(organization_id=o_id, organization=organization, project_id=p_id, project=project)
    for o_id, organization, p_id, project in (
        ("org-sandbox", "Personal", "proj_sandbox", "Default project"),
        ("org-engines", "Analytical Engines", "proj_engines", "Default project"),
        ("org-engines", "Analytical Engines", "proj_notes", "Notes on the engine"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxAccount:
    """The person whom the sandbox signs in, as an id_token describes people.

    Attributes:
        email, name: of the person.
        user_id: ``chatgpt_user_id``; it is the token's ``sub``, too.
        account_id: ``chatgpt_account_id``, the workspace.
        plan: ``chatgpt_plan_type``, such as ``plus``.
        organization_id: the Platform organisation that the simplified page takes; None makes the key
            exchange fail as OpenAI's does.
        project_id: the Platform project that it takes.
        projects: what the older page lets the person choose; none for an account without an organisation.
        onboarded: ``completed_platform_onboarding``.
        owner: ``is_org_owner``.
        subscribed_since: ``chatgpt_subscription_active_start``, ISO 8601, or None.
        groups: names.
    """

    email: str = "ada@example.com"
    name: str = "Ada Lovelace"
    user_id: str = "user-sandbox-ada"
    account_id: str = "5ad0b0c5-0000-4000-8000-0000000000ad"
    plan: str = "plus"
    organization_id: str | None = "org-sandbox"
    project_id: str | None = "proj_sandbox"
    projects: tuple[SandboxProject, ...] = _PROJECTS
    onboarded: bool = True
    owner: bool = True
    subscribed_since: str | None = "2026-01-01T00:00:00+00:00"
    groups: tuple[str, ...] = ()

    def in_project(self, project: SandboxProject) -> SandboxAccount:
        """Return the account with a project that the person chose."""
        return replace(self, organization_id=project.organization_id, project_id=project.project_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Everything about a sandbox that is decided before it starts.

    Attributes:
        host: the loopback address to bind; nothing else is accepted.
        port: 0 takes a free one.
        token_lifetime: seconds that id_tokens and access tokens live.
        refresh_lifetime: seconds that refresh tokens live; None means for ever.
        auto_approve: sign in without anybody's click, in the browser's and in the device flow.
        account: who is signed in.
        client_ids: the OAuth clients that are registered; the first one is the default.
        redirect_ports: the ports a redirect_uri on localhost or 127.0.0.1 may have.
        any_redirect_port: accept any port there (RFC 8252 section 7.3), not the registered ones only.
        device_interval: ``interval`` of the device code, sent as it is: OpenAI sends a string.
        api_keys: keys that the API accepts besides the ones it issues.
        control_token: what the control endpoint asks for; made at start where None.
        answer: what the models say; None makes them repeat the question.
        faults: to begin with.
        remembered_events: how many events are kept.
        stored_file_bytes: files larger than this are counted and their bytes thrown away.
    """

    host: str = "127.0.0.1"
    port: int = 0
    token_lifetime: float = 3600.0
    refresh_lifetime: float | None = None
    auto_approve: bool = False
    account: SandboxAccount = SandboxAccount()
    client_ids: tuple[str, ...] = (CLIENT_ID,)
    redirect_ports: tuple[int, ...] = CALLBACK_PORTS
    any_redirect_port: bool = False
    device_interval: str | float = "5"
    api_keys: tuple[Secret, ...] = ()
    control_token: Secret | None = None
    answer: str | None = None
    faults: tuple[Fault, ...] = ()
    remembered_events: int = 100_000
    stored_file_bytes: int = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if not is_loopback(self.host):
            raise ConfigurationError(
                f"the sandbox cannot listen on {self.host}: it gives keys to whoever asks",
                remedy="Use a loopback address such as 127.0.0.1.",
            )
        if not self.client_ids:
            raise ConfigurationError("the sandbox needs at least one client id")


def is_loopback(host: str) -> bool:
    """Return whether a host, as an address or the name localhost, is this machine's loopback.

    Args:
        host: an address without a port; IPv6 with or without brackets.
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"
