"""What the messages of a session tell about it, as events: both sides alive, the session established, End-of-RIB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ..wire.block import Block
from ..wire.errors import WireError
from ..wire.family import Family
from ..wire.message import KEEPALIVE, OPEN, UPDATE, Message
from . import events

_END_OF_RIB: Final = 11
"""Octets of body that an End-of-RIB marker has at most (RFC 4724 section 2)."""


class _Side:
    """What one line has carried. open, alive, update: when last, in seconds since 1970, 0 for never."""

    def __init__(self) -> None:
        self.open = 0
        self.alive = 0
        self.update = 0
        self.open_message: Message | None = None
        self.ended: set[Family] = set()
        self.all_ended = False


class Tracker:
    """Emits OPEN, ALIVE, UPDATE, ESTABLISHED, EOR_AF and EOR; OPEN, ALIVE and UPDATE at most once a second and line."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._sides = {"L": _Side(), "R": _Side()}
        self.established = False
        self.since = 0
        """when it was established, in microseconds since 1970"""

    @property
    def hold_time(self) -> int:
        """Seconds without a message after which the session is lost (RFC 4271 section 4.2); 0 for none or unknown."""
        opens = [side.open_message for side in self._sides.values() if side.open_message is not None]
        return min((int.from_bytes(message.body[3:5], "big") for message in opens), default=0)

    def see(self, message: Message) -> None:
        """Looks at a message that leaves a line."""
        side = self._sides[message.direction]
        second = message.time // 1_000_000
        if message.type_code == UPDATE:
            if second > side.update:
                side.update = second
                self._tell(events.UPDATE, message, second)
            if len(message.body) <= _END_OF_RIB:
                self._see_end(side, message)
        elif message.type_code == KEEPALIVE:
            if second > side.alive:
                side.alive = second
                self._tell(events.ALIVE, message, second)
            self._see_established(message)
        elif message.type_code == OPEN and second > side.open:
            side.open, side.open_message = second, message
            self._tell(events.OPEN, message, second)

    def see_block(self, block: Block, direction: str) -> None:
        """Looks at a block of a live session, in which there is nothing but UPDATEs that are no End-of-RIB."""
        side = self._sides[direction]
        second = block.time // 1_000_000
        if second > side.update:
            side.update = second
            self._tell(events.UPDATE, block.message(0), second)

    def _see_established(self, message: Message) -> None:
        sides = self._sides.values()
        if not self.established and all(side.open and side.alive for side in sides):
            self.established = True
            self.since = message.time
            self._tell(events.ESTABLISHED, message, max(side.alive for side in sides))

    def _see_end(self, side: _Side, message: Message) -> None:
        try:
            family = message.update.end_of_rib
        except WireError:
            return
        if family is None or family in side.ended:
            return
        side.ended.add(family)
        self._tell(events.EOR_AF, message, family.afi, family.safi)
        if not side.all_ended and len(side.ended) >= max(1, len(self._families())):
            side.all_ended = True
            self._tell(events.EOR, message)

    def _families(self) -> set[Family]:
        """The families that both sides have announced."""
        both: list[set[Family]] = []
        for side in self._sides.values():
            if side.open_message is None:
                return set()
            try:
                both.append(set(side.open_message.open.families))
            except WireError:
                return set()
        return both[0] & both[1]

    def _tell(self, name: str, message: Message, *values: Any) -> None:
        self._emit(name, message=message, direction=message.direction, values=values)
