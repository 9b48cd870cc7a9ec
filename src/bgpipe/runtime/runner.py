"""Runs a pipeline with asyncio: awaits `prepare`, `run` and `stop` of its stages, and owns the deadlines."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Iterable
from typing import Any, Final

from ..pipeline.errors import Incomplete, StageError, Stopped, failure
from ..pipeline.input import Input
from ..pipeline.lifecycle import EndAction, StageKind
from ..pipeline.pipeline import Pipeline
from ..pipeline.pipeline_base import PipelineBase
from ..pipeline.stage import Stage
from ..tasks import Tasks
from ..wire.item import Item

STOP_TIMEOUT: Final = 3.0
"""Seconds for messages on their way after a failure, and for everything together after a signal."""
MIN_STOP_TIMEOUT: Final = 0.25
"""Seconds that each stage gets after a signal, even if the others have used all the time."""
CONCLUDE_TIMEOUT: Final = 1.0
"""Seconds to close each output, even one that could not be completed."""


class Runner:
    """Runs an attached pipeline once."""

    def __init__(self, pipeline: Pipeline, parent: Tasks | None = None) -> None:
        """parent: the tasks of the process."""
        self.pipeline = pipeline
        self.tasks = parent.child(self._on_error) if parent is not None else Tasks(self._on_error)
        pipeline.tasks = self.tasks
        self._stages: dict[asyncio.Task[bool | None], Stage] = {}
        """which stage a task belongs to"""
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self.interrupted = asyncio.Event()
        """a signal has come"""
        self._deadline = math.inf
        """the time at which messages on their way are dropped"""
        pipeline.on_change = self._on_change

    async def run(self) -> None:
        """Returns when all input was handled and all output is written. Raises the first StageError of any stage."""
        pipeline = self.pipeline
        try:
            pipeline.start()
            await self._run_to_the_end()
            if not pipeline.stopping:
                self._tell_idle()
            pipeline.finish()
            await self._stop_ended()
            for stage in pipeline.stages:
                await self._wait(self._task(stage, stage.conclude()), self.interrupted, CONCLUDE_TIMEOUT)
        finally:
            if left := await self.tasks.close():
                pipeline.log.warning("tasks have not ended", tasks=",".join(left))
        if pipeline.lost_messages and not pipeline.failed:
            text = f"{pipeline.lost_messages} messages were lost at the end: they were not through in time"
            pipeline.errors.append(StageError(text))
        for error in pipeline.errors:
            if error is not pipeline.error:
                pipeline.log.error(str(error))
        if pipeline.error is not None:
            raise pipeline.error

    def _tell_idle(self) -> None:
        """Reports stages whose event did not happen. An input that was never read is no success."""
        pipeline = self.pipeline
        for stage in pipeline.idle():
            wait = ",".join(stage.wait_for)
            pipeline.log.warning("never started", stage=str(stage), wait=wait)
            if stage.kind is StageKind.SOURCE:
                pipeline.errors.append(Incomplete(f"{stage}: was never started: there was no event {wait}"))

    def interrupt(self) -> None:
        """Stops the pipeline early, as a signal does: no message enters any more, and those on their way get
        STOP_TIMEOUT."""
        if not self.interrupted.is_set():
            self.interrupted.set()
            self._deadline = min(self._deadline, self._now + STOP_TIMEOUT)
        self.pipeline.stop()
        self._on_change()

    def end_input(self) -> None:
        """Ends the input. Messages on their way take their time."""
        self.pipeline.end_input()

    def _on_error(self, error: Exception) -> None:
        self.pipeline.fail(failure("session", error))

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _on_change(self) -> None:
        self._changed.set()
        if self.pipeline.failed and self._deadline == math.inf:
            self._deadline = self._now + STOP_TIMEOUT
        if self.pipeline.stopping:
            self._stopping.set()

    async def _run_to_the_end(self) -> None:
        """Waits until no message is on its way any more, or the deadline has passed."""
        pipeline = self.pipeline
        while True:
            self._changed.clear()
            while batch := pipeline.take_due():
                await self._start(batch)
            await self._stop_ended()
            if self._changed.is_set():
                continue
            action = pipeline.step()
            if action is EndAction.FINISH:
                return
            if action is EndAction.WAIT and not await self._change():
                if lost := pipeline.give_up():
                    pipeline.log.warning("messages are lost at the end: they were not through in time", lost=lost)
                await self._stop_ended()
                return

    async def _change(self) -> bool:
        """Waits for a change until the deadline. Returns whether there was one."""
        try:
            async with asyncio.timeout_at(self._deadline if self._deadline < math.inf else None):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _start(self, batch: list[Stage]) -> None:
        """Prepares stages one after the other. When the input ends meanwhile, those that make messages are not waited
        for; after a signal none is."""
        pipeline = self.pipeline
        for stage in batch:
            hurry = self.interrupted if stage.kind is StageKind.PASSIVE else self._stopping
            if not hurry.is_set():
                pipeline.preparing(stage)
                if await self._wait(self._task(stage, stage.prepare()), hurry) and not hurry.is_set():
                    pipeline.ready(stage)
                    continue
            pipeline.end(stage)
        pipeline.started(batch)
        for stage in batch:
            if stage.running and stage.inputs:
                self._task(stage, self._run(stage))

    async def _run(self, stage: Stage) -> None:
        try:
            await stage.run()
        finally:
            self.pipeline.finish_input(stage)
            self._changed.set()

    async def _stop_ended(self) -> None:
        """Stops stages side by side, so that none waits for another one's peer; the hidden ones after all others."""
        while ended := list(iter(self.pipeline.take_ended, None)):
            for hidden in (False, True):
                together = [stage for stage in ended if stage.hidden is hidden]
                if stopping := [self.tasks.spawn(f"{stage} stops", self._stop(stage)) for stage in together]:
                    await asyncio.wait(stopping)

    async def _stop(self, stage: Stage) -> None:
        for task in [task for task, owner in self._stages.items() if owner is stage]:
            task.cancel()
            await self._wait(task, self.interrupted)
        await self._wait(self._task(stage, stage.stop()), self.interrupted)
        self.pipeline.stopped(stage)

    def _task(self, stage: Stage, doing: Coroutine[Any, Any, None]) -> asyncio.Task[bool | None]:
        task = self.tasks.spawn(str(stage), self._guard(stage, doing))
        self._stages[task] = stage
        task.add_done_callback(self._stages.pop)
        return task

    async def _guard(self, stage: Stage, doing: Coroutine[Any, Any, None]) -> bool:
        """Awaits what a stage does; whether it could. A failure ends the pipeline: the other stages still write what
        they have."""
        try:
            await doing
        except Stopped:
            return False
        except Exception as error:
            if not isinstance(error, StageError):
                self.pipeline.log.debug("unexpected error", stage=str(stage), exc_info=error)
            self.pipeline.fail(failure(stage, error))
            return False
        return True

    async def _wait(
        self, task: asyncio.Task[bool | None], hurry: asyncio.Event, least: float = MIN_STOP_TIMEOUT
    ) -> bool:
        """Waits for a task as long as it takes; after a signal what is left of STOP_TIMEOUT, and at least so many
        seconds; hurried otherwise no more. Returns whether it has done what it was to do."""
        await self.tasks.until(hurry, task)
        if not task.done() and hurry is self.interrupted:
            await asyncio.wait((task,), timeout=max(least, self._deadline - self._now))
        task.cancel()
        return task.done() and not task.cancelled() and task.result() is True


async def pause(pipeline: PipelineBase[Any], seconds: float) -> None:
    """Waits for a Feed: so many seconds, or with infinity until the pipeline is released."""
    if seconds != math.inf:
        await asyncio.sleep(seconds)
        return
    released = asyncio.Event()
    pipeline.when_released(released.set)
    await released.wait()


async def feed(pipeline: PipelineBase[Any], inlet: Input, items: Iterable[Item]) -> None:
    """Feeds items into the lines. Returns when all have left them, or when the input has ended."""
    feeding = inlet.feed(items)
    try:
        while (seconds := feeding.step()) is not None:
            pipeline.flush()
            await pause(pipeline, seconds)
        pipeline.flush()
    finally:
        feeding.end()


async def session_up(pipeline: PipelineBase[Any]) -> None:
    """Waits until UPDATEs can be sent. It returns at once unless a stage originates a session that is not up yet."""
    up = asyncio.Event()
    pipeline.when_up(up.set)
    await up.wait()
