"""Where a command works: settings, vault and issuer, either the real ones or the sandbox's."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sidekey_auth.broker import Broker
from sidekey_auth.clock import SystemClock
from sidekey_auth.credential import Bearer, Mode
from sidekey_auth.errors import ConfigurationError
from sidekey_auth.issuer_settings import IssuerSettings
from sidekey_auth.seal import SealSource
from sidekey_auth.seals import seal_source
from sidekey_auth.seals.file import FileSeal
from sidekey_auth.secret import Secret
from sidekey_auth.source import Source
from sidekey_auth.sources.chatgpt import ChatGptSource
from sidekey_auth.sources.static import StaticSource
from sidekey_auth.timing import Timing
from sidekey_auth.upstream import may_carry, parse_base
from sidekey_auth.vault import VaultDescription
from sidekey_auth.vaults.file import FileVault
from sidekey_auth.vaults.home import state_home

from .configuration.config import Configuration, load
from .configuration.folders import home
from .configuration.settings import Settings, allowed_origins
from .status import StatusReport, report

if TYPE_CHECKING:
    from sidekey_auth.issuer import Issuer, Issuers

    from .sandbox.ready import Whereabouts

READY_FILE: Final = "running-sandbox.json"
_CLIENT_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Place:
    """One vault and all that is needed to work with it.

    Attributes:
        configuration: the settings.
        folder: where sidekey keeps its files.
        vault: the credentials.
        seal: what seals them.
        sandbox: nothing here is real.
    """

    configuration: Configuration
    folder: Path
    vault: FileVault
    seal: SealSource
    sandbox: bool

    @property
    def settings(self) -> Settings:
        """The settings."""
        return self.configuration.settings

    @property
    def profile(self) -> str:
        """Whose credential."""
        return self.settings.profile

    def without_admin_listener(self) -> Place:
        """Return the same place for a server that nobody probes."""
        settings = replace(self.settings, admin_listen=())
        return replace(self, configuration=replace(self.configuration, settings=settings))

    async def client_key(self) -> Secret:
        """Return the key that clients show: the preset one, else the stored one, made on first use.

        Raises:
            VaultError, SealError: the vault cannot be used.
        """
        if self.configuration.client_key is not None:
            return self.configuration.client_key
        stored = await self.vault.load_client_key()
        return stored or await self.vault.save_client_key(new_client_key())

    def issuer_settings(self) -> IssuerSettings:
        """Return how the issuer is spoken to."""
        chosen = self.settings
        return IssuerSettings(
            issuer=chosen.issuer,
            client_id=chosen.client_id,
            scope=chosen.scope,
            originator=chosen.originator,
            allowed_workspace_id=chosen.allowed_workspace_id,
            allowed_issuers=chosen.allowed_issuers,
            redirect_host=chosen.callback_host,
            ports=chosen.callback_ports,
            callback_timeout=chosen.callback_timeout,
            connect_timeout=chosen.connect_timeout,
            ca_bundle=chosen.ca_bundle,
            key_name=chosen.key_name,
        )

    def issuer(self) -> Issuer:
        """Return a client of the issuer; it is to be closed."""
        from sidekey_auth.issuer import Issuer  # noqa: PLC0415 - see issuers

        return Issuer(self.issuer_settings())

    def issuers(self) -> Issuers:
        """Return clients of all issuers that credentials come from; they are to be closed."""
        # aiohttp takes longer to import than all the rest, and half of the commands talk to nobody.
        from sidekey_auth.issuer import Issuers  # noqa: PLC0415

        return Issuers(self.issuer_settings())

    def broker(self, issuers: Issuers | None = None) -> Broker:
        """Return a broker for the profile; it is to be started and stopped.

        Args:
            issuers: whom its renewals ask; without them it only reads.
        """
        clock = SystemClock()
        timing = Timing(clock, self.settings.refresh_margin)
        sources: dict[Mode, Source] = {"api_key": StaticSource()}
        if issuers is not None:
            sources["chatgpt"] = ChatGptSource(
                issuers, self.settings.client_id, self.settings.exchange, timing, clock
            )
        return Broker(
            self.vault,
            sources,
            profile=self.profile,
            timing=timing,
            clock=clock,
            carries=self.carrier(),
        )

    def carrier(self) -> Callable[[Bearer], bool]:
        """Return what tells whether a bearer may go to the configured upstream."""
        origin = parse_base(self.settings.upstream).origin
        allowed = allowed_origins(self.settings)
        return lambda bearer: may_carry(origin, bearer.origin, allowed)

    async def status(self, broker: Broker) -> StatusReport:
        """Return how the profile stands, as a broker that has read the vault sees it."""
        return self.report(broker, await self.vault.describe())

    def report(self, broker: Broker, description: VaultDescription) -> StatusReport:
        """Return how the profile stands.

        Args:
            broker: it has read the vault.
            description: of the vault.
        """
        standing = broker.standing()
        now = SystemClock().wall()
        return report(
            broker.credential,
            standing,
            description,
            now=now,
            sandbox=self.sandbox,
            clear_text=tuple(str(address) for address in self.settings.listen if address.is_clear_text),
        )


def find_place(
    environ: Mapping[str, str] | None = None,
    *,
    config: Path | None = None,
    sandbox: bool = False,
    running: Whereabouts | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Place:
    """Return the place that the environment, the settings' file and the command line name.

    Args:
        environ: the environment; the process's own where it is left out.
        config: what ``--config`` said.
        sandbox: what ``--sandbox`` said.
        running: the sandbox, where this process has started it; else the running one is looked for.
        flags: what the command line said, by setting; None means that it said nothing.

    Raises:
        ConfigurationError: a setting cannot be used, or no sandbox is running.
    """
    surroundings = os.environ if environ is None else environ
    folder = home(surroundings, sandbox=sandbox)
    wanted = {name: value for name, value in (flags or {}).items() if value is not None}
    if sandbox:
        wanted |= _sandbox_flags(running or _running(folder))
    seal = FileSeal(folder / "seal", create=True) if sandbox else seal_source(surroundings)
    configuration = load(surroundings, config_file=config, flags=wanted)
    aside = (folder / "state" if sandbox else state_home(surroundings)) / "unsaved"
    return Place(configuration, folder, FileVault(folder, seal, aside=aside), seal, sandbox)


def new_client_key() -> Secret:
    """Return a fresh client key: ``sk-side-…``."""
    return Secret("sk-side-" + secrets.token_urlsafe(_CLIENT_KEY_BYTES))


def _running(folder: Path) -> Whereabouts:
    from .sandbox.ready import read_ready_file  # noqa: PLC0415 - aiohttp again

    try:
        return read_ready_file(folder / READY_FILE)
    except ConfigurationError:
        raise ConfigurationError(
            "no sandbox is running", remedy="Start one with `sidekey serve --sandbox`."
        ) from None


def _sandbox_flags(running: Whereabouts) -> dict[str, Any]:
    return {
        "issuer": running.base_url,
        "upstream": f"{running.base_url}/v1",
        "allow_upstream": [running.base_url],
        "allowed_issuers": [],
    }
