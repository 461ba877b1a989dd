"""What a target reports."""

from __future__ import annotations


class Fault(Exception):
    """The code that is fuzzed did what it must not do."""


def demand(truth: object, why: str) -> None:
    """Raise a Fault unless something is so.

    Args:
        truth: what must be true.
        why: what is wrong otherwise.
    """
    if not truth:
        raise Fault(why)
