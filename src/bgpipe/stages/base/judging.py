"""What `rov` and `aspa` have in common: they judge the routes of an UPDATE, tag it, take what is invalid out of it, and
judge again what they have let through or held back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

from ...pipeline.options import FLAG, TEXT, Option
from ...routes.adj_rib_in import OUT, VERDICT_SHIFT, WANTED
from ...rpki.judged_block import JudgedBlock, renew_tags
from ...rpki.snapshot import Snapshot
from ...wire.block import Block
from ...wire.errors import WireError
from ...wire.item import Item
from ...wire.message import UPDATE, Message
from ...wire.routes_apart import RoutesApart
from ...wire.update import Update
from .editing import InOrder, handle_each, part_of
from .revalidation import KeepsRoutes, Revalidation
from .session_facts import sender_facts
from .validating import Validating

VALID: Final = 0
UNKNOWN: Final = 1
"""NOT_FOUND of rov."""
INVALID: Final = 2
PASS: Final = OUT | WANTED
QUICK_SLOTS: Final = 1 << 13
"""Places of a table that accel looks at in one step: at most some milliseconds."""


class Judged(NamedTuple):
    """verdicts: of each announced unicast route, in the order of `apart`. tags: of the message."""

    apart: RoutesApart
    verdicts: Sequence[int]
    tags: dict[str, str]


class Judging(KeepsRoutes, Validating):
    """A stage with verdicts about routes. `judge` gives those of an UPDATE, `judge_again` goes through the routes of a
    session when something has changed."""

    prefix = ""
    """what the names of its tags begin with"""
    invalid: Any = "withdraw"
    """what becomes of invalid routes: withdraw, filter, drop, split or keep"""

    tag = Option(FLAG, True, "tag messages with the verdict; --tag=false does not")
    event_name = Option(
        TEXT, "", "emit this event for each message with an invalid route", name="event", metavar="NAME"
    )
    revalidate = Option(
        FLAG,
        True,
        "in sessions, keep the routes and judge them again when RPKI data change; --revalidate=false does not",
    )

    def attach(self) -> None:
        super().attach()
        self.own_events = (self.event_name,) if self.event_name else ()
        self.counts = {"messages": 0, "valid": 0, "invalid": 0, self.unknown_name: 0}
        self.watch(self.on_message, on_block=self.on_block)

    unknown_name = "unknown"
    """the metric of routes that are neither valid nor invalid"""

    # what a stage is

    def judge(self, message: Message) -> Judged | None:
        """The verdicts about an UPDATE; None if there is nothing to judge. Raises WireError."""
        raise NotImplementedError

    def judge_again(self, direction: str, snapshots: Sequence[Snapshot]) -> Iterator[object]:
        """Judges the routes of `revalidations[direction].table` by the snapshot that counts, some at each step.

        snapshots: those that have followed each other: a route may have been judged by any of them.
        """
        raise NotImplementedError

    def sender(self, direction: str) -> int:
        """The AS number of the peer that sends the messages of a direction; 0 without a session, or before its OPEN."""
        facts = sender_facts(self.pipeline, direction)
        return facts.peer_open.asn if facts is not None and facts.peer_open is not None else 0

    # sessions

    @property
    def is_sticky(self) -> bool:
        return self.invalid in ("filter", "drop")

    @property
    def announces_again(self) -> bool:
        """Whether a route that goes on is announced again when its verdict has changed."""
        return self.invalid == "keep" and self.tag

    async def prepare(self) -> None:
        await super().prepare()
        self.keep_routes()

    async def stop(self) -> None:
        await super().stop()
        self.forget_routes()

    def on_snapshot(self, old: Snapshot, new: Snapshot) -> None:
        self.note_change(old)

    def judge_routes(self, direction: str, changes: list[Any]) -> Iterator[object]:
        return self.judge_again(direction, [*changes, self.rpki.snapshot])

    def status(self) -> dict[str, Any]:
        return {"metrics": dict(self.counts)} | self.status_of_routes()

    # messages

    def on_message(self, message: Message) -> bool | list[Message]:
        revalidation = self.revalidations.get(message.direction)
        if revalidation is not None:
            revalidation.before_item()
        return self._handle(message, revalidation)

    def on_block(self, block: Block) -> Block | list[Item]:
        revalidation = self.revalidations.get(block.message(0).direction) if self.revalidations else None
        if revalidation is not None:
            revalidation.before_item()
        return self.handle_block(block, revalidation)

    def handle_block(self, block: Block, revalidation: Revalidation | None) -> Block | list[Item]:
        return self.handle_messages(block, range(len(block)), revalidation)

    def handle_messages(
        self, block: Block, positions: Iterable[int], revalidation: Revalidation | None, *, counted: bool = False
    ) -> Block | list[Item]:
        """What is left of a block when the messages at these positions were handled one by one. A message that stays
        one message stays in the block. counted: whether their verdicts were counted before."""
        return handle_each(block, positions, partial(self._handle, revalidation=revalidation, counted=counted))

    def _handle(
        self, message: Message, revalidation: Revalidation | None, counted: bool = False
    ) -> bool | list[Message]:
        """What goes on of a message: False for nothing, True for the message, which may have changed."""
        if message.type_code != UPDATE:
            if revalidation is not None:
                revalidation.take(message)
            return True
        if not self.is_asked(message):
            if revalidation is not None:
                revalidation.forget(message)
            return True
        try:
            judged = self.judge(message)
        except WireError:
            return True  # nobody knows which routes it is about
        if judged is None:
            if revalidation is not None:
                revalidation.forget(message)
            return True
        if not counted:
            self.count(judged.verdicts)
        if revalidation is not None:
            revalidation.take(message, self.states(judged.verdicts))
        return self.act(message, judged)

    def count(self, verdicts: Sequence[int]) -> None:
        self.counts["messages"] += 1
        self.counts["valid"] += verdicts.count(VALID)
        self.counts["invalid"] += verdicts.count(INVALID)
        self.counts[self.unknown_name] += verdicts.count(UNKNOWN)

    def states(self, verdicts: Sequence[int]) -> bytes:
        """What becomes of routes, as the table has it."""
        if self.invalid == "keep":
            return bytes(PASS | each << VERDICT_SHIFT for each in verdicts)
        if self.invalid == "drop" and INVALID in verdicts:
            return bytes(each << VERDICT_SHIFT for each in verdicts)
        return bytes((0 if each == INVALID else PASS) | each << VERDICT_SHIFT for each in verdicts)

    def states_of(self, message: Message) -> bytes | None:
        """What becomes of the routes of a message."""
        try:
            judged = self.judge(message) if message.type_code == UPDATE else None
        except WireError:
            return None
        return self.states(judged.verdicts) if judged is not None else None

    def handle_judged(self, judged: JudgedBlock) -> Block | list[Item]:
        """What is left of a block whose verdicts are counted and in its tags."""
        slow, empty = set(judged.unfit), set[int]()
        before = judged.block
        if self.invalid != "keep":
            slow.update(judged.invalid)
            if judged.cuttable:
                quick, empty = self._take_out(judged)
                slow -= quick
        told = self.tell_in_order(before, [position for position in judged.invalid if position not in slow])
        block = judged.block
        if slow:
            handle = partial(self._handle, revalidation=None, counted=True)
            return handle_each(block, sorted(slow), handle, empty, told.before)
        told.before(len(block))
        return block.without(sorted(empty)) if empty else block

    def _take_out(self, judged: JudgedBlock) -> tuple[set[int], set[int]]:
        """Takes invalid routes out of messages in compiled code. Returns the positions of messages that are done with,
        and of those among them of which nothing is left."""
        if self.invalid == "drop":
            return set(judged.cuttable), set(judged.cuttable)
        if self.invalid not in ("withdraw", "filter"):
            return set(), set()
        empty, declined = judged.cut(self.invalid == "withdraw")
        return set(judged.cuttable).difference(declined), set(empty)

    def tell_in_order(self, block: Block, positions: Sequence[int]) -> InOrder:
        """Emits the events of messages that are not handled one by one. Those that nobody hears are only counted."""
        if not self.hears_events(len(positions)):
            positions = ()
        return InOrder(positions, lambda number: self._tell(block.message(positions[number])))

    def hears_events(self, count: int) -> bool:
        """Whether somebody hears of invalid messages. If not, so many events are counted here."""
        name = f"{self.name}/{self.event_name}"
        if self.event_name and not self.pipeline.bus.wanted(name):
            if count:
                self.pipeline.events[name] += count
            return False
        return bool(self.event_name)

    # what becomes of a judged message

    def act(self, message: Message, judged: Judged) -> bool | list[Message]:
        """Tags a message, tells of what is invalid, and takes it out."""
        invalid = [place for place, verdict in enumerate(judged.verdicts) if verdict == INVALID]
        if self.tag:
            self.set_tags(message, judged.tags)
        if invalid and self.invalid != "split":
            self._tell(message)
        if self.marks:
            return self._marked(message, judged, invalid)
        if not invalid or self.invalid == "keep":
            return True
        if self.invalid == "drop":
            return False
        left = [place for place, verdict in enumerate(judged.verdicts) if verdict != INVALID]
        if self.invalid == "split":
            return self._split(message, judged, left, invalid)
        bodies = judged.apart.announce(left, invalid if self.invalid == "withdraw" else ())
        if len(bodies) == 1:
            message.update = Update(bodies[0], message.context)
            return True
        return [self.made(message, body) for body in bodies] if bodies else False

    marks = False
    """whether verdicts are marked with communities, so that routes with different verdicts can't share a message"""

    def _marked(self, message: Message, judged: Judged, invalid: list[int]) -> bool | list[Message]:
        """The parts of a message, each with the routes of one verdict and its mark."""
        if self.invalid == "drop" and invalid:
            return False
        apart, wanted = judged.apart, range(3) if self.invalid == "keep" else range(2)
        groups = {
            verdict: places
            for verdict in wanted
            if (places := [place for place, each in enumerate(judged.verdicts) if each == verdict])
        }
        gone = invalid if self.invalid == "withdraw" else []
        made: list[Message] = []
        first = next(iter(groups), VALID)
        for body in apart.announce(groups.pop(first, ()), gone):
            made += self.marked(self.made(message, body), first)
        for verdict, places in groups.items():
            made += self.marked(self.made(message, apart.announce_alone(places)), verdict)
        if self.tag:
            for each in made:
                self.set_tags(each, self.tags_within(each, judged.tags) or judged.tags)
        if self.invalid == "split" and invalid:
            made += self._withdrawn(message, judged, invalid)
        return made or False

    def marked(self, message: Message, verdict: int) -> list[Message]:
        """A message that announces routes with a verdict, with its mark."""
        return [message]

    def _split(self, message: Message, judged: Judged, left: list[int], invalid: list[int]) -> bool | list[Message]:
        """The message without its invalid routes, then one that withdraws them."""
        rest = [self.made(message, body) for body in judged.apart.announce(left)]
        if self.tag:
            for each in rest:
                self.set_tags(each, self.tags_within(each, judged.tags))
        return [*rest, *self._withdrawn(message, judged, invalid)]

    def _withdrawn(self, message: Message, judged: Judged, invalid: list[int]) -> list[Message]:
        """A message that withdraws the invalid routes of another one, with its number."""
        gone = [self.made(message, body) for body in judged.apart.withdraw(invalid)]
        for each in gone:
            each.seq = message.seq
            self.set_tags(each, self.invalid_tags)
            self._tell(each)
        return gone

    @property
    def invalid_tags(self) -> dict[str, str]:
        """The tags of a message that only withdraws invalid routes."""
        return {f"{self.prefix}/status": "INVALID"} if self.tag else {}

    def tags_within(self, message: Message, tags: dict[str, str]) -> dict[str, str]:
        """Those of the tags that are about routes which a part of a message announces."""
        return tags

    def set_tags(self, message: Message, tags: dict[str, str]) -> None:
        """Gives a message these tags of the stage, and no older ones."""
        message.tags = self.renew_tags(message.tags, tags)

    def renew_tags(self, old: Mapping[str, str], tags: Mapping[str, str]) -> dict[str, str]:
        return renew_tags(old, f"{self.prefix}/", tags)

    def _tell(self, message: Message) -> None:
        if self.event_name:
            self.event(self.event_name, message)

    made = staticmethod(part_of)
