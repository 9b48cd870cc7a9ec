"""The common part of `stdout` and `write`: stages that write messages in a format."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, Final

from ...formats.base import Format
from ...net.collected_output import collected
from ...net.errors import StreamError, explain_error
from ...net.files import open_output
from ...net.files_in_use import FilesInUse, Use
from ...net.output_file import OutputFile
from ...net.output_writer import Judge, OutputStream, OutputWriter
from ...net.standard_output import StandardOutput
from ...pipeline import events
from ...pipeline.errors import ConfigError, Incomplete, StageError
from ...pipeline.lifecycle import Cause
from ...pipeline.options import DURATION, LIST, TEXT, Option
from ...pipeline.scope import ScheduledCall
from ...wire.block import Block, runs
from ...wire.flags import FLAG_CHECKED
from ...wire.item import Item
from ...wire.message import Message
from .coding import FORMAT_SWITCHES, Writing, find_format, plural
from .source import ReadStage
from .types import chosen_types
from .watchdog import StallWatchdog

MAX_KEPT: Final = 1 << 18
"""Octets of messages of a session that wait to be put at most."""
PUT_DELAY: Final = 0.001
"""Seconds that they wait: in a session the peers have them first, and the thread of the writer gets many together."""


class Sink(Writing):
    """Copies messages to an output, which the subclass opens.

    If the output is full, all senders wait. Between two routers they can't wait for ever: if a router must get a
    KEEPALIVE, or the output has taken nothing for --stall-timeout, the output misses messages until it takes octets
    again.
    """

    both = True
    takes = True

    format = Option(TEXT, "json", "format of the output", metavar="FORMAT", switches=FORMAT_SWITCHES)
    type = Option(LIST, (), "write only messages of these types", metavar="TYPES")
    skip = Option(LIST, (), "write no messages of these types", metavar="TYPES")
    stall_timeout = Option(
        DURATION,
        10.0,
        "between two routers, leave messages out if the output takes nothing for this time; 0 lets the routers wait",
    )

    in_places = False
    """whether messages go to many files, by their tags"""
    flush_every: float = 0
    """seconds that octets may wait in a compressor at most"""
    writer: OutputWriter | None = None
    watchdog: StallWatchdog | None = None
    taken = 0
    """always 0: an output gives nothing back, so it holds no KEEPALIVEs"""
    holding = False
    """whether others have to wait for the output"""
    held = False
    """always False: an output never has to wait for us"""
    deserted = False
    """whether the input was ended because the reader of this output has gone"""
    _closed = False
    _failure: StageError | None = None
    """the error of an output that can't be written"""
    _live = False
    """whether there is a session that may have to wait"""
    _missed = 0
    """messages that the output should have had since it has been in trouble"""
    _missing = 0
    """messages that it should have had, without those that came when nobody read it any more"""
    _abandoned = False
    """whether it is in trouble because nobody reads it any more"""

    def attach(self) -> None:
        if self.stall_timeout < 0:
            raise ConfigError("--stall-timeout can't be negative")
        self._kept: list[Item] = []
        self._kept_octets = 0
        self._flushing: ScheduledCall | None = None
        self.output_format = self.choose_format()
        self.wants_states = self.output_format.states
        self.wants_entries = self.output_format.entries
        self.tables = [] if self.output_format.collect is not None else None
        self.check_encoder(self.output_format)
        self.watch(
            self.on_message,
            on_block=self.on_block,
            types=chosen_types(self.type, self.skip),
            passive=True,
            decodes=self.output_format.text,
        )

    def choose_format(self) -> Format:
        """Raises ConfigError."""
        return find_format(self.format)

    def open(self) -> OutputStream:
        """Where the octets go. Raises StreamError."""
        return open_output("-")

    async def prepare(self) -> None:
        try:
            self.writer = self.pipeline.shared.take(self._key, self._make_writer, OutputWriter.close)
        except StreamError as error:
            raise StageError(f"{self}: {error}") from None
        self._live = self.pipeline.has_session
        if (
            self._live and self.stall_timeout and not self.pipeline.originates_session
        ):  # a speaker goes on speaking meanwhile
            self.watchdog = StallWatchdog(self, self.stall_timeout)
        self.callbacks[0].late = self.output_format.checks and not self._live
        self.writer.join(self)

    @property
    def _key(self) -> tuple[str, str]:
        """The key under which all sessions of a command line share one output."""
        return "output", str(self)

    def _make_writer(self) -> OutputWriter:
        output = self.open()
        if isinstance(output, OutputFile | StandardOutput):
            output = collected(output, self.output_format, self.tables)
        use = Use.WRITE if output.in_place else Use.REPLACE
        try:
            self.pipeline.shared.setdefault(FilesInUse, FilesInUse).add(output.path, output.identity, use)
        except StreamError:
            output.abort()
            raise
        return OutputWriter(
            output,
            lambda tell: self.make_encoder(self.output_format, tell),
            self.flush_every,
            in_order=self.output_format.in_order,
        )

    def status(self) -> dict[str, Any]:
        waiting = self.writer.waiting if self.writer else 0
        return {"format": self.output_format.name, "queue_bytes": waiting, "missed": self._missed}

    def on_message(self, message: Message) -> None:
        assert self.writer is not None
        if self.trouble:
            self._missed += 1
        elif self._live and self.hidden:  # the last stage of the line: no other one changes the message
            self._keep(message, len(message.body))
        else:
            if self._kept:
                self._put_kept()
            self._put(message)
            if self.callbacks[0].late and not message.verdict & FLAG_CHECKED:
                self.pipeline.verdicts.judge(message)  # costs little now that it is decoded

    def _put(self, message: Message) -> None:
        assert self.writer is not None
        refused = self.refused
        if not self.writer.put_message(message, self.place_of(message)) and self.refused == refused:
            self.on_formless(message, self.output_format)

    def on_block(self, block: Block) -> Block:
        assert self.writer is not None
        if self.trouble:
            self._missed += len(block)
        elif self._live:
            self._keep(block, len(block.octets))
        else:
            self._put_block(block, self.pipeline.verdicts.judge if self.callbacks[0].late else None)
        return block

    def _put_block(self, block: Block, judge: Judge | None = None) -> None:
        assert self.writer is not None
        for part in runs(block) if self.in_places else (block,):
            self.writer.put_block(part, judge, self.place_of(part.message(0)) if self.in_places else "")

    def place_of(self, message: Message) -> str:
        """The file of a message, where there are many."""
        return ""

    def _keep(self, item: Item, size: int) -> None:
        """Keeps an item. In a session the peer gets it first, because the thread of the writer takes time."""
        self._kept.append(item)
        self._kept_octets += size
        if self._kept_octets >= MAX_KEPT:
            self._put_kept()

    def _put_kept(self) -> None:
        if self._kept and self.writer is not None:
            for item in self._kept:
                if isinstance(item, Message):
                    self._put(item)
                else:
                    self._put_block(item)
            self._kept.clear()
            self._kept_octets = 0

    def flush(self) -> None:
        if self._flushing is None and self.writer is not None and (self._kept or self.writer.holds_messages):
            self._flushing = self.call_later(PUT_DELAY, self._flush)

    def _flush(self) -> None:
        self._flushing = None
        if self.writer is not None:
            self._put_kept()
            self.writer.flush()

    async def stop(self) -> None:
        if self.watchdog is not None:
            self.watchdog.close()
        if self._flushing is not None:
            self._flushing.cancel()
        self._put_kept()
        if self.writer is not None:
            if self.pipeline.finishing and not self.pipeline.shared.keep:
                # published later: only when all stages have stopped it is known whether the output is complete
                await self._in_time(self.writer.finish())
            else:
                await self._close()
        self._catch_up()
        if self._failure is not None:
            raise self._failure
        if self._missing:
            raise Incomplete(f"{self}: at least {plural(self._missing, 'message')} not written")
        self.judge_refused(self.output_format)

    async def conclude(self) -> None:
        if self.writer is not None and not self._closed:
            await self._close()

    async def _close(self) -> None:
        """Publishes the output; one that is not complete keeps what was written. Raises StageError."""
        assert self.writer is not None
        self._closed = True
        self.writer.complete &= self._live or not self._is_cut()
        complete = self.writer.complete
        await self._in_time(self.pipeline.shared.give_back(self._key))
        self.writer.leave(self)
        output = self.writer.output
        if not complete and output.path != StandardOutput.path:
            kept = f"what was written is in {output.kept}" if output.kept else "there is nothing of it to keep"
            text = f"{output.path} is not complete: {kept}"
            if not self.pipeline.failed:
                raise StageError(f"{self}: {text}")
            self.pipeline.log.warning(text, stage=str(self))

    async def _in_time(self, writing: Awaitable[None]) -> None:
        """Waits for the output, after a signal only for a short time. Octets that are not written by then are lost."""
        try:
            await writing
        except asyncio.CancelledError:
            assert self.writer is not None
            lost, path = self.writer.give_up(), self.writer.output.path
            self.pipeline.lost_messages += lost
            text = f"there was no time to write all of {path}: {lost} messages were lost at the end"
            self.pipeline.fail(StageError(f"{self}: {text}"))
            raise

    def _is_cut(self) -> bool:
        """Whether messages are missing in the output: a stage has failed, the reader of standard output has gone, or a
        signal came before the end of an input."""
        pipeline = self.pipeline
        if pipeline.lost_messages or pipeline.failed:
            return True
        unread = [stage for stage in pipeline.stages if isinstance(stage, ReadStage) and stage.unread]
        if pipeline.cause is Cause.SIGNAL:
            return any(stage.stream is not None and stage.stream.total is not None for stage in unread)
        return bool(unread) and any(isinstance(stage, Sink) and stage.deserted for stage in pipeline.stages)

    def on_full(self) -> None:
        if self.holding:
            return
        self.holding = True
        self.pipeline.hold(self.directions)
        if self._live:
            self.pipeline.emit(events.SLOW, stage=str(self))
        if self.watchdog is not None:
            self.watchdog.begin()

    def on_room(self) -> None:
        if self._failure is None:
            self._catch_up()
        self._release()

    def on_again(self) -> None:
        if self._failure is not None:
            self._failure = None
            self._missing += 1  # at least the one that it has failed with
        self._catch_up()

    def _catch_up(self) -> None:
        if self.trouble:
            self.trouble = ""
            self.pipeline.log.warning("the output has missed messages", stage=str(self), missed=self._missed)
            self._missing += 0 if self._abandoned else self._missed
            self._missed, self._abandoned = 0, False

    def _release(self) -> None:
        if self.holding:
            self.holding = False
            self.pipeline.release(self.directions)

    # what the watchdog asks, and says

    @property
    def waiting(self) -> int:
        return self.writer.written + 1 if self.writer is not None and self.writer.waiting else 0

    def on_stall(self) -> None:
        self._miss()

    def on_silence(self, direction: str) -> None:
        self._miss()

    def _miss(self) -> None:
        if self.holding:
            self.trouble = "the output is stalled, and misses messages"
            self.pipeline.log.warning(self.trouble, stage=str(self))
            self._release()

    def on_error(self, error: Exception) -> None:
        """Called when writing fails. A live session goes on without the output."""
        failure = StageError(f"{self}: {explain_error(error)}")
        reader_gone = isinstance(error, BrokenPipeError)
        if self._live:
            self._failure = None if reader_gone else failure
            self._abandoned = reader_gone  # who reads has seen enough: that is no failure
            self.trouble = "nobody reads the output any more" if reader_gone else "the output has failed"
            log = self.pipeline.log.warning if reader_gone else self.pipeline.log.error
            log(f"{self.trouble}: it misses messages", stage=str(self), error=explain_error(error))
            return
        self.pipeline.end(self)
        if reader_gone:
            self.deserted = self.pipeline.cause is None
            self.pipeline.end_input()  # the reader has gone, as `head` does: that is no failure
        else:
            self.pipeline.fail(failure)
