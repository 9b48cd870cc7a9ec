"""Reads octets from a partner, decodes them, and puts the messages into the lines after the stage."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from ...formats.base import Decoder, Format
from ...net.pipes import Link
from ...net.send_queue import single_out
from ...pipeline.input import Input
from ...wire.context import AS4, WireContext
from ...wire.item import Item
from ...wire.message import KEEPALIVE, OPEN, Message
from .coding import Reading
from .external_options import ExternalOptions
from .pace import Pace
from .watchdog import StallWatchdog


class PartnerInput(ExternalOptions, Reading):
    """Reads from the link to a partner."""

    inlet: Input
    format_: Format
    pace: Pace
    passive: bool
    watchdog: StallWatchdog | None
    begun = False
    """whether a message of the session has passed here"""
    _contexts: dict[str, WireContext]
    _opens: dict[str, Message]
    _gave_up: bool

    async def _read(self, link: Link) -> None:
        """Reads from the partner until its end. Raises OSError, StageError."""
        decoder = None if self.only_write else self.new_decoder()
        while octets := await link.read():
            if decoder is not None:
                self._attune(decoder)
                for piece in self.pace.pieces(octets):
                    await self.receive(decoder.feed(piece))
        if decoder is not None:
            await self.receive(decoder.end())

    def new_decoder(self) -> Decoder:
        """Raises StageError."""
        # a format that can name the context means AS numbers of 4 octets if it names none
        context = AS4 if self.format_.says_context else None
        decoder = self.make_decoder(self.format_, context, states=not self.only_read)  # those that it was given
        self._attune(decoder)
        return decoder

    def _attune(self, decoder: Decoder) -> None:
        """Sets the context for messages that name none: that of the last message sent in the same direction."""
        if not self.format_.says_context:
            decoder.context = self._contexts.get(self.inlet.default, decoder.context)

    async def receive(self, items: Iterable[Item]) -> None:
        """Decodes octets from the partner, and feeds the messages."""
        await self.feed_items(self.inlet, self._received(items))
        self.pipeline.flush()
        await asyncio.sleep(0)  # signals and other stages have their turn, however much comes

    def _received(self, items: Iterable[Item]) -> Iterator[Item]:
        watchdog = self.watchdog if not self.passive else None
        for item in items:
            if not self.begun:
                self.begun = True
                if "OPEN" in self.own_events:
                    self.event("OPEN", item if isinstance(item, Message) else None)
            if watchdog is None:
                yield item
                continue
            self._gave_up = False
            for each in single_out(item):
                type_code = each.type_code if isinstance(each, Message) else 0
                if type_code == OPEN and isinstance(each, Message):
                    self._opens.pop(each.direction if len(self.directions) > 1 else self.inlet.default, None)
                watchdog.on_answer(session=type_code in (OPEN, KEEPALIVE))
                yield each
