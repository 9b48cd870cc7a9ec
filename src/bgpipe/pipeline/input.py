"""Inputs: where messages of a stage enter the lines. Their way along a line is in passage.py."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from ..wire.block import FLAGS, Block
from ..wire.flags import FLAG_DIRECTIONS, FLAG_LEFT, FLAG_RIGHT
from ..wire.item import Item, count
from ..wire.message import NOTIFICATION, UPDATE, Message
from .callback import Callback
from .errors import ConfigError, nearest
from .lifecycle import Cause
from .passage import DROP, Passage
from .rate import TokenBucket

if TYPE_CHECKING:
    from ..filters import Filter
    from .pipeline_base import PipelineBase
    from .stage_base import StageBase


class Feed:
    """Items on their way into the lines, from `Input.feed` on until `step` returns None or `end` is called."""

    __slots__ = ("_inlet", "_running", "_travel", "failed")

    def __init__(self, inlet: Input, travel: Generator[float]) -> None:
        self.failed = 0
        """after an error of a stage: messages of the same item that come after the message that it failed at"""
        self._inlet = inlet
        self._travel = travel
        self._running = False

    def step(self) -> float | None:
        """Moves the items on. Returns the seconds to wait before the next step, infinity to wait for
        Pipeline.when_released, or None when all items have left the lines. Raises StageError, which names the stage
        that failed. The caller must call Pipeline.flush afterwards.
        """
        pipeline = self._inlet.pipeline
        outer, pipeline.feeding = pipeline.feeding, True
        source, pipeline.source = pipeline.source, self._inlet.stage if self._inlet.own else None
        self._running = True
        try:
            wait = next(self._travel, None)
        except BaseException:
            self._running = False
            self.failed = self._inlet._behind
            self.end()
            raise
        finally:
            pipeline.feeding = outer
            pipeline.source = source
        self._running = False
        if wait is None:
            self.end()
        return wait

    def end(self) -> None:
        """Drops the items that have not left the lines."""
        if self._running:  # called by a stage in the middle of a step: the input is shut, and that ends the feed
            return
        self._travel.close()
        inlet = self._inlet
        if inlet._feed is self:
            inlet._feed = None
            if not inlet.open or inlet.pipeline.waits_for_feeds:
                inlet.pipeline.on_change()


class Input(Passage):
    """An input into the lines of a stage's directions, with the callbacks that its messages pass."""

    def __init__(self, stage: StageBase, session: bool) -> None:
        super().__init__(stage)
        self.own = True
        """whether its stage makes the messages; False if they only bypass the stage, and entered at another input"""
        self.open = True
        """whether items that are fed may enter"""
        self.ended = False
        """whether its stage has ended: no message enters any more"""
        self.session = session
        """whether its messages are those of one session"""
        self.tracked = session
        self.whole = False
        """whether a feed that has begun is finished even if the input is shut meanwhile. It is set for peers, because
        what was read from a connection can't be read again. Only Pipeline.end_input (`head`) cuts it off"""
        self.conditions: list[Filter] = []
        self.bucket: TokenBucket | None = None
        self.default = ""
        """the direction of messages that name none of the lines of this input"""
        self._entry = 0
        self._feed: Feed | None = None
        self._finishes = False
        """whether the current feed is finished even if the input is shut"""

    def connect(self, pipeline: PipelineBase[Any]) -> None:
        """Called once, when all stages are attached. Raises ConfigError."""
        stage = self.stage
        self.pipeline = pipeline
        self.tracked = self.tracked or pipeline.opens_blocks
        directions = self.directions
        self._entry = self._find_entry()
        self.lines = {direction: pipeline.lines[direction] for direction in directions}
        self.chains = {
            direction: [callback for callback in line.callbacks if self._meets(callback, direction)]
            for direction, line in self.lines.items()
        }
        self._ahead = {
            direction: frozenset(callback.stage for callback in chain) for direction, chain in self.chains.items()
        }
        self.default = directions if len(directions) == 1 else "L" if stage.is_last else "R"
        self.conditions = stage.output_conditions()
        if rate := stage.rate_sample or stage.rate_limit:
            self.bucket = TokenBucket(rate, pipeline.clock)

    @property
    def directions(self) -> str:
        """The lines into which messages go from here."""
        return self.stage.directions

    @property
    def target(self) -> str:
        """The value of --new: where messages enter."""
        return self.stage.target()

    def _meets(self, callback: Callback, direction: str) -> bool:
        """Whether messages from here meet a callback, by --new and their direction."""
        stage, target = self.stage, self.target
        if callback.stage is stage:
            return False
        if callback.stage.hidden or target == "first":
            return True
        if target == "last":
            return False
        return callback.stage.index > self._entry if direction == "R" else callback.stage.index < self._entry

    def _find_entry(self) -> int:
        """The number of the stage behind which messages from here enter, by --new. Raises ConfigError."""
        target = self.target
        if target in ("next", "here", "first", "last"):
            return self.stage.index
        if target.isdecimal():
            return int(target)
        named: dict[str, int] = {other.name: other.index for other in self.pipeline.stages}
        if target not in named:
            hint = nearest(target, [*named, "next", "here", "first", "last"])
            raise ConfigError(f"invalid value {target!r} for the --new option{hint}")
        return named[target]

    @property
    def busy(self) -> bool:
        """Whether messages that have entered here are still on their way."""
        return self.under_way

    @property
    def under_way(self) -> bool:
        """Whether items that were fed have not left the lines yet."""
        return self._feed is not None

    def feed(self, items: Iterable[Item]) -> Feed:
        """Starts to put items into the lines. Only one feed may run at a time."""
        assert self._feed is None, "an input is fed twice at the same time"
        self._finishes = self.whole and self.open
        self._feed = Feed(self, self._travel(items))
        return self._feed

    def put(self, message: Message) -> None:
        """Puts one message into the line without waiting, for callbacks. --rate-limit does not apply to it."""
        if not self.ended and self._enter(message):
            source, self.pipeline.source = self.pipeline.source, self.stage
            try:
                self._meet(message, self.chains[message.direction], 0, patient=False)
            finally:
                self.pipeline.source = source

    def shut(self) -> None:
        """From now on no fed message enters, except items fed as a `whole`. Messages that have entered go on."""
        self.open = False

    @property
    def _refuses(self) -> bool:
        """Whether the rest of the current feed may not enter."""
        return not self.open and (not self._finishes or self.pipeline.cause is Cause.END_INPUT)

    def cancel(self) -> int:
        """Drops the messages on their way. Returns how many are lost."""
        self.open = False
        return self.cut()

    def cut(self) -> int:
        """As `cancel`, but more messages may enter after that."""
        if self._feed is None:
            return 0
        self._feed.end()
        waiting, self._waiting = self._waiting, 0
        return waiting

    def end(self) -> None:
        """Called when the stage has ended: no message enters any more."""
        self.open = False
        self.ended = True
        if self._feed is not None:
            self._feed.end()

    def _travel(self, items: Iterable[Item], behind: int = 0) -> Generator[float]:
        """Takes items through the lines. Yields the seconds to wait, as Feed.step returns them. behind: the number of
        messages, if the items are the messages of one block."""
        for item in items:
            self._waiting = 0
            self._behind = behind = max(0, behind - 1)
            if self.held:
                self._waiting = behind + count([item]) if self._finishes else 0
                while self.held:
                    yield math.inf
            if not self.open and self._refuses:
                return
            if self.pipeline.cause is not None and self._leads_nowhere():
                continue
            if not isinstance(item, Message):
                yield from self._take_block(item)
            elif self.bucket is not None and item.type_code != NOTIFICATION:  # that ends the session: it never waits
                yield from self._take_limited(item)
            elif self._enter(item):
                yield from self._travel_message(item, self.chains[item.direction], 0)

    def _leads_nowhere(self) -> bool:
        """Whether all messages from here would come to a stage that is shut. Then the stages before it don't get them
        either."""
        return all(any(callback.stage.is_shut for callback in chain) for chain in self.chains.values())

    def number(self, message: Message) -> None:
        """Sets direction and number of a message as if it entered here. It is for messages that are reported before
        they enter, or that don't enter."""
        if message.direction not in self.lines or len(self.lines) == 1:
            message.direction = self.default
        if not message.seq:
            line = self.lines[message.direction]
            message.seq = line.next_seq
            line.next_seq += 1

    def _enter(self, message: Message) -> bool:
        """Sets direction, time and number of a message. Returns whether it may enter."""
        direction = message.direction
        if direction not in self.lines or len(self.lines) == 1:
            direction = message.direction = self.default
        if not message.time:
            message.time = self.pipeline.now()
        if message.action & DROP:
            return False
        if self.conditions and not all(condition(message) for condition in self.conditions):
            self.stage.drops["of"] += 1
            return False
        line = self.lines[direction]
        if not message.seq:
            message.seq = line.next_seq
            line.next_seq += 1
        line.entered += 1
        return True

    def _take_limited(self, message: Message) -> Iterator[float]:
        """One message into a line whose rate is limited here."""
        assert self.bucket is not None
        while wait := self.bucket.take():
            if self.stage.rate_sample and self.session and message.type_code != UPDATE:
                break  # without OPENs, KEEPALIVEs and NOTIFICATIONs there is no session
            if self.stage.rate_sample:
                if self.session and not self.stage.drops["rate"]:
                    text = "--rate-sample drops UPDATEs of this session: routes will be missing or stay too long"
                    self.pipeline.log.warning(text, stage=str(self.stage))
                self.stage.drops["rate"] += 1
                return
            self._waiting = self._behind + 1 if self._finishes else 0
            yield wait
            if self._refuses:
                return
        if self._enter(message):
            yield from self._travel_message(message, self.chains[message.direction], 0)

    def _take_block(self, block: Block) -> Iterator[float]:
        if self.bucket is not None or (self.pipeline.opens_blocks and not self.session):
            marked = self._mark(block, [callback for chain in self.chains.values() for callback in chain])
            yield from self._travel(marked, len(marked) if self._finishes else 0)
            return
        left = len(block)
        if self.conditions:
            for condition in self.conditions:
                block = condition.select(block, True)
            self.stage.drops["of"] += left - len(block)
            left = len(block)
        for direction, part in self._by_direction(block):
            if self._refuses:
                return
            count = len(part)
            left -= count
            self._behind = left
            line = self.lines[direction]
            part = part.with_index(bytearray(part.index))  # the index is copied, because others may have the same block
            line.next_seq = part.stamp(direction, line.next_seq, self.pipeline.now())
            line.entered += count
            yield from self._travel_block(part, line, 0)

    def by_direction(self, item: Item) -> Iterator[tuple[str, Item]]:
        """The item with the direction in which it will travel. A block is split into blocks of one direction."""
        if not isinstance(item, Message):
            yield from self._by_direction(item)
        else:
            named = item.direction in self.lines and len(self.lines) > 1
            yield item.direction if named else self.default, item

    def _by_direction(self, block: Block) -> Iterator[tuple[str, Block]]:
        """Splits a block into runs of messages of one direction."""
        if len(self.lines) == 1:
            yield self.default, block
            return
        ours = {bits: name if name in self.lines else self.default for bits, name in FLAG_DIRECTIONS.items()}
        directions = [ours[each & (FLAG_LEFT | FLAG_RIGHT)] for each in FLAGS.of(block.index)]
        start, count = 0, len(block)
        while start < count:
            direction = directions[start]
            other = "L" if direction == "R" else "R"
            try:
                stop = directions.index(other, start)
            except ValueError:
                stop = count
            yield direction, block if stop - start == count else block.part(start, stop)
            start = stop
