"""sidekey_auth: obtain an OpenAI API bearer, keep it sealed, refresh it without anybody noticing.

Names are loaded when they are first used (PEP 562): importing the package costs next to nothing. All errors
stand in ``sidekey_auth.errors``; the ones here are those that programs tell apart.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .credential import Bearer
    from .errors import (
        BearerNotAllowed,
        ConfigurationError,
        IssuerError,
        IssuerRefused,
        IssuerUnavailable,
        NoBearer,
        SealError,
        SidekeyError,
        VaultError,
    )
    from .opened import OpenCredential, bearer, open_credential
    from .secret import Secret
    from .states import Standing

__all__ = [
    "Bearer",
    "BearerNotAllowed",
    "ConfigurationError",
    "IssuerError",
    "IssuerRefused",
    "IssuerUnavailable",
    "NoBearer",
    "OpenCredential",
    "SealError",
    "Secret",
    "SidekeyError",
    "Standing",
    "VaultError",
    "bearer",
    "open_credential",
]

_ELSEWHERE = {
    "Bearer": "credential",
    "OpenCredential": "opened",
    "Secret": "secret",
    "Standing": "states",
    "bearer": "opened",
    "open_credential": "opened",
}
"""Which module a name is in; the others are in ``errors``."""

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        value = getattr(import_module(f".{_ELSEWHERE.get(name, 'errors')}", __name__), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
