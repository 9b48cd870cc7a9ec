"""Emits events of a session from its messages: both sides alive, session established, End-of-RIB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..session.facts import Facts
from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.family import Family
from ..wire.message import KEEPALIVE, OPEN, UPDATE, Message
from . import events

_END_OF_RIB: Final = 11
"""Octets of body that an End-of-RIB marker has at most (RFC 4724 section 2)."""


class _LineEvents:
    """Events of one line. open, alive, update: the time of the last one, in seconds since 1970; 0 for never."""

    def __init__(self) -> None:
        self.open = 0
        self.alive = 0
        self.update = 0
        self.ended: set[Family] = set()
        self.all_ended = False


class Tracker:
    """Emits OPEN, ALIVE, UPDATE, ESTABLISHED, EOR_AF and EOR; OPEN, ALIVE and UPDATE at most once a second and line.

    If an End-of-RIB marker leaves a line before ESTABLISHED was emitted, its event waits, so that the order of events
    is always OPEN, ESTABLISHED, EOR.
    """

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._sides = {"L": _LineEvents(), "R": _LineEvents()}
        self._peers: list[Facts] = []
        self._own = Facts()
        """facts from the messages of the lines, used if no stage has a connection to a peer"""
        self._waiting: list[Message] = []
        """End-of-RIB markers that came before ESTABLISHED"""
        self.established = False
        """whether ESTABLISHED was emitted"""
        self.since = 0
        """when it was, in microseconds since 1970"""

    def follow(self, facts: Facts) -> None:
        """Uses the facts of this connection too, besides those given before."""
        self._peers.append(facts)

    @property
    def facts(self) -> list[Facts]:
        """The facts that decide about events: those of each connection to a peer, or else those of the lines."""
        return self._peers or [self._own]

    @property
    def hold_time(self) -> int:
        """Seconds without a message after which a session is lost (RFC 4271 section 4.2); 0 for none or unknown."""
        return min(facts.hold_time for facts in self.facts)

    def see(self, message: Message) -> None:
        """Handles a message that leaves a line."""
        side = self._sides[message.direction]
        second = message.time // 1_000_000
        if message.type_code == UPDATE:
            if second > side.update:
                side.update = second
                self._tell(events.UPDATE, message, second)
            if len(message.body) <= _END_OF_RIB:
                self._see_end(side, message)
            return
        if not self._peers:
            (self._own.on_sent if message.direction == "R" else self._own.on_received)(message)
        if message.type_code == KEEPALIVE:
            if second > side.alive:
                side.alive = second
                self._tell(events.ALIVE, message, second)
            self._see_established(message)
        elif message.type_code == OPEN and second > side.open:
            side.open = second
            self._tell(events.OPEN, message, second)

    def see_block(self, block: Block, direction: str) -> None:
        """Handles a block of a live session; it has only UPDATEs that are not End-of-RIB."""
        side = self._sides[direction]
        second = block.time // 1_000_000
        if second > side.update:
            side.update = second
            self._tell(events.UPDATE, block.message(0), second)

    def _see_established(self, message: Message) -> None:
        if self.established or not all(facts.established for facts in self.facts):
            return
        self.established = True
        self.since = message.time
        self._tell(events.ESTABLISHED, message, max(side.alive for side in self._sides.values()))
        waiting, self._waiting = self._waiting, []
        for end in waiting:
            self._see_end(self._sides[end.direction], end)

    def _see_end(self, side: _LineEvents, message: Message) -> None:
        try:
            family = message.update.end_of_rib
        except WireError:
            return
        if family is None or family in side.ended:
            return
        if self._peers and not self.established:
            self._waiting.append(message)
            return
        side.ended.add(family)
        self._tell(events.EOR_AF, message, family.afi, family.safi)
        if not side.all_ended and len(side.ended) >= max(1, len(self._families())):
            side.all_ended = True
            self._tell(events.EOR, message)

    def _families(self) -> set[Family]:
        """The families that were agreed on all connections."""
        return set.intersection(*(set(facts.families) for facts in self.facts))

    def _tell(self, name: str, message: Message, *values: Any) -> None:
        self._emit(name, message=message, direction=message.direction, values=values)
