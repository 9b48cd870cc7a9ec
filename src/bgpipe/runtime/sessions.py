"""Runs a command line for one session after the other, or for many side by side.

`listen --many` and `listen --again` let in peers, and each gets a pipeline of its own, made of the same words;
`connect --retry` makes a new pipeline when the session of the last one was lost.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ..net.acceptor import Acceptor
from ..net.errors import explain_error
from ..pipeline import events
from ..pipeline.errors import ConfigError, SessionLost, StageError
from ..pipeline.events import Event
from ..pipeline.pipeline import Log, Pipeline
from ..pipeline.stage import Stage
from ..session.damping import Damping
from .log import StderrLog
from .runner import Runner


class Sessions:
    """make: a new pipeline from the command line, attached. first: one that is made already."""

    def __init__(self, first: Pipeline, make: Callable[[], Pipeline], log: StderrLog) -> None:
        self.active: dict[int, Pipeline] = {}
        """by their number, from 1"""
        self.count = 0
        self._first: Pipeline | None = first
        self._make = make
        self._log = log
        self.on_begin: Callable[[Pipeline], object] = lambda pipeline: None
        self.on_end = self.on_begin
        self._shared = first.shared
        self._runners: set[Runner] = set()
        self._interrupted = asyncio.Event()
        self._listen = next((stage for stage in first.stages if stage.listens() is not None), None)

    async def run(self) -> None:
        """Returns when there is nothing more to do. Raises StageError: of the last session, or if nobody can listen."""
        self._shared.keep = True
        try:
            if self._listen is not None:
                await self._serve(self._listen)
            else:
                await self._repeat()
        finally:
            await self._shared.close()

    def interrupt(self) -> None:
        """Ends all sessions, as a signal does."""
        self._interrupted.set()
        for runner in self._runners:
            runner.interrupt()

    async def _repeat(self) -> None:
        """The session again and again, until one ends by itself."""
        damping = Damping()
        while not self._interrupted.is_set():
            pipeline = self._next()
            established: list[float] = []
            pipeline.bus.on([events.ESTABLISHED], partial(_note_time, established))
            try:
                await self._run(pipeline)
                return
            except SessionLost as error:
                if not any(stage.reconnects for stage in pipeline.stages):
                    raise
                if self._interrupted.is_set():
                    return
                wait = damping.failed(_since(established))
                self._log.warning(f"{error}; next session in {wait:.0f} s")
                pipeline.emit(events.RECONNECT, error=error, values=(damping.failures,))
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._interrupted.wait(), wait)

    async def _serve(self, first: Stage) -> None:
        """A session for each peer that comes."""
        spec = first.listens()
        assert spec is not None
        try:
            acceptor: Acceptor = spec.open()
        except (OSError, ValueError) as error:
            raise StageError(f"{first}: {explain_error(error)}") from error
        acceptor.most = spec.most
        acceptor.damps = spec.damp
        tasks: set[asyncio.Task[None]] = set()
        interrupted = asyncio.create_task(self._interrupted.wait())
        try:
            while not self._interrupted.is_set():
                coming = asyncio.create_task(acceptor.next())
                await asyncio.wait((coming, interrupted), return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    break
                task = asyncio.create_task(self._session(acceptor, *coming.result()))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
                if spec.again:
                    await asyncio.wait((task, interrupted), return_when=asyncio.FIRST_COMPLETED)
        finally:
            acceptor.close()
            interrupted.cancel()
            if tasks:
                await asyncio.wait(tasks)

    async def _session(self, acceptor: Acceptor, connected: socket.socket, address: str) -> None:
        """One session, whose end is nobody else's."""
        acceptor.inside += 1
        acceptor.unknown[address] += 1
        known = False

        def on_open() -> None:
            nonlocal known
            if not known:
                known = True
                acceptor.unknown[address] -= 1
                if not acceptor.unknown[address]:
                    del acceptor.unknown[address]

        def on_stop(event: Event) -> None:
            if established and any(isinstance(error, SessionLost) for error in pipeline.errors):
                acceptor.lost(address, _since(established))

        log: Log = self._log
        established: list[float] = []
        try:
            pipeline = self._next()
            log = pipeline.log
            pipeline.bus.on([events.ESTABLISHED], partial(_note_time, established))
            pipeline.bus.on([events.STOP], on_stop)
            for stage in pipeline.stages:
                if stage.listens() is not None:
                    stage.adopt((connected, on_open))
            pipeline.on_kill = lambda reason: pipeline.fail(StageError(f"killed by {reason}", reason="killed"))
            await self._run(pipeline)
        except (StageError, ConfigError) as error:
            log.info(f"session ended: {error}")
        except Exception as error:
            log.error(f"session ended: unexpected {type(error).__name__}: {error}")
            log.debug("unexpected error", exc_info=error)
        finally:
            connected.close()
            on_open()
            acceptor.inside -= 1

    def _next(self) -> Pipeline:
        pipeline, self._first = self._first or self._make(), None
        pipeline.shared = self._shared
        self.count += 1
        pipeline.number = self.count
        pipeline.log = self._log.bind(session=pipeline.number)
        return pipeline

    async def _run(self, pipeline: Pipeline) -> None:
        runner = Runner(pipeline)
        self._runners.add(runner)
        self.active[pipeline.number] = pipeline
        self.on_begin(pipeline)
        try:
            await runner.run()
        finally:
            self.on_end(pipeline)
            self._runners.discard(runner)
            del self.active[pipeline.number]


def _note_time(times: list[float], event: Event) -> None:
    times.append(asyncio.get_running_loop().time())


def _since(times: list[float]) -> float:
    """Seconds since the first of them, 0 if there is none."""
    return asyncio.get_running_loop().time() - times[0] if times else 0.0
