"""Encodes messages for a partner and writes them to it. What waits is bounded in octets."""

from __future__ import annotations

import asyncio
from typing import Final

from ...filters import Filter
from ...formats.base import Encoder, Format
from ...net.pipes import Link
from ...net.send_queue import SendQueue, rest
from ...pipeline import events
from ...wire.block import Block
from ...wire.context import WireContext
from ...wire.item import Item
from ...wire.message import KEEPALIVE, OPEN, Message
from .coding import Writing
from .external_options import ExternalOptions
from .watchdog import StallWatchdog

HIGH_WATER: Final = 4 << 20
"""If the messages that wait for the partner take more octets of memory, the senders have to wait."""
LOW_WATER: Final = HIGH_WATER // 2


class PartnerOutput(ExternalOptions, Writing):
    """Takes messages from the lines for a partner."""

    begun: bool
    encoder: Encoder
    filters: list[Filter]
    format_: Format
    passive: bool
    together: int | None
    watchdog: StallWatchdog | None
    watched: str
    _contexts: dict[str, WireContext]
    _draining: bool
    _holding: bool
    _opens: dict[str, Message]
    _queue: SendQueue
    _taking: bool
    _wake: asyncio.Event

    def _go_without(self, item: Item) -> bool:
        """Whether a message for the partner goes on at once."""
        raise NotImplementedError

    def on_message(self, message: Message) -> bool:
        if not self._taking or self._draining:
            return self._go_without(message)
        refused = self.refused
        octets = self.encoder.encode_message(message)
        if not octets:
            return self._pass_unwritten(message, known=self.refused > refused)
        if not self.passive and message.type_code == OPEN:
            self._opens[message.direction] = message
        if self.watchdog is not None and not self.passive and message.type_code in (OPEN, KEEPALIVE):
            place = self._queue.taken + self._queue.size + len(octets)
            self.watchdog.on_given(message.direction, place, keepalive=message.type_code == KEEPALIVE)
        self._contexts[message.direction] = message.context
        self.begun = True
        self._put(octets, message)
        return self.passive

    def _pass_unwritten(self, message: Message, *, known: bool) -> bool:
        """Whether a message that the partner can't get goes on. known: it can't be encoded, and that was reported
        before."""
        if self.passive and not known:
            self.on_formless(message, self.format_)
        return self.passive or not known  # the partner can't decide about a message that its format can't express

    def on_block(self, block: Block) -> Block | None:
        chosen = block
        for each in self.filters:
            chosen = each.select(chosen, True)
        if not len(chosen) or self._take_block(chosen) is not None:
            return block
        return rest(block, chosen)

    def _take_block(self, block: Block) -> Block | None:
        """Takes a block; returns the part that goes on."""
        if not self._taking or self._draining:
            return block if self._go_without(block) else None
        if not self.format_.says_context:
            first = block.message(0)
            self._contexts[first.direction] = first.context
        self._put(self.encoder.encode(block), block)
        return block if self.passive else None

    def _put(self, octets: bytes, item: Item) -> None:
        self._queue.put(octets, item, keep=not self.passive)
        self._wake.set()
        if self._queue.weight >= HIGH_WATER and not self._holding:
            self._holding = True
            self.pipeline.hold(self.watched, self)
            self.pipeline.emit(events.SLOW, stage=str(self))
        if self.watchdog is not None:
            self.watchdog.begin()

    def _release(self) -> None:
        if self._holding:
            self._holding = False
            self.pipeline.release(self.watched, self)

    async def _write(self, link: Link) -> None:
        """Writes the waiting messages to the partner. Raises OSError."""
        while True:
            while not self._queue:
                if self._draining:
                    link.end()
                    return
                self._wake.clear()
                await self._wake.wait()
            await link.write(self._queue.give(self.together))
            self._queue.confirm(link.taken)
            if self._queue.weight <= LOW_WATER or not self._queue:
                self._release()
                self._taking = True
