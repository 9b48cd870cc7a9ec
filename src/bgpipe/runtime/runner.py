"""Runs a pipeline under asyncio: awaits what its stages have to prepare, to run and to stop."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine
from typing import Any, Final

from ..pipeline.errors import StageError
from ..pipeline.line import failure
from ..pipeline.pipeline import Pipeline
from ..pipeline.stage import Stage

STOP_TIMEOUT: Final = 3.0
"""Seconds that all stages together get to finish after a signal."""
MIN_STOP_TIMEOUT: Final = 0.25
"""Seconds that each gets even if the others have used them up."""
DRAIN_TIMEOUT: Final = 1.0
"""Seconds that a stage gets to be drained when the pipeline stops before the input is through."""


class Runner:
    """One run of an attached pipeline."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
        self._tasks: dict[asyncio.Task[None], Stage] = {}
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._interrupted = asyncio.Event()
        self._deadline = math.inf
        pipeline.on_change = self._on_change

    async def run(self) -> None:
        """Returns when all input is through and all output is written. Raises the first StageError of any stage."""
        pipeline = self.pipeline
        try:
            pipeline.start()
            while not pipeline.over:
                self._changed.clear()
                while batch := pipeline.take_due():
                    await self._start(batch)
                await self._stop_ended()
                if drained := pipeline.take_drainable():
                    drained.drain()
                if not pipeline.over and not await self._change():
                    break
            if not pipeline.stopping:
                for stage in pipeline.idle():
                    pipeline.log.warning("never started", stage=str(stage), wait=",".join(stage.wait_for))
            pipeline.finish()
            await self._stop_ended()
        finally:
            for task in self._tasks:
                task.cancel()
        if pipeline.errors:
            raise pipeline.errors[0]

    def interrupt(self) -> None:
        """Stops the pipeline early, as a signal does: nothing more is let in, what is under way gets GRACE seconds."""
        if not self._interrupted.is_set():
            self._interrupted.set()
            self._deadline = asyncio.get_running_loop().time() + STOP_TIMEOUT
        self.pipeline.stop()

    def _on_change(self) -> None:
        self._changed.set()
        if self.pipeline.stopping:
            self._stopping.set()

    async def _change(self) -> bool:
        """Waits for something to happen, once the pipeline stops not for ever; whether something has."""
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT if self.pipeline.stopping else None):
                await self._changed.wait()
        except TimeoutError:
            return False
        return True

    async def _start(self, batch: list[Stage]) -> None:
        for stage in batch:
            self.pipeline.preparing(stage)
            await self._wait(self._task(stage, stage.prepare()), self._stopping)
            if self.pipeline.stopping:
                return
            self.pipeline.ready(stage)
        self.pipeline.started(batch)
        for stage in batch:
            if stage.running and stage.inputs:
                self._task(stage, self._run(stage))

    async def _run(self, stage: Stage) -> None:
        await stage.run()
        self.pipeline.finish_input(stage)
        self._changed.set()

    async def _stop_ended(self) -> None:
        """Stops stages side by side, so that none waits for another one's peer; the hidden ones after all others."""
        while ended := list(iter(self.pipeline.take_ended, None)):
            for hidden in (False, True):
                await asyncio.gather(*(self._stop(stage) for stage in ended if stage.hidden is hidden))

    async def _stop(self, stage: Stage) -> None:
        for task in [task for task, owner in self._tasks.items() if owner is stage]:
            task.cancel()
            await self._wait(task, self._interrupted)
        await self._wait(self._task(stage, stage.stop()), self._interrupted)
        self.pipeline.stopped(stage)

    def _task(self, stage: Stage, doing: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(self._guard(stage, doing), name=str(stage))
        self._tasks[task] = stage
        task.add_done_callback(self._tasks.pop)
        return task

    async def _guard(self, stage: Stage, doing: Coroutine[Any, Any, None]) -> None:
        """Awaits what a stage does. A failure ends the pipeline: the other stages still write what they have."""
        try:
            await doing
        except Exception as error:
            if not isinstance(error, StageError):
                self.pipeline.log.debug("unexpected error", stage=str(stage), exc_info=error)
            self.pipeline.fail(failure(stage, error))

    async def _wait(self, task: asyncio.Task[None], hurry: asyncio.Event) -> None:
        """Waits for a task as long as it takes; after a signal what is left of GRACE, hurried otherwise no more."""
        hurrying = asyncio.create_task(hurry.wait())
        await asyncio.wait((task, hurrying), return_when=asyncio.FIRST_COMPLETED)
        hurrying.cancel()
        if not task.done() and hurry is self._interrupted:
            await asyncio.wait(
                (task,), timeout=max(MIN_STOP_TIMEOUT, self._deadline - asyncio.get_running_loop().time())
            )
        task.cancel()


async def pause(pipeline: Pipeline, seconds: float) -> None:
    """Waits as an Input's `feed` asks: so many seconds, or until the pipeline is released."""
    if seconds != math.inf:
        await asyncio.sleep(seconds)
        return
    released = asyncio.Event()
    pipeline.when_released(released.set)
    await released.wait()
