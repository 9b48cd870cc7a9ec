"""Judging routes again in a session: the part that stages have in common which take back what they have let through,
and let through what they have held back, when what they judge by has changed.

A stage is a KeepsRoutes, which makes one Revalidation for each direction. The stage gives it everything that comes in,
with what became of each route, and says when something has changed:

    revalidation = self.revalidations.get(message.direction)
    revalidation.before_item()          # first thing in each callback
    revalidation.take(item, states)     # see routes.adj_rib_in
    self.note_change(change)            # soon, `judge_routes` is called: a generator that judges routes step by step

The UPDATEs that follow enter the line directly behind the stage. They are made of the table at the moment when they
enter, and only while no message that has passed the stage is still on its way: so none is ahead of a message about the
same prefix, and none comes too late. No router is asked to announce its routes again (RFC 9324).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final

from ...pipeline.input import Input
from ...pipeline.stage import Consuming, Stage
from ...routes.adj_rib_in import AdjRibIn, read_routes
from ...wire.block import Block
from ...wire.context import MAX_MESSAGE
from ...wire.errors import WireError
from ...wire.message import ROUTE_REFRESH, Message
from .bypass import Bypass
from .session_facts import receiver_facts

if TYPE_CHECKING:
    from ...filters import Filter

SLICE: Final = 0.005
"""Seconds for judging in one turn of the event loop."""
MESSAGES: Final = 64
"""UPDATEs that enter the line in one turn of the event loop."""

Work = Callable[[], Iterator[object]]
Finish = Callable[[Message, int], Iterable[Message]]


class Revalidation:
    """finish: gives what goes on of an UPDATE that announces routes again, by their verdict: with tags, communities.
    sticky: see AdjRibIn.

    withdrawn, announced: UPDATEs so far. left_out: routes whose attributes have no place in a message of the peer.
    """

    def __init__(self, stage: Stage, direction: str, *, finish: Finish | None = None, sticky: bool = False) -> None:
        self.stage = stage
        self.direction = direction
        self.table = AdjRibIn(sticky)
        self.withdrawn = self.announced = self.left_out = 0
        self._finish = finish
        self._behind = _behind(stage)
        self._works: deque[Work] = deque()
        self._running: Iterator[object] | None = None
        self._telling = self._scheduled = self._blocked = False
        self._before: list[Input] | None = None

    def take(self, item: Message | Block, states: bytes | None = None) -> None:
        """Takes what has come in: see AdjRibIn.take."""
        self.table.take(item, states)
        if isinstance(item, Message) and item.type_code == ROUTE_REFRESH and self.table.pending:
            self._telling = True  # routes that had to wait for the end of the refresh
            self._schedule()

    def forget(self, message: Message) -> None:
        """Takes an UPDATE whose announced routes are not judged: they pass, and stay."""
        try:
            withdrawn, announced = read_routes(message.update)
        except WireError:
            return
        for prefix in (*withdrawn, *(prefix for _, prefixes in announced for prefix in prefixes)):
            self.table.rib.withdraw(prefix)

    def start(self, work: Work) -> bool:
        """Judges routes again: `work` is called when those before it are done, and iterated. Then what has changed is
        told. False if the stage does not run, so that it has no routes."""
        if not self.stage.running:
            return False
        self._works.append(work)
        self._schedule()
        return True

    @property
    def busy(self) -> bool:
        """Whether routes are judged, or wait to be told."""
        return self._running is not None or self._telling or bool(self._works)

    def before_item(self) -> None:
        """Called before the stage looks at an item. All that came before on this way has left the line, so what could
        not be told between two items is told now."""
        if self._blocked and self._running is None and self._count_under_way() <= 1:
            self._blocked = False
            self._tell()

    def flush(self) -> None:
        """Called when a piece of input is through."""
        if self._blocked and not self._count_under_way():
            self._blocked = False
            self._schedule()

    def clear(self) -> None:
        """The session is over."""
        self._works.clear()
        self._running = None
        self._telling = self._blocked = False
        self.table.clear()

    def _schedule(self) -> None:
        if not self._scheduled and self.stage.running:
            self._scheduled = True
            self.stage.call_soon(self._step)

    def _step(self) -> None:
        """One turn: judges for a while, or tells what has changed."""
        self._scheduled = False
        if not self.stage.running or self.stage.pipeline.stopping:
            return
        if self._telling:
            self._tell_later()
            return
        if self._running is None and self._works:
            self._running = iter(self._works.popleft()())
        if self._running is not None:
            self._judge(self._running)
            self._schedule()

    def _judge(self, running: Iterator[object]) -> None:
        until = perf_counter() + SLICE
        for _ in running:
            if perf_counter() > until:
                return
        self._running = None
        self._telling = True

    def _tell_later(self) -> None:
        """Tells what has changed if that is possible now, or when it is."""
        if self._count_under_way():
            self._blocked = True
        elif self._behind.held:
            self.stage.pipeline.when_released(self._schedule, self.stage)
        else:
            self._tell()
            self.stage.pipeline.flush()

    def _tell(self) -> None:
        """Puts UPDATEs into the line, withdrawals first."""
        self._telling = self._tell_some() > 0
        self._schedule()

    def _tell_some(self) -> int:
        """Returns how many UPDATEs have entered the line."""
        size = self._max_message()
        gone = self.table.take_withdrawals(size, MESSAGES)
        for message in gone:
            self._put(message)
        self.withdrawn += len(gone)
        if len(gone) == MESSAGES:
            return MESSAGES
        back = self.table.take_announcements(size, MESSAGES - len(gone))
        for found, verdict in back:
            if found is None:
                self._tell_left_out()
                continue
            self.announced += 1
            found.direction = self.direction
            for each in self._finish(found, verdict) if self._finish is not None else (found,):
                self._put(each)
        return len(gone) + len(back)

    def _put(self, message: Message) -> None:
        message.direction = self.direction
        self._behind.put(message)

    def _tell_left_out(self) -> None:
        if not self.left_out:
            text = "routes can't be announced again: their path attributes have no place in a message"
            self.stage.pipeline.log.warning(text, stage=str(self.stage))
        self.left_out += 1

    def _max_message(self) -> int:
        facts = receiver_facts(self.stage.pipeline, self.direction)
        return facts.sending.max_message if facts is not None else MAX_MESSAGE

    def _count_under_way(self) -> int:
        """How many inputs have messages on their way that meet the stage, or may have met it."""
        if self._before is None:
            self._before = [
                inlet
                for stage in self.stage.pipeline.stages
                if stage is not self.stage
                for inlet in stage.inputs
                if any(callback.stage is self.stage for callback in inlet.chains.get(self.direction, ()))
            ]
        return sum(inlet.under_way for inlet in self._before)


class KeepsRoutes(Consuming):
    """A stage that keeps the routes of a session, and judges them again when something has changed.

    revalidations: by direction; none where no routes are kept. kept_conditions: the filters of --if, which the stage
    asks itself then. To be called by the class below: `attach`, `keep_routes` in `prepare`, and `forget_routes` in
    `stop`.
    """

    revalidate: Any = True
    """the option --revalidate"""

    def attach(self) -> None:
        self.revalidations: dict[str, Revalidation] = {}
        self.kept_conditions: list[Filter] = []
        self._changes: dict[str, list[Any]] = {}

    def finish(self, message: Message, verdict: int) -> Iterable[Message]:
        """What goes on of an UPDATE that announces routes again."""
        raise NotImplementedError

    def judge_routes(self, direction: str, changes: list[Any]) -> Iterator[object]:
        """Judges the routes of `revalidations[direction].table`, some at each step. changes: what has changed since
        routes were judged, the first one first."""
        raise NotImplementedError

    @property
    def may_change(self) -> bool:
        """Whether there is something to judge by that can change."""
        return True

    @property
    def is_sticky(self) -> bool:
        """See AdjRibIn."""
        raise NotImplementedError

    @property
    def keeps_routes(self) -> bool:
        """Whether there is something that can change, and a session to tell."""
        return self.revalidate and self.may_change and self.pipeline.has_session and not self.rate_sample

    def conditions(self) -> list[Filter]:
        """Without those of --if where routes are kept: the table must hear of routes that pass for other reasons."""
        found = super().conditions()
        if not self.keeps_routes:
            return found
        self.kept_conditions = found
        return []

    def is_asked(self, message: Message) -> bool:
        """Whether a message matches the filters that the stage asks itself."""
        return all(condition(message) for condition in self.kept_conditions)

    def keep_routes(self) -> None:
        if self.keeps_routes:
            self.revalidations = {
                direction: Revalidation(self, direction, finish=self.finish, sticky=self.is_sticky)
                for direction in self.watched
            }

    def forget_routes(self) -> None:
        for revalidation in self.revalidations.values():
            revalidation.clear()

    def flush(self) -> None:
        for revalidation in self.revalidations.values():
            revalidation.flush()

    def note_change(self, change: object) -> None:
        """Something has changed: routes are judged again soon, by all changes together."""
        for direction, revalidation in self.revalidations.items():
            if direction in self._changes:
                self._changes[direction].append(change)
            elif revalidation.start(partial(self._judge_soon, direction)):
                self._changes[direction] = [change]

    def _judge_soon(self, direction: str) -> Iterator[object]:
        return self.judge_routes(direction, self._changes.pop(direction))

    def status_of_routes(self) -> dict[str, Any]:
        """routes: those that are kept. judged_again: UPDATEs that followed, and routes that had no place in any."""
        kept = self.revalidations.values()
        if not kept:
            return {}
        again = {
            "withdrawals": sum(each.withdrawn for each in kept),
            "announcements": sum(each.announced for each in kept),
            "left_out": sum(each.left_out for each in kept),
        }
        return {"routes": sum(len(each.table) for each in kept), "judged_again": again}


def _behind(stage: Stage) -> Bypass:
    """The input of a stage for what it says itself, directly behind it."""
    for inlet in stage.inputs:
        if isinstance(inlet, Bypass):
            return inlet
    drop_reason = stage.drop_reason
    made = Bypass(stage)
    stage.drop_reason = drop_reason  # what does not pass is dropped, not taken
    made.connect(stage.pipeline)
    return made
