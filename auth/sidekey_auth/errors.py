"""Every error of sidekey, one tree: each class is a situation that a person can be in.

``str(error)`` says what is wrong, ``error.remedy`` says what to do about it. Neither ever holds a secret.
Foreign exceptions (aiohttp's, keyring's, the operating system's) are translated to these at the border, once.
"""

from __future__ import annotations


class SidekeyError(Exception):
    """What went wrong, in one sentence, and its remedy.

    Args:
        message: what is wrong, for people.
        remedy: what to do next, for people; the class's own where it is left out.
    """

    code = "error"
    remedy = ""

    def __init__(self, message: str, *, remedy: str | None = None) -> None:
        super().__init__(message)
        if remedy is not None:
            self.remedy = remedy


class Cancelled(SidekeyError):
    """The person said no; nothing was changed."""

    code = "cancelled"


class ConfigurationError(SidekeyError):
    """A setting, a flag or an environment variable cannot be used."""

    code = "configuration"


# --- signing in -----------------------------------------------------------------------------------------


class SignInError(SidekeyError):
    """The sign-in did not come to an end; nothing was stored."""

    code = "sign_in_failed"
    remedy = "Run `sidekey login` again."


class StateMismatch(SignInError):
    """The callback's state is not the one this sign-in sent (RFC 6749 section 10.12)."""

    code = "state_mismatch"

    def __init__(self) -> None:
        super().__init__("Invalid OAuth state - possible CSRF attack")


class SignInRefused(SignInError):
    """The issuer, or the person there, said no (RFC 6749 section 4.1.2.1).

    Args:
        error_code: the issuer's own code, such as ``access_denied``.
        text: what it says, fit to be shown.
    """

    code = "sign_in_refused"

    def __init__(self, error_code: str, text: str) -> None:
        super().__init__(f"OAuth error: {text}")
        self.error_code = error_code


class NoAuthorizationCode(SignInError):
    """The callback has the right state, and no code."""

    code = "no_authorization_code"

    def __init__(self) -> None:
        super().__init__("No authorization code received")


class SignInTimedOut(SignInError):
    """Nobody came back from the browser in time."""

    code = "sign_in_timed_out"


class PortsBusy(SignInError):
    """None of the registered callback ports could be bound."""

    code = "ports_busy"


class DeviceCodeUnavailable(SignInError):
    """The issuer does not offer the device code to this account.

    Attributes:
        setting: where it is turned on, as ChatGPT calls it (read in November 2026).
    """

    code = "device_code_unavailable"
    setting = (
        'ChatGPT, Settings, Security: "Enable device code authorization for Codex" '
        "(in a workspace its admin may have to allow it)"
    )
    remedy = f"Turn it on in {setting}, or run `sidekey login --no-browser` or `sidekey login --paste`."


class ImportRefused(SidekeyError):
    """An auth.json that cannot be imported; the message names the field."""

    code = "import_refused"


# --- talking to the issuer ------------------------------------------------------------------------------


class IssuerError(SidekeyError):
    """The issuer did not give what was asked for.

    Args:
        message: what is wrong, for people.
        error_code: the issuer's own code, lower case, where it sent one.
        status: the HTTP status, where there was an answer.
        remedy: what to do next.
    """

    code = "issuer"

    def __init__(
        self,
        message: str,
        *,
        error_code: str | None = None,
        status: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy)
        self.error_code = error_code
        self.status = status


class IssuerRefused(IssuerError):
    """The issuer answered no, and will again: permanent."""

    code = "issuer_refused"
    remedy = "Run `sidekey login`."


class IssuerUnavailable(IssuerError):
    """The issuer gave no usable answer this time: transient.

    ``sent`` tells whether the request can have reached the issuer: where it cannot, even a request that
    carries a single-use token may be repeated freely. ``retry_after`` (seconds) is the issuer's own wish.
    """

    code = "issuer_unavailable"
    remedy = "Try again in a moment."

    def __init__(
        self,
        message: str,
        *,
        sent: bool = True,
        answered: bool = False,
        retry_after: float | None = None,
        error_code: str | None = None,
        status: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, status=status, remedy=remedy)
        self.sent = sent
        self.answered = answered
        self.retry_after = retry_after


class KeyRefused(IssuerRefused):
    """Signed in, but the issuer gives this account no API key, for a reason that is known.

    Args:
        message: what is wrong, for people; with the issuer's words.
        reason: which, for programs: a code of the table in ``key_refusals``.
        error_code: the issuer's own code, lower case, where it sent one.
        status: the HTTP status.
        remedy: what to do next.
    """

    code = "exchange_refused"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        error_code: str | None = None,
        status: int | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, error_code=error_code, status=status, remedy=remedy)
        self.code = reason


class NoPlatformKey(KeyRefused):
    """Signed in, but the account has no Platform organisation, so there is no API key to be had."""

    code = "no_platform_key"


class KeyNameRefused(IssuerRefused):
    """The issuer makes no API key under the name that was asked for; it may make one without."""

    code = "key_name_refused"


class IdTokenInvalid(SidekeyError):
    """An id_token that is not what it should be: its signature, issuer, audience, expiry or form."""

    code = "id_token_invalid"
    remedy = "Run `sidekey login`."


class NoRefreshToken(SidekeyError):
    """A refresh was asked for, and there is nothing to refresh with."""

    code = "no_refresh_token"
    remedy = "Run `sidekey login`."

    def __init__(self) -> None:
        super().__init__("No refresh token available: run `sidekey login`")


# --- keeping it -----------------------------------------------------------------------------------------


class NotAnApiKey(SidekeyError):
    """What was to be stored as an API key cannot be one."""

    code = "not_an_api_key"
    remedy = "Copy it whole from https://platform.openai.com/api-keys."

    def __init__(self) -> None:
        super().__init__("this is not an API key")


class VaultError(SidekeyError):
    """The vault cannot be used as it is; nothing in it was changed."""

    code = "vault"


class VaultUnreadable(VaultError):
    """What is in the vault cannot be read: damaged, or not what it says it is."""

    code = "vault_unreadable"
    remedy = "Restore it from a backup, or run `sidekey vault reset` to move it aside and start anew."


class WrongSeal(VaultUnreadable):
    """The vault was sealed with another seal."""

    code = "wrong_seal"
    remedy = (
        "Give the seal that it was made with (SIDEKEY_SEAL_KEY, SIDEKEY_SEAL_KEY_FILE or the keyring), "
        "or run `sidekey vault reset` to move it aside and start anew."
    )


class VaultAway(VaultUnreadable):
    """The vault that this process has read is not there now: missing, emptied, or replaced by another."""

    code = "vault_away"
    remedy = (
        "Bring the folder back (is its disk mounted?). "
        "If another vault is to be used from now on, restart sidekey."
    )


class NoVault(VaultUnreadable):
    """There is no vault yet."""

    code = "no_vault"
    remedy = "Run `sidekey login`, or store an API key with `sidekey key set`."


class VaultExposed(VaultError):
    """Others can get at the vault: its files' owner, their mode, or a link in their place."""

    code = "vault_exposed"


class VaultUnwritable(VaultError):
    """The vault cannot be written: permission, a full disk, a read-only or bind-mounted file."""

    code = "vault_unwritable"


class VaultBusy(VaultError):
    """Another process holds the vault's lock for longer than one should."""

    code = "vault_busy"
    remedy = "Another sidekey process is at work on this profile: wait for it, or end it, and try again."


class CredentialUnsaved(SidekeyError):
    """Tokens or a key came, and the vault could not be written.

    Args:
        message: what could not be saved and why, for people.
        aside: the file where it is kept sealed until it can be, or None where it is lost with this process.
    """

    code = "credential_unsaved"

    def __init__(self, message: str, *, aside: str | None, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.aside = aside


class SealError(SidekeyError):
    """There is no seal to be had; never a reason to store anything unsealed."""

    code = "seal"
    remedy = (
        "Set SIDEKEY_SEAL_KEY or SIDEKEY_SEAL_KEY_FILE (make a key with `sidekey seal new`) "
        "where there is no keyring."
    )


class KeyringUnavailable(SealError):
    """There is no usable keyring on this machine."""

    code = "keyring_unavailable"


class KeyringLocked(KeyringUnavailable):
    """The keyring is locked, and nobody unlocked it."""

    code = "keyring_locked"
    remedy = "Unlock the keyring (log in to the desktop), or set SIDEKEY_SEAL_KEY_FILE."


class KeyringTimedOut(KeyringUnavailable):
    """The keyring did not answer in time."""

    code = "keyring_timed_out"
    remedy = "A dialogue may be waiting on the desktop; else set SIDEKEY_SEAL_KEY_FILE."


class BearerNotAllowed(SidekeyError):
    """The bearer may not go to this address.

    Args:
        url: the address, without its query.
    """

    code = "bearer_not_allowed"
    remedy = "If you trust it, name its origin in SIDEKEY_ALLOW_UPSTREAM (a static key: in SIDEKEY_UPSTREAM)."

    def __init__(self, url: str) -> None:
        super().__init__(f"the bearer may not go to {url}")
        self.url = url


class NoBearer(SidekeyError):
    """There is no bearer to serve.

    Args:
        message: the state's sentence.
        state_code: the state's code (``signed_out``, ``reauth_required``, …).
        transient: a bearer may come by itself: asking again later makes sense.
    """

    code = "no_bearer"

    def __init__(self, message: str, *, state_code: str, transient: bool = False, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.state_code = state_code
        self.transient = transient
