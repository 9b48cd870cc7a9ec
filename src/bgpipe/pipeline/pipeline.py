"""The pipeline: stages between a left and a right end, two lines, and the life cycle of stages.

Nothing here waits. What must be awaited (prepare, run, stop of stages) is handed out to a runner, which tells the
pipeline how it went; see runtime/runner.py.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..wire.context import AS4, WireContext
from ..wire.notification import Notification
from . import events
from .errors import Incomplete, StageError, nearest
from .events import Event
from .lifecycle import Cause, EndAction, Record, StageKind, StageState, next_step
from .log import Log
from .metrics import SIDES
from .pipeline_base import PipelineBase
from .pipeline_base import now as now
from .stage import Stage

if TYPE_CHECKING:
    from ..wire.caps import Capability


class Pipeline(PipelineBase[Stage]):
    """Stages, lines and events, and the life cycle of the stages. The arguments are those of PipelineBase."""

    def __init__(
        self,
        *,
        log: Log | None = None,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], int] = now,
        context: WireContext = AS4,
        capabilities: Sequence[Capability] = (),
    ) -> None:
        super().__init__(log=log, clock=clock, now=now, context=context, capabilities=capabilities)
        self._by_flush: list[Stage] | None = None
        """the stages in the order in which they are flushed; made when they are complete"""
        self._states: dict[Stage, StageState] = {}
        self._due: deque[list[Stage]] = deque()
        self._ended: list[Stage] = []
        self._draining: list[Stage] = []
        self._starting: list[Stage] = []
        """those that the event on its way has started so far"""

    # building

    def add(self, stage: Stage, *, index: int, hidden: bool = False) -> None:
        """Adds a stage at the right. A hidden one is not part of the row, and gets what leaves the row."""
        stage.pipeline = self
        stage.index = index
        stage.hidden = hidden
        self.stages.append(stage)
        self._by_flush = None
        self._states[stage] = StageState.WAITING

    # events

    def unknown_events(self) -> list[str]:
        """Event names that options ask for and no stage emits, each with the name that may be meant."""
        known = {events.ANY, *events.PIPE_EVENTS}
        for stage in self.stages:
            known.update(f"{stage.name}/{what}" for what in (*events.STAGE_EVENTS, *stage.own_events))
        return [name + nearest(name, known) for name in sorted(self._asked - known)]

    def _deliver(self, event: Event) -> None:
        """Gives an event to its handlers. The stages that it starts are prepared together."""
        outer, self._starting = self._starting, []
        super()._deliver(event)
        started, self._starting = self._starting, outer
        if started:
            self.hold()  # no message passes by a stage that its forerunner has woken
            self._due.append(started)
            self.on_change()

    # the session, where a stage is an end of it: what comes from elsewhere has to wait for it

    @property
    def originates_session(self) -> bool:
        """Whether a stage of the pipeline originates the session (a speaker)."""
        return any(stage.originates_session for stage in self.stages)

    @property
    def has_session(self) -> bool:
        """Whether messages of a BGP session enter here, and not only those of archives and programs."""
        return any(inlet.session for stage in self.stages for inlet in stage.inputs)

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
        if state is StageState.RUNNING and stage.kind is StageKind.TRANSFORMER and stage.drains_first():
            self.drain(stage)
            self.on_change()
        else:
            self.end(stage)

    def end(self, stage: Stage) -> None:
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

    def step(self) -> EndAction:
        """The next step at the end of the pipeline. If a stage is to be drained now, it is."""
        if self._due:
            return EndAction.WAIT
        makers = [stage for stage in self.stages if stage.kind is not StageKind.TRANSFORMER]
        fed = {direction for stage in makers for inlet in stage.inputs for direction in inlet.lines}
        records = self.records()
        action, place = next_step(records, "L" if fed == {"L"} else "R")
        ending = not any(record.kind is StageKind.SOURCE and record.open for record in records)
        self.waits_for_feeds = ending and any(record.busy for record in records)
        if action is EndAction.DRAIN:
            self.drain(self.stages[place])
        return action

    def end_input(self, cause: Cause = Cause.END_INPUT) -> None:
        if self.cause is not None:
            return
        self.cause = cause
        alone = not any(stage.kind in (StageKind.SOURCE, StageKind.BACKGROUND) for stage in self.stages)
        for stage in self.stages:
            if stage.kind is not StageKind.TRANSFORMER or alone:
                for inlet in stage.inputs:
                    inlet.shut()
        for stage in self.stages:
            self._guard(stage, stage.input_ended)
        self.on_change()

    def fail(self, error: StageError) -> None:
        failed = self.failed
        self.errors.append(error)
        if isinstance(error, Incomplete):
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
                if stage.kind is StageKind.TRANSFORMER or stage.side:
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
        if self._by_flush is None:
            self._by_flush = sorted(self.stages, key=_only_copies)
        for stage in self._by_flush:
            if stage.running:
                stage.flush()

    def kill(self, reason: str, event: Event | None = None) -> None:
        if self.killed:
            return
        self.killed = True
        if event is None or event.notification is None or event.message is None:
            self.log.error("session killed by event", event=reason)
        else:
            side = "R" if event.message.direction == "L" else "L"
            peer = self.values.get(f"{side}_REMOTE_ADDR", "")
            self.log.error("session killed by event", event=reason, side=SIDES[side], peer=peer)
            self._notify(side, event.notification)
        self.on_kill(reason)

    def end_session(self, side: str, notification: Notification, error: StageError) -> None:
        if not self.failed:
            self._notify(side, notification)
            self.fail(error)

    def _notify(self, side: str, notification: Notification) -> None:
        """Sends a NOTIFICATION to the peer at a side, and Cease/2 to others."""
        for stage in self.stages:
            stage.notify(notification if stage.side == side else Notification.shutdown())


def _only_copies(stage: Stage) -> bool:
    return not stage.inputs
