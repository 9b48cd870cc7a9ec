"""The part of a pipeline that lines and stages use. It knows nothing of the life cycle of stages.

Nothing here waits; see pipeline.py.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar

from ..wire.context import AS4, WireContext
from . import events
from .errors import Incomplete, StageError, failure
from .events import Bus, Event
from .lifecycle import Cause
from .line import Line
from .log import Log, NullLog
from .scope import Scope
from .shared import Shared
from .tracker import Tracker
from .verdict import Verdicts

if TYPE_CHECKING:
    from ..wire.caps import Capability
    from ..wire.message import Message
    from ..wire.notification import Notification
    from .stage_base import StageBase

S = TypeVar("S")


def now() -> int:
    """Microseconds since 1970 (UTC), rounded to milliseconds, which is what JSON shows of a live message."""
    return time.time_ns() // 1_000_000 * 1000


class PipelineBase(ABC, Generic[S]):
    """What lines and stages use of the pipeline: events, holding of lines, facts about the session, and the result.

    Pipeline (pipeline.py) adds the life cycle of the stages. S is the class of the stages.

    clock: seconds for limits of rate. now: microseconds since 1970 (UTC). context: for
    messages whose input names none. capabilities: those of --caps. holds: by direction, how many callers of `hold` make
    the inputs wait. opens_blocks: an event is wanted that only single messages can show. merges: --merge is given.
    """

    def __init__(
        self,
        *,
        log: Log | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = now,
        context: WireContext = AS4,
        capabilities: Sequence[Capability] = (),
    ) -> None:
        self.log: Log = log or NullLog()
        self.clock = clock
        self.now = now
        self.context = context
        self.capabilities = tuple(capabilities)
        self.stages: list[S] = []
        self.lines = {"R": Line("R"), "L": Line("L")}
        self.bus = Bus(self._on_handler_error)
        self.tracker = Tracker(self.emit)
        self.opens_blocks = False
        self.merges = False
        self.killed = False
        self.malformed_messages = 0
        """messages so far that could not be decoded in full"""
        self.verdicts = Verdicts(self.malformed)
        self._asked: set[str] = set()
        self.holds = {"R": 0, "L": 0}
        self.feeding = False
        """whether messages of a feed are on their way; `flush` is called directly after them"""
        self.source: StageBase | None = None
        """the stage that has made the messages which are on their way; None if it is not known"""
        self.full: set[tuple[str, S]] = set()
        """stages that take no more messages of a direction for now"""
        self.shared = Shared()
        self.values: dict[str, str] = {}
        """values that stages publish for other stages, such as R_LOCAL_ADDR"""
        self.cause: Cause | None = None
        """why the input has ended; None as long as messages may enter"""
        self.finishing = False
        """whether all messages have left the lines, and the stages are being stopped"""
        self.lost_messages = 0
        """messages that were still on their way when a deadline passed"""
        self.exchanged = False
        """whether its two ends have changed places, because the router that is usually called has called us"""
        self.number = 1
        """its number among the pipelines of this process, from 1"""
        self.lost = False
        """whether it stops because a peer has gone"""
        self.events: Counter[str] = Counter()
        """how often each event was emitted, with or without a handler"""
        self.errors: list[StageError] = []
        self.on_change: Callable[[], None] = lambda: None
        """called when the runner should ask what is due"""
        self.waits_for_feeds = False
        """whether only messages on their way keep the pipeline from its end: then the end of each feed is a change"""
        self.tasks: Scope
        """set by the runner"""
        self.on_kill: Callable[[str], object] = _exit
        self._released: list[tuple[S | None, Callable[[], None]]] = []
        self._session_up = False
        self._when_up: list[Callable[[], None]] = []

    # events

    def want(self, names: Iterable[str]) -> None:
        """Says that these events are wanted. If only single messages tell of them, blocks are opened."""
        names = set(names)
        self._asked |= names
        if events.SESSION_EVENTS.intersection(names) or events.ANY in names:
            self.opens_blocks = True

    def emit(
        self,
        name: str,
        *,
        message: Message | None = None,
        direction: str = "",
        values: tuple[Any, ...] = (),
        error: Exception | None = None,
        stage: str = "",
        notification: Notification | None = None,
    ) -> None:
        """Emits an event."""
        self.events[name] += 1
        if not self.bus.wanted(name):
            return
        direction = direction or (message.direction if message else "")
        self._deliver(
            Event(
                name,
                time=self.now(),
                direction=direction,
                message=message,
                error=error,
                stage=stage,
                values=values,
                notification=notification,
            )
        )

    def _deliver(self, event: Event) -> None:
        """Gives an event to its handlers."""
        self.bus.emit(event)

    def malformed(self, message: Message, error: Exception, *more: str) -> None:
        """Counts a message that can't be decoded in full, and emits the event PARSE; see Verdicts."""
        self.malformed_messages += 1
        self.emit(events.PARSE, message=message, error=error, values=more)

    # holding: sinks that are full, stages that are being prepared

    def hold(self, directions: str = "RL", stage: S | None = None) -> None:
        """Makes the inputs into these lines wait, until `release` was called as often. With a stage, only inputs whose
        messages
        reach that stage wait: the stage may itself wait for messages of the others."""
        if stage is not None:
            self.full.update((direction, stage) for direction in directions)
            return
        for direction in directions:
            self.holds[direction] += 1

    def release(self, directions: str = "RL", stage: S | None = None) -> None:
        if stage is not None:
            self.full.difference_update([(direction, stage) for direction in directions])
        else:
            for direction in directions:
                self.holds[direction] -= 1
        if not all(self.holds[direction] for direction in directions):
            waiting, self._released = self._released, []
            for stage, call in waiting:
                self._guard(stage, call)

    def when_released(self, call: Callable[[], None], stage: S | None = None) -> None:
        """Calls the function once, when no line is held; at once if none is."""
        if any(self.holds.values()) or self.full:
            self._released.append((stage, call))
        else:
            call()

    # the session, where a stage is an end of it

    @property
    @abstractmethod
    def originates_session(self) -> bool:
        """Whether a stage of the pipeline originates the session (a speaker)."""

    @property
    @abstractmethod
    def has_session(self) -> bool:
        """Whether messages of a BGP session enter here, and not only those of archives and programs."""

    def session_up(self) -> None:
        """Called when UPDATEs can be sent."""
        self._session_up = True
        waiting, self._when_up = self._when_up, []
        for call in waiting:
            self._guard(None, call)

    def when_up(self, call: Callable[[], None]) -> None:
        """Calls the function once, when UPDATEs can be sent; at once if the pipeline has no speaker."""
        if self._session_up or not self.originates_session:
            call()
        else:
            self._when_up.append(call)

    # its end

    @property
    def stopping(self) -> bool:
        """Whether the input has ended, so that the end of a session is expected."""
        return self.cause is not None or self.finishing

    @property
    def failed(self) -> bool:
        """Whether a stage has failed."""
        return not all(isinstance(error, Incomplete) for error in self.errors)

    @property
    def error(self) -> StageError | None:
        """The result: the first failure, else the first thing that is incomplete; None if there is none."""
        failures = [error for error in self.errors if not isinstance(error, Incomplete)]
        return next(iter(failures or self.errors), None)

    @property
    def outcome(self) -> str:
        """Why the pipeline stops or has stopped, in one word."""
        if self.error is not None:
            return self.error.reason
        return "stopped" if self.cause is not None else "finished"

    @abstractmethod
    def end_input(self, cause: Cause = Cause.END_INPUT) -> None:
        """Ends the input. Messages on their way take their time; then programs are drained."""

    def stop(self) -> None:
        """Ends the pipeline as a signal does: the input ends, and messages on their way get some seconds."""
        self.end_input(Cause.SIGNAL)

    @abstractmethod
    def fail(self, error: StageError) -> None:
        """Called when a stage has failed. The pipeline ends, the first such error is its result, and peers get a
        NOTIFICATION at once.

        Damaged input ends nothing: what else there is to read is read.
        """

    @abstractmethod
    def end(self, stage: S) -> None:
        """A stage has come to its end: it lets nothing in any more, and its callbacks are off. `stop` is due when what
        it has let in is through."""

    @abstractmethod
    def kill(self, reason: str, event: Event | None = None) -> None:
        """Ends the process at once, or only this session if there are many. The first reason counts.

        event: the one that is the reason. If it has a NOTIFICATION, the peers hear of the end before.
        """

    @abstractmethod
    def end_session(self, side: str, notification: Notification, error: StageError) -> None:
        """Ends the session because of what the peer at a side, "L" or "R", has sent. It gets the NOTIFICATION, unless
        the session has failed before; the other peer gets Cease/2."""

    @abstractmethod
    def flush(self) -> None:
        """Asks all stages to pass on what they have collected, because a piece of input is through."""

    def _on_handler_error(self, owner: object, error: Exception) -> None:
        self.fail(failure(owner or "event handler", error))

    def _guard(self, stage: S | None, call: Callable[[], object]) -> object:
        """Calls a function of a stage. If it raises, the pipeline fails with an error that names the stage."""
        try:
            return call()
        except Exception as error:
            self.log.debug("unexpected error", stage=str(stage or "pipeline"), exc_info=error)
            self.fail(failure(stage or "pipeline", error))
            return None


def _exit(reason: str) -> NoReturn:
    raise SystemExit(1)
