"""All settings with their values, and who decided each, for ``sidekey config show``. Pure."""

from __future__ import annotations

import json

from sidekey_proxy.configuration.config import Configuration
from sidekey_proxy.configuration.settings import SETTINGS

from .output import Report, Table


def settings_report(configuration: Configuration) -> Report:
    """Return every setting, its value as the file would hold it, and where that came from."""
    plain = {
        name: setting.kind.plain(getattr(configuration.settings, name)) for name, setting in SETTINGS.items()
    }
    came_from = configuration.came_from
    file = configuration.file
    return Report(
        sentence=f"Settings, with {file}:" if file else "Settings, without a file:",
        table=Table(
            ("setting", "value", "from"),
            tuple((name, json.dumps(value), came_from[name]) for name, value in plain.items()),
        ),
        document={
            "file": file,
            "client_key_preset": configuration.client_key is not None,
            "settings": {
                name: {
                    "value": value,
                    "from": came_from[name],
                    "default": SETTINGS[name].kind.plain(SETTINGS[name].default),
                    "variable": SETTINGS[name].variable,
                    "allowed": SETTINGS[name].kind.allowed,
                    "says": SETTINGS[name].says,
                }
                for name, value in plain.items()
            },
        },
    )
