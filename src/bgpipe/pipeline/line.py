"""The two lines that messages travel, and their inputs.

Messages go one by one or in blocks. A block stays whole through the callbacks that can work on blocks; before the
first that cannot, it is opened into messages.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from ..wire.block import FLAG_CHECKED, FLAG_DIRECTIONS, FLAG_LEFT, FLAG_RIGHT, FLAG_TOLD, FLAGS, Block
from ..wire.item import Item, count
from ..wire.message import NOTIFICATION, UPDATE, Message
from .callback import Callback
from .errors import ConfigError, StageError, failure, nearest
from .lifecycle import Cause, Kind
from .rate import TokenBucket

if TYPE_CHECKING:
    from ..filters import Filter
    from .pipeline import Pipeline
    from .stage import Stage

DROP: Final = 2
ACCEPT: Final = 4
"""Bits of Message.action: leave the line here; pass by all further stages."""


class Line:
    """One direction. Messages enter it at its inputs, pass the callbacks of the stages, and leave it at the end."""

    def __init__(self, direction: str) -> None:
        self.direction = direction
        self.next_seq = 1
        self.callbacks: list[Callback] = []
        """in the order in which messages meet them"""
        self.outputs: list[Callable[[Item], None]] = []
        """who takes what leaves the line; with none, it is gone"""
        self.entered = 0
        self.left = 0
        """messages so far"""


class Feed:
    """Items on their way into the lines, from `Input.feed` on until `step` returns None or `end` is called."""

    __slots__ = ("_inlet", "_running", "_travel", "failed")

    def __init__(self, inlet: Input, travel: Generator[float]) -> None:
        self.failed = 0
        """messages of the item under way behind the one at which a stage has raised"""
        self._inlet = inlet
        self._travel = travel
        self._running = False

    def step(self) -> float | None:
        """Goes on. Returns how many seconds to wait before the next step, infinity for until the pipeline is released
        (Pipeline.when_released), and None when all is through. Raises StageError, which names the stage that failed.
        """
        self._running = True
        try:
            wait = next(self._travel, None)
        except BaseException:
            self._running = False
            self.failed = self._inlet._behind
            self.end()
            raise
        self._running = False
        if wait is None:
            self.end()
        return wait

    def end(self) -> None:
        """Drops the items that have not left the lines."""
        if self._running:  # a stage that met a message has asked for it: the input is shut, which ends it
            return
        self._travel.close()
        inlet = self._inlet
        if inlet._feed is self:
            inlet._feed = None
            if not inlet.open:
                inlet.pipeline.on_change()


class Input:
    """An input into the lines of a stage's directions, with the callbacks that its messages pass."""

    def __init__(self, stage: Stage, session: bool) -> None:
        self.stage = stage
        self.own = True
        """whether its stage has made what enters here; else it only passes by the stage, and was let in elsewhere"""
        self.open = True
        """whether it lets in more of what it is fed"""
        self.ended = False
        """whether its stage is over: nothing at all enters any more"""
        self.session = session
        self.tracked = session
        """whether its messages are those of one session, whose events somebody may want"""
        self.whole = False
        """whether a feed that has begun is let in as a whole, also when the input is shut meanwhile: what was read from
        a peer, nobody can read again. Only who has seen enough (Pipeline.end_input) cuts it off"""
        self.pipeline: Pipeline
        self.lines: dict[str, Line] = {}
        self.chains: dict[str, list[Callback]] = {}
        self._ahead: dict[str, frozenset[Stage]] = {}
        """the stages of the chains"""
        self.conditions: list[Filter] = []
        self.bucket: TokenBucket | None = None
        self.default = ""
        """direction of messages that name none of ours"""
        self._wait = 0.0
        self._entry = 0
        self._feed: Feed | None = None
        self._finishes = False
        """whether what is being fed is let in as a whole"""
        self._waiting = 0
        """messages that were let in, or will be, and wait, as of the last yield of `_travel`"""
        self._behind = 0
        """messages of the same item that come after the part which is under way"""

    def connect(self, pipeline: Pipeline) -> None:
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
        named = {other.name: other.index for other in self.stage.pipeline.stages}
        if target not in named:
            hint = nearest(target, [*named, "next", "here", "first", "last"])
            raise ConfigError(f"invalid value {target!r} for the --new option{hint}")
        return named[target]

    @property
    def held(self) -> bool:
        """Whether a line into which messages go from here, or a stage that they pass, is held."""
        holds = self.pipeline.holds
        if (holds["R"] and "R" in self.lines) or (holds["L"] and "L" in self.lines):
            return True
        full = self.pipeline.full
        if not full or self.stage.kind is Kind.TRANSFORMER:
            return False  # what is under way in the stage was let in before; two of them must not wait for each other
        return any(stage in self._ahead.get(direction, ()) for direction, stage in full)

    @property
    def busy(self) -> bool:
        """Whether messages that have entered here are still on their way."""
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
            self._meet(message, self.chains[message.direction], 0, patient=False)

    def shut(self) -> None:
        """From now on no fed message enters, except items fed as a `whole`. Messages that have entered go on."""
        self.open = False

    @property
    def _refuses(self) -> bool:
        """Whether nothing more is let in of what is being fed."""
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
        """Takes items through the lines; yields whenever who feeds must wait: see Feed.step. behind: how many messages
        these are, if they come out of one block."""
        for item in items:
            self._waiting = 0
            self._behind = behind = max(0, behind - 1)
            if self.held:
                self._waiting = behind + _count([item]) if self._finishes else 0
                while self.held:
                    yield math.inf
            if self._refuses:
                return
            if self.pipeline.cause is not None and self._leads_nowhere():
                continue
            if not isinstance(item, Message):
                yield from self._take_block(item)
            elif self.bucket is not None and item.type_code != NOTIFICATION:  # which ends the session: it never waits
                yield from self._take_limited(item)
            elif self._enter(item):
                yield from self._travel_message(item, self.chains[item.direction], 0)

    def _leads_nowhere(self) -> bool:
        """Whether all that enters here comes to a stage that is shut: then nobody before that sees it either."""
        return all(any(callback.stage.is_shut for callback in chain) for chain in self.chains.values())

    def _travel_message(self, message: Message, chain: list[Callback], start: int) -> Iterator[float]:
        at = self._meet(message, chain, start)
        while at >= 0:
            self._waiting = self._behind + 1
            yield self._wait
            at = self._meet(message, chain, at)

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
        """Gives a message what every message in a line has; whether it may enter."""
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

    def _meet(self, message: Message, chain: list[Callback], start: int, *, patient: bool = True) -> int:
        """Takes a message past the callbacks from number `start` on; -1, or the number of one that wants it to wait for
        `_wait` seconds, unless we are not `patient`."""
        for number in range(start, len(chain)):
            callback = chain[number]
            stage = callback.stage
            if not stage.running or (message.action & ACCEPT and not stage.hidden):
                continue
            if callback.decodes and not message.verdict & FLAG_CHECKED:
                self.pipeline.verdicts.judge(message, self.stage.kind is Kind.TRANSFORMER)
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
                stage.drops["taken" if stage.inputs else "dropped"] += 1
                return -1
            if isinstance(left, list):
                if not left:
                    stage.drops["taken" if stage.inputs else "dropped"] += 1
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

    def _take_block(self, block: Block) -> Iterator[float]:
        if self.bucket is not None or (self.pipeline.opens_blocks and not self.session):
            marked = self._mark(block, [callback for chain in self.chains.values() for callback in chain])
            yield from self._travel(marked, len(marked) if self._finishes else 0)
            return
        whole = len(block)
        for condition in self.conditions:
            block = condition.select(block, True)
        if self.conditions:
            self.stage.drops["of"] += whole - len(block)
        left = len(block)
        for direction, part in self._by_direction(block):
            if self._refuses:
                return
            left -= len(part)
            self._behind = left
            line = self.lines[direction]
            part = part.with_index(bytearray(part.index))  # who made the block may keep it, or give it to other lines
            line.next_seq = part.stamp(direction, line.next_seq, self.pipeline.now())
            line.entered += len(part)
            yield from self._travel_block(part, line, 0)

    def by_direction(self, item: Item) -> Iterator[tuple[str, Item]]:
        """The item with the direction in which it will travel. A block is split into blocks of one direction."""
        if not isinstance(item, Message):
            yield from self._by_direction(item)
        else:
            named = item.direction in self.lines and len(self.lines) > 1
            yield item.direction if named else self.default, item

    def _by_direction(self, block: Block) -> Iterator[tuple[str, Block]]:
        """A block in runs of messages of one direction."""
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
            if callback.decodes and block is not judged:
                block, unknown = self.pipeline.verdicts.mark(block)
                if callback.ending and unknown:
                    yield from self._open_block(block, chain, number)  # the input may end before they are met
                    return
                self.pipeline.verdicts.judge_block(block, unknown, self.stage.kind is Kind.TRANSFORMER)
                judged = block
            if limited:
                yield from self._limit_block(block, line, number)
                return
            try:
                left = callback.pass_block(block)
            except Exception as error:
                self._behind += len(block) - 1
                raise failure(callback.stage, error) from error
            if gone := len(block) - _count(left):
                callback.stage.drops["taken" if callback.stage.inputs else "dropped"] += max(0, gone)
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
        """A block that is to be opened: of what is beyond doubt well-formed, no stage asks again."""
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
    message.verdict |= old.verdict & FLAG_TOLD
    message.time = message.time or old.time
    return message
