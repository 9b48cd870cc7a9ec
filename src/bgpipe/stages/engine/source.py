"""Stages that read messages in a format from a stream: what `stdin` and `read` have in common."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Iterator
from typing import Any, Final

from ... import formats
from ...formats.base import Counts, Damage, Decoder, Format, Item
from ...net.files import DamagedError, Input, StreamError, open_input
from ...pipeline.errors import StageError
from ...pipeline.line import type_filter
from ...pipeline.options import FLAG, LIST, TEXT, Option
from ...pipeline.stage import Producing
from ...wire.block import ENTRY
from ...wire.message import Message
from .runner import pause
from .sink import FORMAT_SWITCHES, find_format
from .types import chosen_types

LOUD: Final = 10
"""How many pieces of damage are told of in full."""
ENOUGH: Final = 4096
"""Octets by which the content of a stream tells its format."""


class Source(Producing):
    """Reads messages from a stream, which the subclass opens, into the pipeline."""

    both = True

    format = Option(
        TEXT,
        "auto",
        "format of the input; auto goes by the name, then by the content",
        metavar="FORMAT",
        switches=FORMAT_SWITCHES,
    )
    type = Option(LIST, (), "read only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "read no messages of these types", metavar="TYPES")
    pardon = Option(FLAG, False, "damaged input is no failure: the exit code says nothing of it")
    no_seq = Option(FLAG, False, "number the messages anew")
    no_time = Option(FLAG, False, "let the messages have the time of their reading")
    no_tags = Option(FLAG, False, "drop the tags of the messages")
    state = Option(FLAG, False, "read the state changes of MRT archives too")

    stream: Input | None = None
    decoder: Decoder | None = None
    failure: StageError | None = None
    """why the stream could not be read to its end"""
    damages = 0
    """pieces of the input that could not be read"""
    input_name = ""
    """what the format may be told by"""

    def attach(self) -> None:
        self.input_format = self.choose_format()
        self.types = chosen_types(self.type, self.skip)
        self.select = type_filter(self.types) if self.types is not None else None
        self.plain = not (self.types is not None or self.no_seq or self.no_time or self.no_tags)
        self.inlet = self.feed_into()

    def choose_format(self) -> Format | None:
        """None to go by the content. Raises ConfigError."""
        if self.format != "auto":
            return find_format(self.format)
        return formats.detect_by_name(self.input_name) if self.input_name else None

    def open(self) -> Input:
        """The stream. Raises StreamError."""
        return open_input(self.input_name or "-", on_damage=self.on_stream_damage)

    async def prepare(self) -> None:
        try:
            self.stream = self.open()
        except StreamError as error:
            raise StageError(f"{self}: {error}") from None

    async def run(self) -> None:
        start = b""
        while octets := await self._read():
            if self.decoder is None:
                octets = start = start + octets
                if not self._choose_decoder(octets, last=False):
                    continue
            await self._feed(octets)
            if self.inlet.closed:
                return
        if self.decoder is None and start:
            self._choose_decoder(start, last=True)
            await self._feed(start)
        if self.decoder is not None:
            await self._take(self.decoder.end())
        self._judge()

    async def _read(self) -> bytes:
        """The next octets; b"" at the end, and where the stream breaks off: what came before is good."""
        assert self.stream is not None
        try:
            return await anext(self.stream)
        except StopAsyncIteration:
            return b""
        except StreamError as error:
            self.failure = StageError(f"{self}: {error}")
            return b""

    async def stop(self) -> None:
        if self.stream is not None:
            self.stream.close()

    @property
    def counts(self) -> Counts:
        """What has been read so far."""
        return self.decoder.counts if self.decoder is not None else Counts()

    def on_stream_damage(self, error: DamagedError) -> None:
        self.on_damage(error.text)

    def on_damage(self, damage: Damage | str) -> None:
        self.damages += 1
        if self.damages <= LOUD:
            self.pipeline.log.warning("damaged input", stage=str(self), error=str(damage))
        if self.damages == LOUD:
            self.pipeline.log.warning("more damage is only counted", stage=str(self))

    def _judge(self) -> None:
        """The end of the input, when all that could be read is in the pipeline."""
        if self.failure is not None:
            raise self.failure
        if self.damages and not self.pardon:
            pieces = "1 piece" if self.damages == 1 else f"{self.damages} pieces"
            raise StageError(f"{self}: {pieces} of damaged input (--pardon takes that for a success)")

    def _choose_decoder(self, octets: bytes, *, last: bool) -> bool:
        """Makes the decoder, if the format is known or the first octets tell it."""
        found = self.input_format or formats.sniff(octets)
        if found is None:
            if not last and len(octets) < ENOUGH:
                return False
            raise StageError(f"{self}: can't tell the format of the input: say it with --format")
        if found.Decoder is None:
            raise StageError(f"{self}: the format {found.name} can't be read")
        settings: dict[str, Any] = {
            "states": self.state,
            "guess_as": self.pipeline.context.guess_as,
            "context": self.pipeline.context,
        }
        known = inspect.signature(found.Decoder).parameters
        self.decoder = found.Decoder(
            on_damage=self.on_damage, **{name: value for name, value in settings.items() if name in known}
        )
        return True

    async def _feed(self, octets: bytes) -> None:
        assert self.decoder is not None
        await self._take(self.decoder.feed(octets))
        self.pipeline.flush()
        await asyncio.sleep(0)  # signals and other stages have their turn, however fast the input is

    async def _take(self, items: Iterable[Item]) -> None:
        for seconds in self.inlet.feed(items if self.plain else self._prepare(items)):
            self.pipeline.flush()
            await pause(self.pipeline, seconds)

    def _prepare(self, items: Iterable[Item]) -> Iterator[Item]:
        """What --type, --skip and --no-... make of the items."""
        for item in items:
            if isinstance(item, Message):
                if self.types is None or item.type_code in self.types:
                    item.seq = 0 if self.no_seq else item.seq
                    item.time = 0 if self.no_time else item.time
                    if self.no_tags:
                        item.tags = {}
                    yield item
            else:
                block = self.select.select(item, True) if self.select is not None else item
                if self.no_seq:
                    _fill(block.index, SEQ, b"\0")
                if self.no_time:
                    _fill(block.index, TIME, b"\0")
                if self.no_tags:
                    _fill(block.index, PEER, b"\xff")
                yield block


SEQ: Final = range(8)
TIME: Final = range(8, 16)
PEER: Final = range(20, 24)
"""Octets of ENTRY (wire/block.py)."""


def _fill(index: bytearray, places: range, octet: bytes) -> None:
    """Sets octets in every entry of a block's index."""
    for place in places:
        index[place :: ENTRY.size] = octet * (len(index) // ENTRY.size)
