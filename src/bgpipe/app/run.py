"""What `bgpipe.run` and `bgpipe.run_async` are: pipelines for scripts and other programs.

Nothing of the process is touched: no signal handler, no logging, no hooks, and no event loop but the caller's or one
that is closed again.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from ..pipeline.errors import ConfigError, StageError, UsageError
from ..runtime.process import Process
from ..runtime.report import progress
from ..runtime.run import PipelineService
from ..tasks import run as run_loop
from . import compose

if TYPE_CHECKING:
    from ..pipeline.events import Event
    from ..pipeline.pipeline import Pipeline
    from ..runtime.log import BindableLog
    from ..wire.message import Message
    from .records import StageRecord
    from .spec import PipelineSpec

FOR_COMMANDS: Final = ("version", "explain", "log", "log-format")
"""Options that only the command has."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run.

    reason: "finished"; "stopped" after `Control`, `head` or a cancellation; or in one word what error says, such as
    "error" or "killed". error: the first thing that went wrong, for which the command would end with exit
    code 1; None if nothing has. records, messages, skipped, damaged: read by all stages that read. malformed: UPDATEs
    that could not be decoded in full. lost: messages under way for which there was no time after `stop`. sessions: how
    many pipelines have run, more than 1 only for `listen --many`, `listen --again` and `connect --retry`. events: how
    often each has happened, by full name. seconds: from start to end.
    """

    reason: str
    error: StageError | ConfigError | None = None
    records: int = 0
    messages: int = 0
    skipped: int = 0
    damaged: int = 0
    malformed: int = 0
    lost: int = 0
    sessions: int = 0
    events: Mapping[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Control:
    """Ends a run, from a callback or from any thread. One for each run."""

    def __init__(self) -> None:
        self._process: Process | None = None
        self._service: PipelineService | None = None
        self._asked: list[str] = []

    def end_input(self) -> None:
        """Ends the input, as `head` does. Messages on their way arrive, however long that takes."""
        self._ask("end_input")

    def stop(self) -> None:
        """Ends the run, as a signal ends the command. Messages on their way get 3 seconds to arrive."""
        self._ask("stop")

    def _ask(self, what: str) -> None:
        self._asked.append(what)
        if self._process is not None:
            self._process.tasks.call_threadsafe(self._obey)

    def _begin(self, process: Process, service: PipelineService) -> None:
        if self._process is not None:
            raise UsageError("this Control belongs to another run")
        self._process, self._service = process, service

    def _obey(self) -> None:
        assert self._service is not None
        asked, self._asked = self._asked, []
        if "stop" in asked:
            self._service.stop()
        elif asked:
            self._service.end_input()


def run(
    words: str | Sequence[str | PathLike[str]] = (),
    *,
    stages: Sequence[StageRecord] | None = None,
    options: Mapping[str, object] | None = None,
    on_message: Callable[[Message], object] | None = None,
    on_event: Callable[[Event], object] | None = None,
    log: BindableLog | None = None,
    control: Control | None = None,
    check: bool = True,
) -> Result:
    """Runs a pipeline, and returns when it has ended. Takes and raises what `run_async` does.

    Ctrl-C ends the pipeline as `Control.stop` does, and raises KeyboardInterrupt then. Raises RuntimeError in a running
    event loop: there is `await bgpipe.run_async(...)` for that.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError("an event loop is running here: use `await bgpipe.run_async(...)`")
    running = run_async(
        words,
        stages=stages,
        options=options,
        on_message=on_message,
        on_event=on_event,
        log=log,
        control=control,
        check=check,
    )
    return run_loop(running)


async def run_async(
    words: str | Sequence[str | PathLike[str]] = (),
    *,
    stages: Sequence[StageRecord] | None = None,
    options: Mapping[str, object] | None = None,
    on_message: Callable[[Message], object] | None = None,
    on_event: Callable[[Event], object] | None = None,
    log: BindableLog | None = None,
    control: Control | None = None,
    check: bool = True,
) -> Result:
    """Runs a pipeline in the event loop that runs here.

    words: a command line, as a text or a list of words, without the word bgpipe. stages: in place of it a list of
    stages, each a text ("grep ipv6"), a mapping ({"limit": {"session": 1000}}), a function that is called with each
    message and decides as `update` of a `py` file does, an iterable of messages, or a pair of one of these and a
    mapping with its options. options: those that stand before the first stage, by name.

    on_message: called with each message that has passed all stages. Without it, and where no stage takes the messages,
    they are printed, as the command does. on_event: called with each event that the option `events` names; without it,
    they are logged. What these raise ends the pipeline. log: the logger "bgpipe" of `logging` if none is given.
    control: ends the run. check: raise the error of the result, if it has one; else the result is returned with it.

    Cancelling ends the pipeline as `Control.stop` does, before CancelledError goes on.
    Raises UsageError and ConfigError for what makes no pipeline (`.stage`: number of the stage, from 1, `.option`: its
    name), and StageError where something went wrong (`__cause__`: what a function has raised).
    """
    spec = compose(words, stages=stages, options=options)
    _check(spec)
    if on_message is not None:
        from ..stages.base.function import make_observer

        spec.observers.append(make_observer(on_message))
    spec.on_event = on_event
    if log is None:
        from ..runtime.library_log import LibraryLog

        log = LibraryLog()
    result = await _run(spec, log, control or Control())
    if check and result.error is not None:
        raise result.error
    return result


def _check(spec: PipelineSpec) -> None:
    """Raises UsageError."""
    if spec.help is not None:
        raise UsageError("--help is for the command line", option="help")
    for name in FOR_COMMANDS:
        if name in spec.options.explicit or (name == "version" and spec.options.version):
            raise UsageError(f"--{name} is for the command line", option=name)
    if not spec.stages:
        raise UsageError("no stages")


async def _run(spec: PipelineSpec, log: BindableLog, control: Control) -> Result:
    from .build import build

    def make(**how: Any) -> Pipeline:
        pipeline = build(spec, log, **how)
        pipeline.on_kill = lambda reason: pipeline.fail(StageError(f"killed by {reason}", reason="killed"))
        return pipeline

    service = PipelineService(make(), make, spec.options, log)
    tally = _Tally()
    service.on_end = tally.add
    process = Process(log)
    control._begin(process, service)
    error: StageError | ConfigError | None = None
    try:
        await service.start(process)
        await _finish(process, service, control)
    except (StageError, ConfigError) as failed:
        error = failed
    finally:
        await service.close()
        await process.tasks.close()
    return tally.result(error)


async def _finish(process: Process, service: PipelineService, control: Control) -> None:
    """Awaits the end; a cancellation ends it, and goes on then."""
    running = process.tasks.begin("run", service.run())
    process.tasks.call_soon("control", control._obey)  # what was asked for before there was a loop
    try:
        await asyncio.wait((running,))
    except asyncio.CancelledError:
        service.stop()
        await asyncio.wait((running,))
        raise
    finally:
        if running.done() and not running.cancelled():
            running.exception()  # is no surprise to asyncio
    running.result()


class _Tally:
    """Counts what pipelines have done that have ended."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._numbers: Counter[str] = Counter()
        self._events: Counter[str] = Counter()
        self._reason = ""

    def add(self, pipeline: Pipeline) -> None:
        counts = progress(pipeline)
        self._numbers["records"] += sum(count.records for count in counts)
        self._numbers["messages"] += sum(count.messages for count in counts)
        self._numbers["skipped"] += sum(count.skipped for count in counts)
        self._numbers["damaged"] += sum(count.damages for count in counts)
        self._numbers["malformed"] += pipeline.malformed_messages
        self._numbers["lost"] += pipeline.lost_messages
        self._numbers["sessions"] += 1
        self._events.update(pipeline.events)
        self._reason = pipeline.outcome

    def result(self, error: StageError | ConfigError | None) -> Result:
        reason = error.reason if isinstance(error, StageError) else "error" if error else self._reason or "stopped"
        seconds = time.monotonic() - self._start
        return Result(reason, error, **self._numbers, events=dict(self._events), seconds=seconds)
