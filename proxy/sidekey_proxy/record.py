"""What is known of a request once it is over: the access log's line, and what is counted. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

Ending = Literal["whole", "cut", "gone"]
Replay = Literal["done", "not-possible"]


class RequestRecord(NamedTuple):
    """One request that is over.

    Attributes:
        method: such as ``POST``.
        path: without the query, which may hold what no log should.
        status: of the answer; None where the client was gone before there was one.
        code: sidekey's own error code, where sidekey itself answered or had to break off.
        ending: ``whole``, ``cut`` (upstream broke off, and so did the answer), or ``gone`` (the client left).
        first_byte: seconds until the answer's head was sent.
        total: seconds until all was over.
        bytes_up: of the request's body, or through a tunnel.
        bytes_down: of the answer's body, or through a tunnel.
        client: the peer's address.
        generation: of the bearer that was used last.
        replayed: whether the request was sent again after a 401, or could not be.
    """

    method: str
    path: str
    status: int | None
    code: str | None
    ending: Ending
    first_byte: float | None
    total: float
    bytes_up: int
    bytes_down: int
    client: str
    generation: int | None
    replayed: Replay | None


Recorder = Callable[[RequestRecord], None]
