"""What a rotation of the seal has done, and what is left to do. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from sidekey_auth.seal import SealSource


@dataclass(frozen=True, slots=True)
class Rotation:
    """The result of sealing a vault anew.

    Attributes:
        documents: how many sealed documents there are, all under the new seal now.
        next_step: what the person has to do, or empty where nothing is left to do.
    """

    documents: int
    next_step: str


def rotated(documents: int, source: SealSource) -> Rotation:
    """Return the result for a source.

    Args:
        documents: how many were sealed anew.
        source: where the seal comes from.
    """
    if source.keeps:
        return Rotation(documents, "")
    return Rotation(
        documents,
        f"Everything is sealed with the first key in {source.name} now: remove the others from it, "
        "and restart what still runs with them.",
    )
