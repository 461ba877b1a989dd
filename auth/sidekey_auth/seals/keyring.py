"""The seal in the OS keyring (Secret Service, KWallet, macOS Keychain, Windows Credential Locker).

A keyring may wait for a person, or for a daemon that is not there, without end. So every call runs in a
daemon thread of its own, is waited for so long and no longer, and never delays the interpreter's exit.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from sidekey_auth.errors import KeyringLocked, KeyringTimedOut, KeyringUnavailable, SealError
from sidekey_auth.seal import Seal, parse_seal
from sidekey_auth.unchained import unchained

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

Answer = TypeVar("Answer")

SERVICE: Final = "sidekey"
PATIENCE: Final = 20.0
_RECOMMENDED: Final = 1
_LOCKED: Final = frozenset({"KeyringLocked", "LockedException", "PromptDismissedException"})


class KeyringSeal:
    """The seal in the keyring that the `keyring` library finds: service ``sidekey``, account the vault's id.

    Args:
        timeout: seconds that a call may take.
    """

    keeps: Final = True

    def __init__(self, *, timeout: float = PATIENCE) -> None:
        self._timeout = timeout
        # Taken in the daemon thread: the keyring is asked from several event loops, one after the other.
        self._turn = threading.Lock()
        self._given_up: set[threading.Thread] = set()

    @property
    def name(self) -> str:
        """What it is called, for people."""
        return "the OS keyring"

    @unchained
    async def read(self, vault: str) -> Seal | None:
        """Return the seal in the keyring, or None where it has no entry for this vault.

        Raises:
            KeyringUnavailable, KeyringLocked, KeyringTimedOut: it cannot be asked.
            SealError: the entry is not a seal.
        """
        text = await self._ask(lambda: chosen_keyring().get_password(SERVICE, vault), "read")
        return None if text is None else parse_seal(text, self.name)

    @unchained
    async def store(self, vault: str, seal: Seal) -> None:
        """Put the seal into the keyring, in the place of the one before.

        Raises:
            KeyringUnavailable, KeyringLocked, KeyringTimedOut: it was not kept.
        """
        text = seal.written().reveal()
        await self._ask(lambda: chosen_keyring().set_password(SERVICE, vault, text), "write")
        if await self.read(vault) != seal:
            raise KeyringUnavailable("the keyring did not keep what was stored in it")

    async def _ask(self, call: Callable[[], Answer], verb: str) -> Answer:
        self._given_up = {thread for thread in self._given_up if thread.is_alive()}
        if self._given_up:
            raise KeyringTimedOut("the keyring has not answered an earlier question yet")
        try:
            return await self._in_daemon_thread(call)
        except TimeoutError:
            raise KeyringTimedOut(f"the keyring did not answer within {self._timeout:g} s") from None
        except SealError:
            raise
        except Exception as error:  # noqa: BLE001 - backends raise whatever their system's libraries do
            raise _translated(error, verb) from None

    async def _in_daemon_thread(self, call: Callable[[], Answer]) -> Answer:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Answer] = loop.create_future()

        def settle(result: Answer | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]  # None is an answer, too

        def run() -> None:
            result, problem = None, None
            try:
                with self._turn:
                    result = call()
            except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
                problem = error
            with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(settle, result, problem)

        thread = threading.Thread(target=run, name="sidekey-keyring", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._timeout):
                return await answer
        finally:
            # Cancelled means given up, by the time-out or by whoever waited; then the keyring is still at it.
            if answer.cancelled():
                self._given_up.add(thread)


def chosen_keyring() -> KeyringBackend:
    """Return the keyring to use: the one that the `keyring` library chooses, unless it keeps no secrets.

    Raises:
        KeyringUnavailable: there is none, or only one that stores in plain text or nothing at all.
    """
    # Imported here, since looking for keyrings takes long and may itself wait for a daemon.
    import keyring  # noqa: PLC0415
    from keyring.backends import chainer, fail  # noqa: PLC0415

    chosen = keyring.get_keyring()
    candidates = list(chosen.backends) if isinstance(chosen, chainer.ChainerBackend) else [chosen]
    fit = [candidate for candidate in candidates if _keeps_secrets(candidate)]
    if fit:
        return fit[0]
    if all(isinstance(candidate, fail.Keyring) for candidate in candidates):
        raise KeyringUnavailable("there is no keyring on this machine")
    names = ", ".join(f"{type(candidate).__module__}.{type(candidate).__name__}" for candidate in candidates)
    raise KeyringUnavailable(f"the keyring {names} does not protect what is stored in it")


def _keeps_secrets(backend: KeyringBackend) -> bool:
    # keyrings.alt holds the backends that the keyring project does not recommend, plain text among them.
    unsafe = any(
        kind.__module__.startswith("keyrings.alt") or "plaintext" in kind.__name__.lower()
        for kind in type(backend).__mro__
    )
    return not unsafe and backend.priority >= _RECOMMENDED


def _translated(error: Exception, verb: str) -> KeyringUnavailable:
    causes = {type(cause).__name__ for cause in (error, error.__cause__) if cause is not None}
    if causes & _LOCKED:
        return KeyringLocked("the keyring is locked, and nobody unlocked it")
    # Only the kind is told: the text of a foreign error may hold what was being stored.
    return KeyringUnavailable(f"the keyring could not be asked ({verb}: {type(error).__name__})")
