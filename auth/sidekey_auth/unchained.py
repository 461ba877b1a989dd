"""Errors that leave a border alone, without what they were made from.

``raise … from None`` hides a foreign error from printed tracebacks only. It stays in the chain, with what it
quotes (a JSONDecodeError the whole document, a UnicodeDecodeError all bytes) and with the frames that it went
through, which hold plain tokens as local variables. An error collector that walks chains, or records local
variables, would send them away.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Any, ParamSpec, TypeVar, cast

from .errors import SidekeyError

Given = ParamSpec("Given")
Result = TypeVar("Result")


def unchained(border: Callable[Given, Result]) -> Callable[Given, Result]:
    """Decorate a function at a border: an error of ours leaves it without its chain and its inner frames.

    Args:
        border: where foreign errors, or plain secrets, are at home; a coroutine function, or a plain one.
    """
    if inspect.iscoroutinefunction(border):
        return cast("Callable[Given, Result]", _unchained_coroutine(border))

    @functools.wraps(border)
    def called(*args: Given.args, **kwargs: Given.kwargs) -> Result:
        try:
            return border(*args, **kwargs)
        except SidekeyError as error:
            problem = error
        del args, kwargs  # else they would stand in this very frame
        try:
            raise _alone(problem)
        finally:
            del problem  # it refers to this frame

    return called


def _unchained_coroutine(border: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(border)
    async def called(*args: Any, **kwargs: Any) -> Any:
        try:
            return await border(*args, **kwargs)
        except SidekeyError as error:
            problem = error
        del args, kwargs
        try:
            raise _alone(problem)
        finally:
            del problem

    return called


def _alone(error: SidekeyError) -> SidekeyError:
    error.__cause__ = error.__context__ = None
    return error.with_traceback(None)
