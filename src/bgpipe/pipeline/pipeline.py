"""The pipeline itself: stages between a left and a right end, two lines, and who starts and stops when.

Nothing here waits. What must be awaited (prepare, run, stop of stages) is handed out to a runner, which tells the
pipeline how it went; see runtime/runner.py.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..wire.context import AS4, WireContext
from . import events
from .errors import ConfigError, StageError, nearest
from .events import Bus, Event, expand_all
from .line import Line
from .shared import Shared
from .tracker import Tracker
from .verdict import Verdicts

if TYPE_CHECKING:
    from ..wire.caps import Capability
    from ..wire.message import Message
    from .stage import Stage


class Log(Protocol):
    """Where the pipeline and its stages write for people: a text, and fields."""

    def debug(self, text: str, /, **fields: Any) -> None: ...
    def info(self, text: str, /, **fields: Any) -> None: ...
    def warning(self, text: str, /, **fields: Any) -> None: ...
    def error(self, text: str, /, **fields: Any) -> None: ...


class NullLog:
    """A log that nobody reads."""

    def debug(self, text: str, /, **fields: Any) -> None: ...
    def info(self, text: str, /, **fields: Any) -> None: ...
    def warning(self, text: str, /, **fields: Any) -> None: ...
    def error(self, text: str, /, **fields: Any) -> None: ...


class StageState(Enum):
    """Where a stage is in its life."""

    WAITING = "waiting"
    DUE = "due"
    RUNNING = "running"
    STOPPED = "stopped"


def now() -> int:
    """Microseconds since 1970 (UTC), in whole milliseconds: JSON shows no more of a live message."""
    return time.time_ns() // 1_000_000 * 1000


class Pipeline:
    """Stages, lines and events.

    clock: seconds for limits of rate. now: microseconds since 1970 (UTC). context: how messages are read that come
    without saying it. capabilities: what --caps says. holds: by direction, how many have asked the inputs to wait.
    opens_blocks: somebody wants to know of events of which only single messages tell.
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
        self.bus = Bus()
        self.tracker = Tracker(self.emit)
        self.opens_blocks = False
        self.malformed_messages = 0
        """messages so far that could not be decoded in full"""
        self.verdicts = Verdicts(self)
        self._asked: set[str] = set()
        self.holds = {"R": 0, "L": 0}
        self.full: set[tuple[str, Stage]] = set()
        """stages that take no more in a direction for now"""
        self.shared = Shared()
        self.values: dict[str, str] = {}
        """what stages know of the session and others may use, such as R_LOCAL_ADDR"""
        self.stopping = False
        self.number = 1
        """which it is of the pipelines of this process"""
        self.lost = False
        """whether it stops because a peer is gone"""
        self.events: Counter[str] = Counter()
        """how often each event has happened, whether or not anybody heard of it"""
        self.stopped_early = False
        """before all that there is was through"""
        self.errors: list[StageError] = []
        self.on_change: Callable[[], None] = lambda: None
        """called when there is something to hand out"""
        self.on_kill: Callable[[str], object] = _exit
        self._states: dict[Stage, StageState] = {}
        self._due: deque[list[Stage]] = deque()
        self._ended: deque[Stage] = deque()
        self._draining: list[Stage] = []
        self._released: list[Callable[[], None]] = []
        self._speaking = False
        self._when_up: list[Callable[[], None]] = []
        self._starting: list[Stage] = []
        """those that the event on its way has started so far"""

    # building

    def add(self, stage: Stage, *, index: int, hidden: bool = False) -> None:
        """The next stage to the right; a hidden one is no member of the row, and sees what all others leave."""
        stage.pipeline = self
        stage.index = index
        stage.hidden = hidden
        self.stages.append(stage)

    def want(self, names: Iterable[str]) -> None:
        """Somebody asks for these events: where single messages tell of them, blocks are opened."""
        names = set(names)
        self._asked |= names
        if events.SESSION_EVENTS.intersection(names) or events.ANY in names:
            self.opens_blocks = True

    def attach(self) -> None:
        """Gives each stage its directions and attaches it, and connects the inputs. Raises ConfigError."""
        row = [stage for stage in self.stages if not stage.hidden]
        only_hidden_input = not any(stage.produces for stage in row)
        for stage in self.stages:
            stage.is_last = stage is row[-1] if row else False
            stage.directions = stage.watched = self._directions(stage, row, only_hidden_input)
            self._subscribe(stage, row)
            try:
                stage.attach()
            except ConfigError as error:
                raise ConfigError(f"{stage.name}: {error}") from None
        for direction, line in self.lines.items():
            ordered = sorted(row, key=lambda stage: stage.index, reverse=direction == "L")
            ordered += [stage for stage in self.stages if stage.hidden]
            line.callbacks = [c for stage in ordered if direction in stage.watched for c in stage.callbacks]
        for stage in self.stages:
            try:
                for callback in stage.callbacks:
                    callback.prepare(stage.conditions(), self.clock)
                for inlet in stage.inputs:
                    inlet.connect(self)
            except ConfigError as error:
                raise ConfigError(f"{stage.name}: {error}") from None

    def _directions(self, stage: Stage, row: list[Stage], only_hidden_input: bool) -> str:
        if stage.rate_limit < 0 or stage.rate_sample < 0:
            raise ConfigError(f"{stage.name}: a rate can't be negative")
        if stage.rate_limit and stage.rate_sample:
            raise ConfigError(f"{stage.name}: --rate-limit and --rate-sample exclude each other")
        if stage.left and stage.right:
            if not stage.both:
                raise ConfigError(f"{stage.name}: select either --left or --right, not both")
            return "RL"
        if stage.left or stage.right:
            return "L" if stage.left else "R"
        if only_hidden_input and stage.both and any(other.produces for other in self.stages):
            return "RL"  # all there is comes from -i, whose messages say their direction
        if stage.is_last and stage.produces:
            return "L"
        if stage in row[:1] and not stage.produces:
            return "L"
        return "R"

    def _subscribe(self, stage: Stage, row: list[Stage]) -> None:
        """Lets events start and stop a stage, as --wait and --stop say."""
        start = expand_all(stage.wait_for, ("START",))
        stop = expand_all(stage.stop_on, ("STOP",))
        stage.handled_events = [*start, *stop]
        known = {name for other in row for name in (other.name, other.name.removeprefix("@"))}
        for word in (*stage.wait_for, *stage.stop_on):
            if word.islower() and word.isalnum() and word not in known and word != "all":
                raise ConfigError(
                    f"{stage.name}: no stage is called {word!r} (names of events have upper-case letters)"
                    + nearest(word, known | {name.rpartition(".")[2].lower() for name in events.SESSION_EVENTS})
                )
        self.want(start)
        self.want(stop)
        self._states[stage] = StageState.WAITING

        def on_start(event: Event) -> bool:
            if self._states[stage] is StageState.WAITING and not self.stopping:
                self._states[stage] = StageState.DUE
                self._starting.append(stage)
            return False

        def on_stop(event: Event) -> bool:
            self.end(stage)
            return False

        self.bus.on(start or [events.START], on_start)
        self.bus.on(stop, on_stop)

    # events

    def unknown_events(self) -> list[str]:
        """Names that somebody asks for, and that nobody here would ever tell; each with what it may have meant."""
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
    ) -> None:
        """Tells an event to all who want it. Those stages that it starts are prepared together."""
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
            )
        )
        started, self._starting = self._starting, outer
        if started:
            self.hold()  # no message passes by a stage that its forerunner has woken
            self._due.append(started)
            self.on_change()

    def malformed(self, message: Message, error: Exception, *more: str) -> None:
        """Counts and tells, as the event PARSE, that a message can't be decoded in full; see Verdicts."""
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
            for call in waiting:
                call()

    def when_released(self, call: Callable[[], None]) -> None:
        """Calls once, when a line is held no more; at once if none is."""
        if any(self.holds.values()) or self.full:
            self._released.append(call)
        else:
            call()

    # the session, where a stage is an end of it: what comes from elsewhere has to wait for it

    @property
    def originates_session(self) -> bool:
        """Whether there is such a stage."""
        return any(stage.originates_session for stage in self.stages)

    def session_up(self) -> None:
        """UPDATEs can be sent."""
        self._speaking = True
        waiting, self._when_up = self._when_up, []
        for call in waiting:
            call()

    def when_up(self, call: Callable[[], None]) -> None:
        """Calls once, when UPDATEs can be sent; at once where no stage here is to say so."""
        if self._speaking or not self.originates_session:
            call()
        else:
            self._when_up.append(call)

    # life: a runner asks for what is due, does it, and tells

    def start(self) -> None:
        self.emit(events.START)

    def take_due(self) -> list[Stage] | None:
        """Stages to be prepared, one after the other as listed; then tell `started`."""
        if not self._due:
            return None
        return sorted(self._due.popleft(), key=lambda stage: (not stage.hidden, stage.index), reverse=True)

    def preparing(self, stage: Stage) -> None:
        self.emit(f"{stage.name}/PREPARE", stage=str(stage))

    def ready(self, stage: Stage) -> None:
        self.emit(f"{stage.name}/READY", stage=str(stage))

    def started(self, stages: list[Stage]) -> None:
        """All stages of a batch are prepared: their callbacks are on, and they are to be run."""
        for stage in stages:
            if self._states[stage] is StageState.DUE:
                self._states[stage] = StageState.RUNNING
                stage.running = True
        for stage in stages:
            if stage.running:
                self.emit(f"{stage.name}/START", stage=str(stage))
        self.release()

    def end(self, stage: Stage) -> None:
        """A stage has come to its end, or is told to: its inputs close, its callbacks are off, `stop` is due."""
        state = self._states[stage]
        if state is StageState.STOPPED:
            return
        if state is StageState.RUNNING:
            stage.before_stop()
        self._states[stage] = StageState.STOPPED
        for inlet in stage.inputs:
            inlet.close()
        stage.running = False
        if state is not StageState.WAITING:
            self._ended.append(stage)
            self.on_change()

    def finish_input(self, stage: Stage) -> None:
        """The run of a stage that makes messages has returned."""
        for inlet in stage.inputs:
            inlet.close()
        if stage.inputs and (not stage.callbacks or stage in self._draining):
            self.end(stage)

    def take_ended(self) -> Stage | None:
        """A stage that is to be stopped; then tell `stopped`."""
        return self._ended.popleft() if self._ended else None

    def stopped(self, stage: Stage) -> None:
        self.emit(f"{stage.name}/STOP", stage=str(stage))

    def state(self, stage: Stage) -> StageState:
        return self._states[stage]

    @property
    def outcome(self) -> str:
        """Why it stops or has stopped, in one word."""
        if self.errors:
            return self.errors[0].reason
        return "stopped" if self.stopped_early else "finished"

    @property
    def over(self) -> bool:
        """Whether no message can come any more."""
        return self._input_over and not any(stage.transformer and self._makes_messages(stage) for stage in self.stages)

    def take_drainable(self) -> Stage | None:
        """The next stage whose `drain` is due: when nobody makes messages but those who make them of others'. The one
        that others feed on comes first; the next when it is through."""
        left = [stage for stage in self.stages if stage.transformer and self._makes_messages(stage)]
        if not left or not self._input_over or any(stage in self._draining for stage in left):
            return None
        fed = {
            direction for stage in self.stages if not stage.transformer for i in stage.inputs for direction in i.lines
        }
        left.sort(key=lambda stage: stage.index, reverse=fed == {"L"})
        self._draining.append(left[0])
        return left[0]

    @property
    def _input_over(self) -> bool:
        """Whether all is through that stages make of their own accord."""
        if self.stopping:
            return True
        if self._due or self._ended or StageState.DUE in self._states.values():
            return False  # which may start others
        sources = [stage for stage in self.stages if stage.inputs]
        sources = [stage for stage in sources if not stage.transformer] or sources
        active = [stage for stage in sources if self._makes_messages(stage)]
        if all(stage.background for stage in sources):
            return not active
        waiting = active and any(self._states[stage] is StageState.WAITING for stage in sources)
        return not waiting and all(stage.background for stage in active)

    def _makes_messages(self, stage: Stage) -> bool:
        return self._states[stage] is StageState.RUNNING and not all(inlet.closed for inlet in stage.inputs)

    def stop(self) -> None:
        """Ends the input: what is under way is finished, nothing more is let in."""
        self.stopped_early = True
        if not self.stopping:
            self.stopping = True
            for stage in self.stages:
                if stage.running:
                    stage.before_stop()
                if not stage.transformer:
                    for inlet in stage.inputs:
                        inlet.close()
            self.on_change()

    def fail(self, error: StageError) -> None:
        """A stage can't go on: the pipeline ends, and the first of such errors is its result."""
        self.errors.append(error)
        self.stop()

    def finish(self) -> None:
        """Emits STOP and ends all stages that still run, the hidden ones last."""
        self.stopping = True
        self.emit(events.STOP)
        for stage in sorted(self.stages, key=lambda stage: stage.hidden):
            self.end(stage)

    def idle(self) -> list[Stage]:
        """Stages that were never started: what they waited for did not happen."""
        return [stage for stage, state in self._states.items() if state is StageState.WAITING]

    def unfed_stages(self) -> list[Stage]:
        """Stages that listen in a direction in which nobody produces."""

        def is_fed(stage: Stage) -> bool:
            others = (inlet for other in self.stages if other is not stage for inlet in other.inputs)
            return any(direction in stage.watched for inlet in others for direction in inlet.lines)

        return [stage for stage in self.stages if stage.callbacks and not is_fed(stage)]

    def flush(self) -> None:
        """A piece of input is through; no stage should keep octets back for the next one."""
        for stage in self.stages:
            if stage.running:
                stage.flush()

    def kill(self, reason: str) -> None:
        """Ends the process at once; of many sessions in one, only this one."""
        self.log.error("session killed by event", event=reason)
        self.on_kill(reason)


def _exit(reason: str) -> NoReturn:
    raise SystemExit(1)
