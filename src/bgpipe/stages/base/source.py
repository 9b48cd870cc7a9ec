"""The common part of `stdin` and `read`: stages that read messages in a format from a stream."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from ... import formats
from ...formats.base import Counts, Decoder, Format
from ...net.files import DamagedError, InputStream, StreamError, open_input
from ...net.files_in_use import FilesInUse, Use
from ...pipeline.errors import ConfigError, StageError
from ...pipeline.input import Input
from ...pipeline.options import FLAG, LIST, TEXT, Option
from ...pipeline.stage import Progress
from ...runtime.runner import feed, session_up
from ...wire.errors import TextError
from ...wire.item import Item
from ...wire.message import ROUTE_REFRESH, UPDATE
from .coding import FORMAT_SWITCHES, Reading, find_format
from .types import chosen_types

if TYPE_CHECKING:
    from .merge import Merge


class ReadStage(Reading):
    """Reads messages from a stream, which the subclass opens, into the pipeline."""

    both = True

    format = Option(
        TEXT,
        "auto",
        "format of the input; auto goes by the content, then by the name",
        metavar="FORMAT",
        switches=FORMAT_SWITCHES,
    )
    type = Option(LIST, (), "read only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "read no messages of these types", metavar="TYPES")
    state = Option(FLAG, False, "read the state changes of MRT archives too")

    stream: InputStream | None = None
    decoder: Decoder | None = None
    failure: StageError | None = None
    """why the stream could not be read to its end"""
    named_format: Format | None = None
    """the format for the name of the input. The content decides if it shows another one"""
    unread = False
    """whether there is more in the stream than was read"""
    in_order = False
    """whether it is read after all such inputs that are named before it, or merged with them"""
    merge: Merge | None = None
    """what merges it with other inputs; made when the first of them runs"""
    input_name = ""
    """the name that may decide about the format"""

    @property
    def reads_stdin(self) -> bool:
        return self.input_name in ("", "-")

    @property
    def begins_anew(self) -> bool:
        """Whether the same stage in another pipeline reads the same messages again."""
        return False

    def attach(self) -> None:
        others = (stage for stage in self.pipeline.stages if isinstance(stage, ReadStage) and stage.index < self.index)
        if self.reads_stdin and any(stage.reads_stdin for stage in others):
            raise ConfigError("standard input is read by another stage already")
        self.input_format = self.choose_format()
        types = chosen_types(self.type, self.skip)
        if types is None and self.pipeline.originates_session:
            types = frozenset((UPDATE, ROUTE_REFRESH))  # other messages belong to the session that was recorded
        self.choose_types(types)
        self.inlet = self.feed_into()
        self.through = asyncio.Event()
        """whether all that is to be read has been fed"""

    def choose_format(self) -> Format | None:
        """The one that --format names, None to find out. Raises ConfigError."""
        self.named_format = formats.detect_by_name(self.input_name) if self.input_name else None
        return find_format(self.format) if self.format != "auto" else None

    def open(self) -> InputStream:
        """The stream. Raises StreamError."""
        return open_input(self.input_name or "-", on_damage=self.on_stream_damage)

    def choose_items(self, inlet: Input, items: Iterable[Item]) -> Iterable[Item]:
        for stage in self.pipeline.stages:
            if stage.side and stage.side in inlet.lines:
                items = stage.treat(items, self, inlet)
        return super().choose_items(inlet, items)

    async def prepare(self) -> None:
        try:
            self.stream = self.open()
            files = self.pipeline.shared.setdefault(FilesInUse, FilesInUse)
            files.add(self.stream.name, self.stream.source.identity, Use.READ)
            self.unread = True
        except StreamError as error:
            raise StageError(f"{self}: {error}") from None

    async def run(self) -> None:
        await session_up(self.pipeline)
        if self.in_order and self.pipeline.merges:
            await self._merge().run(self)
        else:
            for earlier in self._before():
                await earlier.through.wait()
            if self.inlet.open:
                self._begin()
            await self._read_all()
            self.through.set()
        if self.inlet.open and self.failure is not None:
            raise self.failure
        self.judge_damage()

    def _before(self) -> list[ReadStage]:
        """The inputs that are read before this one: those that are named before it, if they share a line."""
        if not self.in_order:
            return []
        earlier = [stage for stage in self._all_in_order() if stage.index < self.index]
        return [stage for stage in earlier if set(stage.inlet.lines) & set(self.inlet.lines)]

    def _begin(self) -> None:
        """Begins to read, and lets the next input read ahead."""
        later = [stage for stage in self._all_in_order() if stage.index > self.index]
        for stage in (self, *later[:1]):
            if stage.stream is not None:
                stage.stream.begin()

    def _all_in_order(self) -> list[ReadStage]:
        return [stage for stage in self.pipeline.stages if isinstance(stage, ReadStage) and stage.in_order]

    def _merge(self) -> Merge:
        """The merge of this input with all that share a line with it, directly or by another input."""
        if self.merge is None:
            group, waiting = [self], [stage for stage in self._all_in_order() if stage is not self]
            lines = set(self.inlet.lines)
            while more := [stage for stage in waiting if lines.intersection(stage.inlet.lines)]:
                group += more
                waiting = [stage for stage in waiting if stage not in more]
                lines.update(*(stage.inlet.lines for stage in more))
            group.sort(key=lambda stage: stage.index)
            from .merge import Merge  # only then, for a quick start

            merge = Merge(group)
            for stage in group:
                stage.merge = merge
        assert self.merge is not None
        return self.merge

    async def _read_all(self) -> None:
        async with aclosing(self.decoded()) as pieces:
            async for items in pieces:
                await feed(self.pipeline, self.inlet, items)
                self.pipeline.flush()
                await asyncio.sleep(0)  # signals and other stages have their turn, however fast the input is

    async def decoded(self, piece: int = 0) -> AsyncGenerator[Iterator[Item]]:
        """The items of each piece of the stream, as long as they may enter. Items are decoded when they are asked for;
        all of a piece must be taken before the next piece. piece: octets of a piece at most, 0 for pieces as they come.

        Raises StageError if the format is not known.
        """
        start = b""
        while self.inlet.open and (octets := await self._read()):
            if self.decoder is None:
                octets = start = start + octets
                if not self._choose_decoder(octets, last=False):
                    continue
            for place in range(0, len(octets), piece or len(octets)):
                yield self._decode(octets[place : place + piece] if piece else octets)
        if self.decoder is None and start and self.inlet.open:
            self._choose_decoder(start, last=True)
            yield self._decode(start)
        if self.decoder is not None and self.inlet.open:
            yield iter(self.choose_items(self.inlet, self.decoder.end()))

    def _decode(self, octets: bytes) -> Iterator[Item]:
        assert self.decoder is not None
        return iter(self.choose_items(self.inlet, self.decoder.feed(octets)))

    async def _read(self) -> bytes:
        """The next octets; b"" at the end of the stream, or where it can't be read on. What came before is good."""
        assert self.stream is not None
        try:
            return await anext(self.stream)
        except StopAsyncIteration:
            self.unread = False
            return b""
        except StreamError as error:
            self.failure = StageError(f"{self}: {error}")
            return b""

    async def stop(self) -> None:
        self.through.set()
        if self.stream is not None:
            self.stream.close()

    @property
    def counts(self) -> Counts:
        """What has been read so far."""
        return self.decoder.counts if self.decoder is not None else Counts()

    def progress(self) -> Progress:
        counts = self.counts
        position, total = (self.stream.position, self.stream.total) if self.stream is not None else (0, None)
        return Progress(
            records=counts.records,
            messages=counts.messages,
            states=counts.states,
            skipped=counts.skipped,
            damages=self.damages,
            kinds=counts.kinds,
            position=position,
            total=total,
        )

    def status(self) -> dict[str, Any]:
        counts = self.counts
        numbers = {"records": counts.records, "messages": counts.messages, "skipped": counts.skipped}
        return {"metrics": numbers | {"damaged": counts.damaged}}

    def on_stream_damage(self, error: DamagedError) -> None:
        self.on_damage(error.text)

    def _choose_decoder(self, octets: bytes, *, last: bool) -> bool:
        """Makes the decoder, if the format is known or the first octets tell it. Raises StageError."""
        found = self.input_format
        if found is None:
            try:
                found = formats.detect(octets, self.named_format, last=last)
            except TextError as error:
                raise StageError(f"{self}: {error}: use --format") from None
        if found is None:
            return False
        stages = self.pipeline.stages
        self.decoder = self.make_decoder(
            found,
            states=self.state or any(stage.wants_states for stage in stages),
            entries=any(stage.wants_entries for stage in stages),
            tables=[stage.tables for stage in stages if stage.tables is not None],
        )
        return True
