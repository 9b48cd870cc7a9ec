"""What hears of all that crosses the connection to a peer."""

from __future__ import annotations

from typing import Protocol

from ...wire.item import Item


class Tap(Protocol):
    """Hears what crosses the connection to a peer."""

    def received(self, item: Item, /) -> None:
        """A message or block from the peer, before any other stage has it."""

    def sent(self, item: Item, octets: bytes, /) -> None:
        """The octets that are written for the peer, and the item that they were made of."""

    def end(self) -> None:
        """The connection has ended."""
