"""Runs what was asked for, a pipeline or session after session, as the service of a process."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from .. import accel
from ..pipeline.errors import UsageError
from ..pipeline.pipeline import Pipeline
from .process import Process, serve
from .reload import reload_all
from .report import progress, show_progress, summary, wants_progress
from .runner import Runner

if TYPE_CHECKING:
    from ..net.rpki.sources import RpkiSources
    from .http import StatusServer
    from .log import BindableLog
    from .options import GlobalOptions
    from .sessions import Sessions
    from .status import Overview

Make = Callable[..., Pipeline]


class PipelineService:
    """A pipeline, and those that are made after it or beside it, as `listen --many` and `connect --retry` ask.

    on_end: called with each pipeline that has run.
    """

    def __init__(self, first: Pipeline, make: Make, options: GlobalOptions, log: BindableLog) -> None:
        self.first = first
        self.on_end: Callable[[Pipeline], object] = lambda pipeline: None
        self._make = make
        self._options = options
        self._log = log
        self._overview: Overview | None = None
        self._server: StatusServer | None = None
        self._rpki: RpkiSources | None = None
        self._pipelines: set[Pipeline] = set()
        self._runner: Runner | Sessions

    async def start(self, process: Process) -> None:
        """Starts the sources of --rpki where a stage needs them, and the HTTP server, if there is --http.

        Raises ConfigError, StageError.
        """
        if any(stage.accepts_many for stage in self.first.stages):
            from .sessions import Sessions

            self._runner = Sessions(self.first, self._make, self._log, process.tasks)
            self._runner.on_begin, self._runner.on_end = self._begin, self._end
        else:
            self._runner = Runner(self.first, process.tasks)
        self._start_rpki(process)
        if not self._options.http:
            return
        from .http import StatusServer
        from .status import Overview

        self._overview = Overview(self.first)
        if not isinstance(self._runner, Runner):
            self._overview.others.append(self._runner.measure)
        if self._rpki is not None:
            self._overview.watch_rpki(self._rpki, any(stage.awaits_rpki for stage in self.first.stages))
        server = StatusServer(self._options, self._overview, self._log)
        server.unexpected = process.unexpected
        self._server = server
        await process.tasks.unless(self._runner.interrupted, "http", server.open(process.tasks))

    def _start_rpki(self, process: Process) -> None:
        """Raises ConfigError."""
        if not any(stage.uses_rpki for stage in self.first.stages):
            return
        from ..net.rpki.sources import RpkiSources
        from .reload import on_reload
        from .rpki import rpki_settings

        live = any(stage.side for stage in self.first.stages)
        self._rpki = RpkiSources(rpki_settings(self._options), self.first.shared.rpki, self._log, live=live)
        self._rpki.on_event = self._on_rpki_event
        self._rpki.start(process.tasks)
        on_reload(self._rpki.reload)

    def _on_rpki_event(self, name: str, values: tuple[object, ...], error: Exception | None) -> None:
        """Tells every pipeline what happens to the RPKI data that all of them share."""
        for pipeline in tuple(self._pipelines):
            pipeline.emit(name, values=values, error=error)

    async def run(self) -> None:
        if not isinstance(self._runner, Runner):
            await self._runner.run()
            return
        self._begin(self.first)
        try:
            await self._runner.run()
        finally:
            self._end(self.first)

    async def close(self) -> None:
        if self._rpki is not None:
            from .reload import off_reload

            off_reload(self._rpki.reload)
            await self._rpki.close()
        if self._server is not None:
            await self._server.close()

    def stop(self) -> None:
        if self._server is not None:
            self._server.stopping()
        self._runner.interrupt()

    def end_input(self) -> None:
        """Ends the input. Messages on their way take their time."""
        self._runner.end_input()

    def reload(self) -> None:
        reload_all(self._log)

    def health(self) -> str:
        active = (self.first,) if isinstance(self._runner, Runner) else self._runner.active.values()
        stages = [stage for pipeline in active for stage in pipeline.stages if stage.trouble]
        told = {f"{stage}: {stage.trouble}" for stage in stages}
        if self._rpki is not None and (trouble := self._rpki.trouble):
            told.add(trouble)
        return "; ".join(sorted(told))

    def _begin(self, pipeline: Pipeline) -> None:
        self._pipelines.add(pipeline)
        if self._overview is not None:
            self._overview.begin(pipeline)

    def _end(self, pipeline: Pipeline) -> None:
        self._pipelines.discard(pipeline)
        if self._overview is not None:
            self._overview.end(pipeline)
        self.on_end(pipeline)


class _Command(PipelineService):
    """A PipelineService for a command: with progress on a terminal."""

    async def start(self, process: Process) -> None:
        await super().start(process)
        if wants_progress(self.first):
            process.tasks.spawn("progress", show_progress(self.first))


def run_command(pipeline: Pipeline, make: Make, options: GlobalOptions, log: BindableLog) -> None:
    """Runs a pipeline as the command bgpipe does, and those that `make` makes after it or beside it.

    Returns when all have ended. Raises StageError, ConfigError, UsageError.
    """
    if not any(stage.produces for stage in pipeline.stages):
        raise UsageError("no stage makes messages: name a file or a peer, or read standard input with -i")

    def make_killable(**how: Any) -> Pipeline:
        made = make(**how)
        made.on_kill = exit_at_once
        return made

    pipeline.on_kill = exit_at_once
    for stage in pipeline.unfed_stages():
        text = f"nobody produces messages in direction {'/'.join(stage.directions)} (missing -L/-R/-LR somewhere?)"
        log.warning(text, stage=str(stage))
    for name in pipeline.unknown_events():
        log.warning(f"no stage emits the event {name}")
    if accel.AVAILABLE:
        accel.memory.keep_pages()
    elif not accel.SWITCHED_OFF:  # who has switched it off knows
        log.info("running without the compiled part: archives take many times longer", why=accel.WHY_NOT)
    start = time.monotonic()
    try:
        serve(_Command(pipeline, make_killable, options, log), log)
    finally:
        # who stops early, as `head` does, has asked for a few messages and not for counts
        if any(each.records for each in progress(pipeline)) and (pipeline.errors or pipeline.cause is None):
            log.info("done", **summary(pipeline, time.monotonic() - start))


def exit_at_once(reason: str) -> NoReturn:
    """Ends the process at once, for --kill. No output is completed or flushed."""
    sys.stderr.flush()
    os._exit(1)
