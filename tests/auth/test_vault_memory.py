"""The vault in memory."""

from __future__ import annotations

import pytest

from sidekey_auth.vaults.memory import MemoryVault
from vault_conformance import Opened, VaultConformance


class TestMemoryVault(VaultConformance):
    """It keeps every vault's promises."""

    @pytest.fixture
    def opened(self) -> Opened:
        vault = MemoryVault()
        return lambda: vault
