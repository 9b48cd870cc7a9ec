"""Runs a pipeline from the command line: signals, progress, the summary."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from .. import accel
from ..pipeline.pipeline import Pipeline
from ..tasks import Tasks, run
from .log import StderrLog
from .reload import reload_all
from .report import progress, show_progress, summary, wants_progress
from .runner import Runner
from .unexpected import Unexpected, caught

if TYPE_CHECKING:
    from .http import StatusServer
    from .options import GlobalOptions
    from .sessions import Sessions

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run_pipeline(pipeline: Pipeline, make: Callable[[], Pipeline], options: GlobalOptions, log: StderrLog) -> None:
    """Returns when the pipeline has ended, and those that `make` makes after it. Raises StageError, ConfigError."""
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
    unexpected = Unexpected(log)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # outside the event loop too it ends nothing
    try:
        with caught(unexpected):
            run(_run(pipeline, make, options, log, unexpected))
    finally:
        # who stops early, as `head` does, has asked for a few messages and not for counts
        if any(each.records for each in progress(pipeline)) and (pipeline.errors or pipeline.cause is None):
            log.info("done", **summary(pipeline, time.monotonic() - start))


async def _run(
    pipeline: Pipeline, make: Callable[[], Pipeline], options: GlobalOptions, log: StderrLog, unexpected: Unexpected
) -> None:
    tasks = Tasks(partial(unexpected.tell, "process"))
    runner: Runner | Sessions
    if any(stage.accepts_many for stage in pipeline.stages):
        from .sessions import Sessions

        runner = Sessions(pipeline, make, log, tasks)
    else:
        runner = Runner(pipeline, tasks)
    loop = asyncio.get_running_loop()
    server: StatusServer | None = None

    def on_signal() -> None:
        log.info("signal received, stopping...")
        for number in SIGNALS:  # the next one ends the process at once
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)
        if server is not None:
            server.stopping()
        runner.interrupt()

    loop.set_exception_handler(unexpected.in_loop)
    loop.add_signal_handler(signal.SIGHUP, reload_all, log)
    for number in SIGNALS:
        loop.add_signal_handler(number, on_signal)
    if options.http:
        server = await _open_status_server(pipeline, runner, options, log, tasks)
        server.unexpected = unexpected
    if wants_progress(pipeline):
        tasks.spawn("progress", show_progress(pipeline))
    try:
        await runner.run()
    finally:
        if server is not None:
            await server.close()
        await tasks.close()
        loop.remove_signal_handler(signal.SIGHUP)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)


async def _open_status_server(
    pipeline: Pipeline, runner: Runner | Sessions, options: GlobalOptions, log: StderrLog, tasks: Tasks
) -> StatusServer:
    """Lets what runs be seen over HTTP. Raises ConfigError, StageError."""
    from .http import StatusServer
    from .status import Overview

    overview = Overview(pipeline)
    server = StatusServer(options, overview, log)
    await server.open(tasks)
    if isinstance(runner, Runner):
        overview.begin(pipeline)
    else:
        runner.on_begin, runner.on_end = overview.begin, overview.end
        overview.others.append(runner.measure)
    return server
