"""How many connections and requests there may be at once, all listeners together. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sidekey_proxy.message import failures
from sidekey_proxy.message.failures import Failure


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceilings:
    """The most there may be at once; 0 is no limit.

    Attributes:
        connections: of clients.
        connections_per_client: of one client's address.
        requests: being served.
    """

    connections: int = 0
    connections_per_client: int = 0
    requests: int = 0


class Admission:
    """Counts connections and requests.

    Args:
        ceilings: the most there may be; it may be replaced at any time, for who comes from then on.
    """

    def __init__(self, ceilings: Ceilings | None = None) -> None:
        self.ceilings = ceilings or Ceilings()
        self._connections: Counter[str] = Counter()
        self._all_connections = 0
        self._requests = 0

    @property
    def connections(self) -> int:
        """How many connections there are."""
        return self._all_connections

    @property
    def requests(self) -> int:
        """How many requests are being served."""
        return self._requests

    def connect(self, client: str) -> Failure | None:
        """Count a connection, and return why it is one too many, if it is.

        Args:
            client: its address.
        """
        self._connections[client] += 1
        self._all_connections += 1
        most = self.ceilings
        if most.connections and self._all_connections > most.connections:
            return failures.too_busy("connections")
        if most.connections_per_client and self._connections[client] > most.connections_per_client:
            return failures.too_many_connections()
        return None

    def disconnect(self, client: str) -> None:
        """Count a connection no more."""
        self._all_connections -= 1
        self._connections[client] -= 1
        if not self._connections[client]:
            del self._connections[client]

    def begin(self) -> Failure | None:
        """Count a request, or return why it is one too many and not counted."""
        if self.ceilings.requests and self._requests >= self.ceilings.requests:
            return failures.too_busy("requests")
        self._requests += 1
        return None

    def end(self) -> None:
        """Count a request no more."""
        self._requests -= 1
