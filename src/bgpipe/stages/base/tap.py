"""What hears of all that crosses the connection to a peer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ...pipeline.stage import Stage
from ...wire.item import Item


class Tap(Protocol):
    """Hears what crosses the connection to a peer."""

    def received(self, item: Item, /) -> None:
        """A message or block from the peer, before any other stage has it."""

    def sent(self, item: Item, octets: bytes, /) -> None:
        """The octets that are written for the peer, and the item that they were made of."""

    def end(self) -> None:
        """The connection has ended."""


class GuardedTap:
    """The tap of a stage. If the tap raises, that is an error of this stage, not of the peer: the session ends, and the
    tap hears nothing more."""

    def __init__(self, stage: Stage, tap: Tap) -> None:
        self._stage = stage
        self._tap = tap
        self._failed = False

    def received(self, item: Item, /) -> None:
        self._call(self._tap.received, item)

    def sent(self, item: Item, octets: bytes, /) -> None:
        self._call(self._tap.sent, item, octets)

    def end(self) -> None:
        self._call(self._tap.end)

    def _call(self, function: Callable[..., None], *words: object) -> None:
        if self._failed:
            return
        try:
            function(*words)
        except Exception as error:
            self._failed = True
            self._stage.on_failure(error)
