"""Reads several inputs at the same time, and passes their messages on in the order of time (--merge)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...pipeline.input import Input
from ...runtime.runner import feed
from ...wire.block import TIME
from ...wire.item import Item
from ...wire.merging import Run, find_later, merge, survey
from ...wire.message import Message

if TYPE_CHECKING:
    from ...net.input_stream import InputStream
    from ...pipeline.pipeline_base import PipelineBase
    from ...pipeline.stage import Stage

READ_AHEAD: Final = 4 << 20
"""About so many octets of all inputs together are decoded ahead."""

Place = tuple[int, int]
"""The position of a message in the order: the time that counts for it, and the number of its input for equal times."""


class MergeInput(Protocol):
    """What a stage must have whose messages are merged with those of others."""

    pipeline: PipelineBase[Stage]
    inlet: Input
    stream: InputStream | None
    through: asyncio.Event
    """set when all that is to be read has been fed"""

    def decoded(self, piece: int = 0) -> AsyncGenerator[Iterator[Item]]:
        """The items of each piece of the stream. piece: at most so many octets are decoded at once."""

    def spawn(self, what: str, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Starts a task that ends with the session."""


class Merge:
    """Merges inputs that share a line. Each message enters at the input of its own stage."""

    def __init__(self, sources: Sequence[MergeInput]) -> None:
        entrances = [_entrance(source.inlet) for source in sources]
        self._members = [
            _MergedInput(source, number, entrances.index(entrances[number])) for number, source in enumerate(sources)
        ]

    async def run(self, source: MergeInput) -> None:
        """Returns when all messages of this input have entered, or no more may enter."""
        if source is self._members[0].source:
            source.spawn("merges", self._run())
        await source.through.wait()

    async def _run(self) -> None:
        pipeline = self._members[0].source.pipeline
        try:
            for member in self._members:
                if member.source.stream is not None:
                    member.source.stream.begin(len(self._members))
            while live := await self._read():
                entrance = min(live, key=lambda member: member.first).entrance
                inlet = next(member.source.inlet for member in live if member.entrance == entrance)
                if not inlet.open:
                    break
                await feed(pipeline, inlet, self._ordered(live, entrance))
                pipeline.flush()
                await asyncio.sleep(0)  # signals and other stages have their turn, however fast the inputs are
        finally:
            for member in self._members:
                await member.end()

    async def _read(self) -> list[_MergedInput]:
        """Waits until the next item of each input is there; the inputs that have one."""
        piece = READ_AHEAD // len(self._members)
        for member in self._members:
            await member.read(piece)
        return [member for member in self._members if not member.over]

    def _ordered(self, live: list[_MergedInput], entrance: int) -> Iterator[Item]:
        """The next items, as long as they enter at this entrance, and the next item of each input is decoded."""
        while all(member.item is not None for member in live):
            together = [member for member in live if member.entrance == entrance]
            others = [member.first for member in live if member.entrance != entrance]
            if any(isinstance(member.item, Message) for member in together):
                first = min(together, key=lambda member: member.first)
                together, others = [first], [member.first for member in live if member is not first]
            bound = min([*others, *(member.last for member in together)])
            taken = [part for member in together if (part := member.take(bound)) is not None]
            if not taken:
                return
            if isinstance(taken[0], Message):
                yield taken[0]
            else:
                yield merge([part for part in taken if not isinstance(part, Message)])


class _MergedInput:
    """One of the inputs, and the item that comes next in it.

    entrance: the same for all whose messages enter at the same place, under the same conditions.
    """

    def __init__(self, source: MergeInput, number: int, entrance: int) -> None:
        self.source = source
        self.entrance = entrance
        self.item: Item | None = None
        self.over = False
        """whether there are no more items"""
        self._number = number
        self._start = 0
        """position in the item, if it is a block, of the first message that has not gone on"""
        self._floor = 0
        """the time that the message before that one counts as"""
        self._latest = 0
        """the time that the last message of the item counts as"""
        self._decoded: Iterator[Item] = iter(())
        self._pieces: AsyncGenerator[Iterator[Item]] | None = None
        self._backwards = 0
        self._untimed = 0

    async def read(self, piece: int) -> None:
        """Waits for the next item. piece: how many octets to decode at once."""
        if self._pieces is None:
            self._pieces = self.source.decoded(piece)
        while self.item is None and not self.over:
            try:
                self._decoded = await anext(self._pieces)
            except StopAsyncIteration:
                await self.end()
            else:
                self._advance()

    async def end(self) -> None:
        """Ends the reading of this input."""
        if self.over:
            return
        self.over = True
        if self._pieces is not None:
            await self._pieces.aclose()
        log = self.source.pipeline.log
        for count, text in (
            (self._backwards, "messages have a time before that of an earlier one, behind which they stay"),
            (self._untimed, "messages have no time, and stay behind the one before them"),
        ):
            if count:
                log.warning(text, stage=str(self.source), messages=count)
        self.source.through.set()

    @property
    def first(self) -> Place:
        """The place of the next message."""
        if self.item is None or isinstance(self.item, Message):
            return self._latest, self._number
        return max(self._floor, TIME.of(self.item.index)[self._start]), self._number

    @property
    def last(self) -> Place:
        """The place of the last message of the item."""
        return self._latest, self._number

    def take(self, place: Place) -> Run | Message | None:
        """The messages of the item up to that place; None if all come later."""
        item, start = self.item, self._start
        assert item is not None
        bound = place[0] if self._number <= place[1] else place[0] - 1
        if self._latest <= bound:
            floor = self._floor
            self._advance()
            return item if isinstance(item, Message) else Run(item, start, len(item), floor)
        if isinstance(item, Message) or self._floor > bound:
            return None
        stop = find_later(item, start, bound)
        if stop == start:
            return None
        run = Run(item, start, stop, self._floor)
        self._start, self._floor = stop, survey(item, start, stop, self._floor).latest
        return run

    def _advance(self) -> None:
        """Goes on to the next item that has been decoded."""
        self._start, self._floor = 0, self._latest
        item = self.item = next(self._decoded, None)
        if isinstance(item, Message):
            self._untimed += not item.time
            self._backwards += 0 < item.time < self._floor
            self._latest = max(self._floor, item.time)
        elif item is not None:
            self._latest, backwards, untimed = survey(item, 0, len(item), self._floor)
            self._backwards += backwards
            self._untimed += untimed


def _entrance(inlet: Input) -> object:
    """A value that is equal for two inputs if messages that enter there are handled alike."""
    if inlet.conditions or inlet.bucket is not None:
        return inlet
    return inlet.chains, inlet.default
