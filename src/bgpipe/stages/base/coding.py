"""Formats in stages: decoding, encoding, and reports of messages that can't be decoded or encoded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final

from ... import formats
from ...formats.base import Damage, Decoder, DecoderOptions, Encoder, EncoderOptions, Format, OnReport
from ...pipeline.callback import type_filter
from ...pipeline.errors import ConfigError, Incomplete, StageError
from ...pipeline.input import Input
from ...pipeline.options import FLAG, Option, choice
from ...pipeline.stage import Consuming, Producing
from ...runtime.runner import feed
from ...wire.block import NO_PEER, PEER, SEQ, TAGS, TIME
from ...wire.context import WireContext
from ...wire.errors import TextError
from ...wire.item import Item
from ...wire.message import Message

FORMAT_SWITCHES: Final = {"json": "json", "raw": "raw", "mrt": "mrt"}
"""Flags that earlier versions had in place of --format."""
MAX_LOGGED: Final = 10
"""How many messages that can't be written, and how many pieces of damage, are logged one by one."""


class Reading(Producing):
    """Reads messages of a format into the pipeline."""

    pardon = Option(FLAG, False, "exit with code 0 even if some of the input can't be read")
    strict = Option(FLAG, False, "end with an error at the first piece of input that can't be read")
    no_seq = Option(FLAG, False, "ignore the numbers in the input, and number the messages anew")
    no_time = Option(FLAG, False, "ignore the times in the input, and use the time at which messages are read")
    no_tags = Option(FLAG, False, "ignore the tags in the input")

    damages = 0
    """pieces of the input that could not be read"""

    def choose_types(self, types: Collection[int] | None) -> None:
        """Called once: the message types that are read; None for all."""
        self.types = types
        self.select = type_filter(types) if types is not None else None
        self.plain = not (types is not None or self.no_seq or self.no_time or self.no_tags)

    def make_decoder(
        self,
        found: Format,
        context: WireContext | None = None,
        *,
        states: bool = False,
        entries: bool = False,
        tables: Sequence[list[list[bytes]]] = (),
    ) -> Decoder:
        """A decoder of the format. context: for messages whose context the format does not say; None is that of the
        pipeline. tables: each gets a list with the records of tables of routes that it reads.

        Raises StageError if the format can't be read.
        """

        records: list[bytes] = []
        for each in tables:
            each.append(records)
        context = context or self.pipeline.context
        on_table = records.append if tables else None
        try:
            return found.open_decoder(DecoderOptions(self.on_damage, context, states, self.on_note, entries, on_table))
        except TextError as error:
            raise StageError(f"{self}: {error}") from None

    async def feed_items(self, inlet: Input, items: Iterable[Item]) -> None:
        """Feeds what was decoded, as the lines take it."""
        await feed(self.pipeline, inlet, self.choose_items(inlet, items))

    def choose_items(self, inlet: Input, items: Iterable[Item]) -> Iterable[Item]:
        """Which of the decoded items are fed."""
        return items if self.plain else self._prepared(items)

    def on_note(self, text: str) -> None:
        self.pipeline.log.warning(text, stage=str(self))

    def on_damage(self, damage: Damage | str) -> None:
        self.damages += 1
        if self.strict:
            raise StageError(f"{self}: damaged input: {damage} (--strict)")
        if self.damages <= MAX_LOGGED:
            self.pipeline.log.warning("damaged input", stage=str(self), error=str(damage))
        if self.damages == MAX_LOGGED:
            self.pipeline.log.warning("more damage is only counted", stage=str(self))

    def judge_damage(self) -> None:
        """At the end of the input. Raises Incomplete."""
        found = []
        if self.damages:
            found.append(f"{plural(self.damages, 'piece')} of damaged input")
        if left_out := self.drops["malformed"]:
            found.append(f"{plural(left_out, 'malformed UPDATE')} left out")
        if found and not self.pardon:
            raise Incomplete(f"{self}: {', '.join(found)} (--pardon takes that for a success)")

    def _prepared(self, items: Iterable[Item]) -> Iterator[Item]:
        """Applies --type, --skip, --no-seq, --no-time and --no-tags to the items."""
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
                    SEQ.fill(block.index, 0)
                if self.no_time:
                    TIME.fill(block.index, 0)
                if self.no_tags:
                    PEER.fill(block.index, NO_PEER)
                    TAGS.fill(block.index, 0)
                yield block


class Writing(Consuming):
    """Writes messages in a format."""

    compat = Option(
        choice("own", "go"),
        "own",
        "dialect of the JSON to write: own, or go for what the Go bgpipe reads",
        metavar="WHOSE",
    )

    refused = 0
    """messages that were left out because the format can't express them"""

    @property
    def dialect(self) -> str:
        """What --compat asks for, "" for our own form."""
        return "" if self.compat == "own" else self.compat

    def check_encoder(self, found: Format) -> None:
        """Raises ConfigError if the format can't be written."""
        try:
            found.check_encoder(self.dialect)
        except TextError as error:
            raise ConfigError(str(error)) from None

    def make_encoder(self, found: Format, on_report: OnReport) -> Encoder:
        """An encoder that reports messages that it can't write, instead of raising."""
        return found.open_encoder(EncoderOptions(on_report, self.dialect))

    def on_report(self, message: Message, error: Exception) -> None:
        """A message could not be written."""
        self.refused += 1
        if self.refused <= MAX_LOGGED:
            self.pipeline.log.warning(
                "message not written", stage=str(self), dir=message.direction, seq=message.seq, error=str(error)
            )
        if self.refused == MAX_LOGGED:
            self.pipeline.log.warning("more messages that are not written are only counted", stage=str(self))

    def on_formless(self, message: Message, found: Format) -> None:
        """The format has no form for a message."""
        if found.routes_only:
            return
        whose = f" ({self.compat})" if self.dialect else ""
        self.on_report(message, TextError(f"{found.name}{whose} has no form for {message.type}"))

    def judge_refused(self, found: Format) -> None:
        """Called at the end. Raises Incomplete if messages were left out."""
        if self.refused:
            text = f"{plural(self.refused, 'message')} not written, that {found.name} has no form for"
            raise Incomplete(f"{self}: {text}")


def plural(count: int, what: str) -> str:
    return f"1 {what}" if count == 1 else f"{count} {what}s"


def find_format(name: str) -> Format:
    """Raises ConfigError."""
    try:
        return formats.find(name)
    except TextError as error:
        raise ConfigError(str(error)) from None
