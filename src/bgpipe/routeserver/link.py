"""The stage that has the connection to a peer of a route server: one that has called, or that was called."""

from __future__ import annotations

from collections.abc import Callable

from ..net.acceptor import Arrival
from ..net.connection import Connection
from ..pipeline.errors import StageError
from ..stages.base.peer import PeerStage


class Link(PeerStage):
    """A connection that is there already. arrival: of a peer that has called; None for one that was called."""

    def __init__(self, connection: Connection, arrival: Arrival | None = None) -> None:
        super().__init__("peer")
        self.given = connection
        self.arrival = arrival
        self.server = arrival is not None
        self.on_peer_open: Callable[[], object] = lambda: None
        """called after the peer's OPEN has passed, where we have called"""
        if arrival is None:
            self.on_open = self._on_open

    def _on_open(self) -> None:
        self.call_soon(self.on_peer_open)

    async def open(self) -> Connection:
        """Raises StageError."""
        if not self.given.is_open:
            raise StageError(f"{self}: the connection was closed at once")
        if self.arrival is not None:
            self.early = self.arrival.octets
        return self.given
