"""The way of messages along a line, past the callbacks of stages.

Messages go one by one or in blocks. A block stays whole through the callbacks that can work on blocks; before the
first that cannot, it is opened into messages.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from ..wire.block import Block
from ..wire.flags import FLAG_CHECKED, FLAG_RIB, FLAG_TOLD
from ..wire.item import Item, Replacement, count
from ..wire.message import NOTIFICATION, UPDATE, Message
from .callback import Callback
from .errors import StageError, failure
from .lifecycle import StageKind

if TYPE_CHECKING:
    from .line import Line
    from .pipeline_base import PipelineBase
    from .stage_base import StageBase

DROP: Final = 2
ACCEPT: Final = 4
"""Bits of Message.action: leave the line here; pass by all further stages."""
INHERITED: Final = FLAG_TOLD | FLAG_RIB
"""What an UPDATE in place of another one has of its verdict."""


class Passage:
    """Takes messages past the callbacks of a line. Its generators yield when messages have to wait."""

    def __init__(self, stage: StageBase) -> None:
        self.stage = stage
        """whose messages they are"""
        self.pipeline: PipelineBase[Any]
        self.tracked = False
        """whether they are those of one session, whose events somebody may want"""
        self.lines: dict[str, Line] = {}
        self.chains: dict[str, list[Callback]] = {}
        self._ahead: dict[str, frozenset[StageBase]] = {}
        """the stages of the chains"""
        self._wait = 0.0
        self._waiting = 0
        """messages that were let in, or will be, and wait, as of the last yield"""
        self._behind = 0
        """messages of the same item that come after the part which is under way"""

    @property
    def held(self) -> bool:
        """Whether a line into which messages go from here, or a stage that they pass, is held."""
        holds = self.pipeline.holds
        if (holds["R"] and "R" in self.lines) or (holds["L"] and "L" in self.lines):
            return True
        full = self.pipeline.full
        if not full or self.stage.kind is StageKind.TRANSFORMER:
            return False  # what is under way in the stage was let in before; two of them must not wait for each other
        return any(stage in self._ahead.get(direction, ()) for direction, stage in full)

    def _travel_message(self, message: Message, chain: list[Callback], start: int) -> Iterable[float]:
        """Takes a message past the callbacks from number `start` on. Gives the times that it has to wait."""
        at = self._meet(message, chain, start)
        return self._wait_and_meet(message, chain, at) if at >= 0 else ()

    def _wait_and_meet(self, message: Message, chain: list[Callback], at: int) -> Iterator[float]:
        while at >= 0:
            self._waiting = self._behind + 1
            yield self._wait
            at = self._meet(message, chain, at)

    def _meet(self, message: Message, chain: list[Callback], start: int, *, patient: bool = True) -> int:
        """Takes a message past the callbacks from number `start` on. Returns -1, or the number of a callback whose
        limit of rate makes the message wait `_wait` seconds. patient: whether it may have to wait."""
        for number in range(start, len(chain)):
            callback = chain[number]
            stage = callback.stage
            if not stage.running or (message.action & ACCEPT and not stage.hidden):
                continue
            if (
                callback.decodes
                and not message.verdict & FLAG_CHECKED
                and not (callback.late and self._judged_late(callback, self.lines[message.direction]))
            ):
                self.pipeline.verdicts.judge(message, self.stage.kind is StageKind.TRANSFORMER)
            if callback.types is not None and message.type_code not in callback.types:
                continue
            if callback.conditions and not all(condition(message) for condition in callback.conditions):
                continue
            if callback.bucket is not None and (wait := callback.bucket.take()):
                if callback.samples:
                    continue
                if patient and message.type_code != NOTIFICATION:
                    self._wait = wait
                    return number
            try:
                left = callback.on_message(message)
            except Exception as error:
                raise failure(stage, error) from error
            if left is False or message.action & DROP:
                stage.drops[stage.drop_reason] += 1
                return -1
            if isinstance(left, list):
                if not left:
                    stage.drops[stage.drop_reason] += 1
                for each in left:
                    self._meet(inherit(each, message), chain, number + 1, patient=False)
                return -1
        line = self.lines[message.direction]
        line.left += 1
        for output in line.outputs:
            output(message)
        if self.tracked:
            self.pipeline.tracker.see(message)
        return -1

    def _travel_block(self, block: Block, line: Line, start: int, *, allowed: bool = False) -> Iterator[float]:
        """Takes a block past the callbacks from number `start` on. allowed: the limit of rate of the first one has let
        it through."""
        chain = self.chains[line.direction]
        judged = None
        for number in range(start, len(chain)):
            callback = chain[number]
            if not len(block):
                return
            if not callback.stage.running:
                continue
            limited = callback.bucket is not None and not (allowed and number == start)
            if callback.on_block is None or (limited and callback.ending) or callback.stage.opens(block):
                yield from self._open_block(block, chain, number)
                return
            if callback.decodes and block is not judged and not self._judged_late(callback, line):
                sifted = self._sift(callback, block) if not limited else None
                if sifted is not None:
                    block = judged = sifted
                    continue
                block, unknown = self.pipeline.verdicts.mark(block)
                if callback.ending and unknown:
                    yield from self._open_block(block, chain, number)  # the input may end before they are met
                    return
                if unknown:
                    self.pipeline.verdicts.judge_block(block, unknown, self.stage.kind is StageKind.TRANSFORMER)
                judged = block
            if limited:
                yield from self._limit_block(block, line, number)
                return
            try:
                left = callback.pass_block(block)
            except Exception as error:
                self._behind += len(block) - 1
                raise failure(callback.stage, error) from error
            if (gone := left.dropped if isinstance(left, Replacement) else len(block) - _count(left)) > 0:
                callback.stage.drops[callback.stage.drop_reason] += gone
            if left is None:
                return
            if isinstance(left, list):
                yield from self._travel_items(left, line, number + 1)
                return
            block = left
        if not len(block):
            return
        line.left += len(block)
        for output in line.outputs:
            output(block)
        if self.tracked:
            self.pipeline.tracker.see_block(block, line.direction)

    def _judged_late(self, callback: Callback, line: Line) -> bool:
        """Whether a callback may validate messages itself, later: nobody else gets them or waits for their events."""
        return (
            callback.late
            and callback is self.chains[line.direction][-1]
            and not (callback.conditions or callback.types or callback.bucket or line.outputs or self.tracked)
            and self.stage.kind is not StageKind.TRANSFORMER
            and self.pipeline.bus.late
        )

    def _sift(self, callback: Callback, block: Block) -> Block | None:
        """What is left of a block after a callback that validates and filters in one pass; None if it can't do that
        here."""
        if callback.on_unchecked is None:
            return None
        try:
            left = callback.on_unchecked(block)
        except Exception as error:
            self._behind += len(block) - 1
            raise failure(callback.stage, error) from error
        if left is not None and len(left) < len(block):
            callback.stage.drops["dropped"] += len(block) - len(left)
        return left

    def _limit_block(self, block: Block, line: Line, number: int) -> Iterator[float]:
        """Takes a block past a callback with a limit of rate, in parts as large as that allows at the moment, and past
        those behind it. With --rate-sample, what is above the rate passes by the callback."""
        callback = self.chains[line.direction][number]
        assert callback.bucket is not None
        behind, start, count = self._behind, 0, len(block)
        while start < count:
            if self.held:
                self._waiting = behind + count - start
                while self.held:
                    yield math.inf
            taken, wait = callback.bucket.take_many(count - start)
            if taken:
                self._behind = behind + count - start - taken
                yield from self._travel_block(block.part(start, start + taken), line, number, allowed=True)
                start += taken
            elif callback.samples:
                self._behind = behind
                yield from self._travel_block(block.part(start, count), line, number + 1)
                return
            else:
                self._waiting = behind + count - start
                yield wait

    def _mark(self, block: Block, chain: list[Callback]) -> Block:
        """Marks the well-formed messages of a block before it is opened, so that they are not validated one by one."""
        decodes = any(callback.decodes for callback in chain)
        return self.pipeline.verdicts.mark(block)[0] if decodes else block

    def _open_block(self, block: Block, chain: list[Callback], start: int) -> Iterator[float]:
        """Takes a block as messages past the callbacks from number `start` on, the first of which can't take blocks."""
        ending = chain[start].ending
        block = self._mark(block, chain[start:])
        behind, left = self._behind, len(block)
        for message in block:
            if self.held:
                self._waiting = behind + left
                while self.held:
                    yield math.inf
            if ending and any(callback.stage.is_shut for callback in ending):
                return  # as if it had never been let in: without blocks the input would have ended before it
            left -= 1
            try:
                at = self._meet(message, chain, start)
                while at >= 0:
                    self._waiting = behind + left + 1
                    yield self._wait
                    at = self._meet(message, chain, at)
            except StageError:
                self._behind = behind + left
                raise

    def _travel_items(self, items: list[Item], line: Line, start: int) -> Iterator[float]:
        """Takes the items that a block was replaced with past the callbacks from number `start` on."""
        chain = self.chains[line.direction]
        behind, left = self._behind, _count(items)
        for item in items:
            if self.held:
                self._waiting = behind + left
                while self.held:
                    yield math.inf
            left -= 1 if isinstance(item, Message) else len(item)
            self._behind = behind + left
            if isinstance(item, Message):
                yield from self._travel_message(item, chain, start)
            else:
                yield from self._travel_block(item, line, start)


def _count(left: Block | list[Item] | None) -> int:
    """How many messages are left of a block."""
    if isinstance(left, list):
        return count(left)
    return len(left) if left is not None else 0


def inherit(message: Message, old: Message) -> Message:
    """Gives a message that replaces another one the properties that it does not set itself."""
    message.direction = old.direction
    message.seq = message.seq or old.seq
    message.verdict |= old.verdict & (INHERITED if message.type_code == UPDATE else FLAG_TOLD)
    message.time = message.time or old.time
    return message
