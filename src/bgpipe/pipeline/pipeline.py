"""The pipeline: stages between a left and a right end, two lines, and the life cycle of stages.

Nothing here waits. What must be awaited (prepare, run, stop of stages) is handed out to a runner, which tells the
pipeline how it went; see runtime/runner.py.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from ..wire.context import AS4, WireContext
from ..wire.notification import Notification
from . import events
from .errors import DamagedInput, StageError, failure, nearest
from .events import Bus, Event
from .lifecycle import Action, Cause, Kind, Record, StageState, next_step
from .log import Log, NullLog
from .metrics import SIDES
from .passage import Line
from .scope import Scope
from .shared import Shared
from .tracker import Tracker
from .verdict import Verdicts

if TYPE_CHECKING:
    from ..wire.caps import Capability
    from ..wire.message import Message
    from .stage import Stage


def now() -> int:
    """Microseconds since 1970 (UTC), rounded to milliseconds, which is what JSON shows of a live message."""
    return time.time_ns() // 1_000_000 * 1000


class Pipeline:
    """Stages, lines and events.

    clock: seconds for limits of rate. now: microseconds since 1970 (UTC). context: how messages are read that come
    without saying it. capabilities: what --caps says. holds: by direction, how many have asked the inputs to wait.
    opens_blocks: somebody wants to know of events of which only single messages tell. merges: inputs that are read in
    order are merged by time.
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
        self.stages: list[Stage] = []
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
        """whether messages are on their way that an input was fed, and `flush` comes right after them"""
        self.full: set[tuple[str, Stage]] = set()
        """stages that take no more in a direction for now"""
        self.shared = Shared()
        self.values: dict[str, str] = {}
        """what stages know of the session and others may use, such as R_LOCAL_ADDR"""
        self.cause: Cause | None = None
        """why nothing more is let in, None as long as it is"""
        self.finishing = False
        """whether all is through, and the stages are being stopped"""
        self.lost_messages = 0
        """messages that were under way when the time for them was over"""
        self.exchanged = False
        """whether its two ends have changed places, because the router has called that is usually called"""
        self.number = 1
        """which it is of the pipelines of this process"""
        self.lost = False
        """whether it stops because a peer is gone"""
        self.events: Counter[str] = Counter()
        """how often each event has happened, whether or not anybody heard of it"""
        self.errors: list[StageError] = []
        self.on_change: Callable[[], None] = lambda: None
        """called when there is something to hand out"""
        self.tasks: Scope
        """set by who runs it"""
        self.on_kill: Callable[[str], object] = _exit
        self._states: dict[Stage, StageState] = {}
        self._due: deque[list[Stage]] = deque()
        self._ended: list[Stage] = []
        self._draining: list[Stage] = []
        self._released: list[tuple[Stage | None, Callable[[], None]]] = []
        self._speaking = False
        self._when_up: list[Callable[[], None]] = []
        self._starting: list[Stage] = []
        """those that the event on its way has started so far"""

    # building

    def add(self, stage: Stage, *, index: int, hidden: bool = False) -> None:
        """Adds a stage at the right. A hidden one is not part of the row, and gets what leaves the row."""
        stage.pipeline = self
        stage.index = index
        stage.hidden = hidden
        self.stages.append(stage)
        self._states[stage] = StageState.WAITING

    def want(self, names: Iterable[str]) -> None:
        """Says that these events are wanted. If only single messages tell of them, blocks are opened."""
        names = set(names)
        self._asked |= names
        if events.SESSION_EVENTS.intersection(names) or events.ANY in names:
            self.opens_blocks = True

    # events

    def unknown_events(self) -> list[str]:
        """Event names that options ask for and no stage emits, each with the name that may be meant."""
        known = {events.ANY, *events.PIPE_EVENTS}
        for stage in self.stages:
            known.update(f"{stage.name}/{what}" for what in (*events.STAGE_EVENTS, *stage.own_events))
        return [name + nearest(name, known) for name in sorted(self._asked - known)]

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
        """Emits an event. The stages that it starts are prepared together."""
        self.events[name] += 1
        if not self.bus.wanted(name):
            return
        direction = direction or (message.direction if message else "")
        outer, self._starting = self._starting, []
        self.bus.emit(
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
        started, self._starting = self._starting, outer
        if started:
            self.hold()  # no message passes by a stage that its forerunner has woken
            self._due.append(started)
            self.on_change()

    def malformed(self, message: Message, error: Exception, *more: str) -> None:
        """Counts a message that can't be decoded in full, and emits the event PARSE; see Verdicts."""
        self.malformed_messages += 1
        self.emit(events.PARSE, message=message, error=error, values=more)

    # holding: sinks that are full, stages that are being prepared

    def hold(self, directions: str = "RL", stage: Stage | None = None) -> None:
        """Asks the inputs into these lines to wait, until as many have released. With a stage, only the inputs whose
        messages it meets: others may be where its own messages go, and be what it waits for."""
        if stage is not None:
            self.full.update((direction, stage) for direction in directions)
            return
        for direction in directions:
            self.holds[direction] += 1

    def release(self, directions: str = "RL", stage: Stage | None = None) -> None:
        if stage is not None:
            self.full.difference_update([(direction, stage) for direction in directions])
        else:
            for direction in directions:
                self.holds[direction] -= 1
        if not all(self.holds[direction] for direction in directions):
            waiting, self._released = self._released, []
            for stage, call in waiting:
                self._guard(stage, call)

    def when_released(self, call: Callable[[], None], stage: Stage | None = None) -> None:
        """Calls the function once, when no line is held; at once if none is."""
        if any(self.holds.values()) or self.full:
            self._released.append((stage, call))
        else:
            call()

    # the session, where a stage is an end of it: what comes from elsewhere has to wait for it

    @property
    def originates_session(self) -> bool:
        """Whether a stage of the pipeline originates the session (a speaker)."""
        return any(stage.originates_session for stage in self.stages)

    @property
    def has_session(self) -> bool:
        """Whether messages of a BGP session enter here, and not only those of archives and programs."""
        return any(inlet.session for stage in self.stages for inlet in stage.inputs)

    def session_up(self) -> None:
        """Called when UPDATEs can be sent."""
        self._speaking = True
        waiting, self._when_up = self._when_up, []
        for call in waiting:
            self._guard(None, call)

    def when_up(self, call: Callable[[], None]) -> None:
        """Calls the function once, when UPDATEs can be sent; at once if the pipeline has no speaker."""
        if self._speaking or not self.originates_session:
            call()
        else:
            self._when_up.append(call)

    # life: a runner asks for what is due, does it, and tells

    def start(self) -> None:
        self.emit(events.START)

    def wake(self, stage: Stage) -> None:
        """Starts a stage whose event has come. It is prepared together with the others that wait for the event."""
        if self._states[stage] is StageState.WAITING and self.cause is None:
            self._states[stage] = StageState.STARTING
            self._starting.append(stage)

    def take_due(self) -> list[Stage] | None:
        """The stages to prepare, in this order. The runner then calls `started`."""
        if not self._due:
            return None
        return sorted(self._due.popleft(), key=lambda stage: (not stage.hidden, stage.index), reverse=True)

    def preparing(self, stage: Stage) -> None:
        self.emit(f"{stage.name}/PREPARE", stage=str(stage))

    def ready(self, stage: Stage) -> None:
        self.emit(f"{stage.name}/READY", stage=str(stage))

    def started(self, stages: list[Stage]) -> None:
        """Called when all stages of a batch are prepared. Their callbacks are switched on, and they are to be run."""
        for stage in stages:
            if self._states[stage] is StageState.STARTING:
                self._states[stage] = StageState.RUNNING
                stage.running = True
        for stage in stages:
            if stage.running:
                self.emit(f"{stage.name}/START", stage=str(stage))
        self.release()

    def drain(self, stage: Stage) -> None:
        """Drains a transformer: it gets no more messages, makes its last ones, and its `run` returns."""
        self._states[stage] = StageState.DRAINING
        stage.drain()

    def stop_stage(self, stage: Stage) -> None:
        """What --stop says: the stage takes no further part. What it has let in goes on; a program is drained first,
        and what comes meanwhile waits behind that."""
        state = self._states[stage]
        if state is StageState.RUNNING and stage.kind is Kind.TRANSFORMER and stage.drains_first():
            self.drain(stage)
            self.on_change()
        else:
            self.end(stage)

    def end(self, stage: Stage) -> None:
        """A stage has come to its end: it lets nothing in any more, and its callbacks are off. `stop` is due when what
        it has let in is through."""
        state = self._states[stage]
        if state in (StageState.STOPPING, StageState.ENDED):
            return
        if state in (StageState.RUNNING, StageState.DRAINING) and not self.finishing:
            self._guard(stage, stage.before_stop)
        for inlet in stage.inputs:
            inlet.shut()
        stage.running = False
        self._states[stage] = StageState.ENDED if state is StageState.WAITING else StageState.STOPPING
        if state is not StageState.WAITING:
            self._ended.append(stage)
            self.on_change()

    def finish_input(self, stage: Stage) -> None:
        """Called when the `run` of a stage that makes messages has returned."""
        for inlet in stage.inputs:
            inlet.shut()
        if stage.inputs and (not stage.callbacks or self._states[stage] is StageState.DRAINING):
            self.end(stage)

    def take_ended(self) -> Stage | None:
        """A stage to stop, with no messages on their way. The runner then calls `stopped`."""
        for stage in self._ended:
            if not any(inlet.busy for inlet in stage.inputs):
                self._ended.remove(stage)
                return stage
        return None

    def stopped(self, stage: Stage) -> None:
        self._states[stage] = StageState.ENDED
        for inlet in stage.inputs:
            inlet.end()
        self.emit(f"{stage.name}/STOP", stage=str(stage))

    def state(self, stage: Stage) -> StageState:
        return self._states[stage]

    def is_running(self, stage: Stage) -> bool:
        """Whether it takes part: callbacks may be off and inputs shut, but `stop` is not due."""
        return self._states[stage] in (StageState.RUNNING, StageState.DRAINING)

    @property
    def stopping(self) -> bool:
        """Whether the input has ended, so that the end of a session is expected."""
        return self.cause is not None or self.finishing

    @property
    def failed(self) -> bool:
        """Whether a stage has failed."""
        return not all(isinstance(error, DamagedInput) for error in self.errors)

    @property
    def error(self) -> StageError | None:
        """The result: the first failure, else the first damage; None if there is none."""
        failures = [error for error in self.errors if not isinstance(error, DamagedInput)]
        return next(iter(failures or self.errors), None)

    @property
    def outcome(self) -> str:
        """Why the pipeline stops or has stopped, in one word."""
        if self.error is not None:
            return self.error.reason
        return "stopped" if self.cause is not None else "finished"

    def records(self) -> list[Record]:
        """The records of all stages, in the order of the command line."""
        return [
            Record(
                stage.kind,
                self._states[stage],
                any(inlet.open and inlet.own for inlet in stage.inputs),
                any(inlet.busy for inlet in stage.inputs),
            )
            for stage in self.stages
        ]

    def step(self) -> Action:
        """The next step at the end of the pipeline. If a stage is to be drained now, it is."""
        if self._due:
            return Action.WAIT
        makers = [stage for stage in self.stages if stage.kind is not Kind.TRANSFORMER]
        fed = {direction for stage in makers for inlet in stage.inputs for direction in inlet.lines}
        action, place = next_step(self.records(), "L" if fed == {"L"} else "R")
        if action is Action.DRAIN:
            self.drain(self.stages[place])
        return action

    def end_input(self, cause: Cause = Cause.END_INPUT) -> None:
        """Ends the input. Messages on their way take their time; then programs are drained."""
        if self.cause is not None:
            return
        self.cause = cause
        alone = not any(stage.kind in (Kind.SOURCE, Kind.BACKGROUND) for stage in self.stages)
        for stage in self.stages:
            if stage.kind is not Kind.TRANSFORMER or alone:
                for inlet in stage.inputs:
                    inlet.shut()
        for stage in self.stages:
            self._guard(stage, stage.input_ended)
        self.on_change()

    def stop(self) -> None:
        """Ends the pipeline as a signal does: the input ends, and messages on their way get some seconds."""
        self.end_input(Cause.SIGNAL)

    def fail(self, error: StageError) -> None:
        """Called when a stage has failed. The pipeline ends, the first such error is its result, and peers get a
        NOTIFICATION at once.

        Damaged input ends nothing: what else there is to read is read.
        """
        failed = self.failed
        self.errors.append(error)
        if isinstance(error, DamagedInput):
            self.on_change()
            return
        self.end_input(Cause.FAILED)
        if not failed:
            for stage in self.stages:
                if self.is_running(stage):
                    self._guard(stage, stage.end_session)
        self.on_change()

    def give_up(self) -> int:
        """Drops the messages on their way, when their time is over. Returns how many are lost."""
        lost = 0
        for stage in self.stages:
            if self._states[stage] in (StageState.RUNNING, StageState.DRAINING, StageState.STOPPING):
                lost += sum(inlet.cancel() for inlet in stage.inputs)
                if stage.kind is Kind.TRANSFORMER or stage.side:
                    lost += stage.abort()
        self.lost_messages += lost
        self.on_change()
        return lost

    def finish(self) -> None:
        """Emits STOP and ends all stages that still run, the hidden ones last."""
        for stage in self.stages:
            if self.is_running(stage):
                self._guard(stage, stage.before_stop)
        self.finishing = True
        self.emit(events.STOP)
        for stage in sorted(self.stages, key=lambda stage: stage.hidden):
            self.end(stage)

    def idle(self) -> list[Stage]:
        """Stages that were never started, because their event did not happen."""
        return [stage for stage, state in self._states.items() if state is StageState.WAITING]

    def unfed_stages(self) -> list[Stage]:
        """Stages that work in a direction in which no stage makes messages."""

        def is_fed(stage: Stage) -> bool:
            others = (inlet for other in self.stages if other is not stage for inlet in other.inputs)
            return any(direction in stage.watched for inlet in others for direction in inlet.lines)

        return [stage for stage in self.stages if stage.callbacks and not is_fed(stage)]

    def flush(self) -> None:
        """A piece of input is through; no stage should keep octets back for the next one. What goes to a peer or a
        program goes before what is only written down: its writer's thread takes time."""
        for stage in sorted(self.stages, key=_only_copies):
            if stage.running:
                stage.flush()

    def kill(self, reason: str, event: Event | None = None) -> None:
        """Ends the process at once, or only this session if there are many. The first reason counts.

        event: the one that is the reason. If it has a NOTIFICATION, the peers hear of the end before.
        """
        if self.killed:
            return
        self.killed = True
        if event is None or event.notification is None or event.message is None:
            self.log.error("session killed by event", event=reason)
        else:
            side = "R" if event.message.direction == "L" else "L"
            peer = self.values.get(f"{side}_REMOTE_ADDR", "")
            self.log.error("session killed by event", event=reason, side=SIDES[side], peer=peer)
            for stage in self.stages:
                stage.notify(event.notification if stage.side == side else Notification.shutdown())
        self.on_kill(reason)

    def _on_handler_error(self, owner: object, error: Exception) -> None:
        self.fail(failure(owner or "event handler", error))

    def _guard(self, stage: Stage | None, call: Callable[[], object]) -> object:
        """Calls a function of a stage. If it raises, the pipeline fails with an error that names the stage."""
        try:
            return call()
        except Exception as error:
            self.log.debug("unexpected error", stage=str(stage or "pipeline"), exc_info=error)
            self.fail(failure(stage or "pipeline", error))
            return None


def _only_copies(stage: Stage) -> bool:
    return not stage.inputs


def _exit(reason: str) -> NoReturn:
    raise SystemExit(1)
