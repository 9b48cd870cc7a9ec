"""Runs a command line for one session after the other, or for many side by side.

`listen --many` and `listen --again` let in peers, and each gets a pipeline of its own, made of the same words;
`connect --retry` makes a new pipeline when the session of the last one was lost.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from ..net.acceptor import Acceptor, Arrival
from ..net.errors import explain_error
from ..pipeline import events
from ..pipeline.errors import ConfigError, Incomplete, SessionLost, StageError
from ..pipeline.events import Event
from ..pipeline.log import Log
from ..pipeline.metrics import SIDES, Metrics
from ..pipeline.options import format_duration
from ..pipeline.pipeline import Pipeline
from ..pipeline.stage import ListenSpec, Stage
from ..session.damping import Damping
from ..session.greeting import say
from ..tasks import Tasks
from ..wire.notification import CEASE, COLLISION, Notification
from .log import BindableLog
from .runner import CONCLUDE_TIMEOUT, MIN_STOP_TIMEOUT, STOP_TIMEOUT, Runner
from .status import peers


class _Inside:
    """An accepted peer and its session."""

    def __init__(self, arrival: Arrival, exchanged: bool) -> None:
        self.arrival = arrival
        self.exchanged = exchanged
        self.pipeline: Pipeline | None = None

    @property
    def known(self) -> bool:
        """Whether the peer has sent its OPEN."""
        return not self.arrival.silent

    @property
    def here(self) -> bool:
        """Whether the peer is connected, and its session has not ended."""
        return self.arrival.connection.is_open and (self.pipeline is None or not self.pipeline.stopping)

    def same_peer(self, other: Arrival) -> bool:
        """Whether the other peer is the same speaker, with the same addresses."""
        ours = self.arrival
        if ours.first is None or (ours.host, ours.local) != (other.host, other.local):
            return False
        return (ours.first.bgp_id, ours.first.asn) == (other.first.bgp_id, other.first.asn)


class _Refused:
    """Peers that are refused until a time: speakers, told apart by their address, AS number and BGP identifier."""

    def __init__(self) -> None:
        self._until: dict[tuple[str, int, str], float] = {}

    def add(self, arrival: Arrival, seconds: float) -> None:
        now = asyncio.get_running_loop().time()
        self._until = {key: until for key, until in self._until.items() if until > now}
        self._until[_speaker(arrival)] = now + seconds

    def wait(self, arrival: Arrival) -> float:
        """Seconds for which it is still refused, 0 or less if it is not."""
        if not self._until:
            return 0.0
        return self._until.get(_speaker(arrival), 0.0) - asyncio.get_running_loop().time()


def _speaker(arrival: Arrival) -> tuple[str, int, str]:
    """Who it is. Of a peer that waits for our OPEN, only the address is known."""
    first = arrival.first
    return (arrival.host, first.asn, first.bgp_id) if first is not None else (arrival.host, 0, "")


class Sessions:
    """make: a new pipeline from the command line, attached, with what it shares with others (`shared`); with
    `exchanged=True`, one whose ends have changed places.
    first: one that is made already. tasks: the scope that ends after all sessions, that of the process."""

    def __init__(
        self, first: Pipeline, make: Callable[..., Pipeline], log: BindableLog, tasks: Tasks | None = None
    ) -> None:
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
        self.acceptor: Acceptor | None = None
        """the acceptor for peers, with --many or --again"""
        self.interrupted = asyncio.Event()
        """whether a signal has come: no session begins any more"""
        self._deadline = math.inf
        """the time at which messages on their way are dropped"""
        self._lost = 0
        """messages that sessions have lost because the time after a signal was over"""
        self._incomplete: Incomplete | None = None
        """the first thing that sessions could not read, write or send, though they went on"""
        self._running: dict[asyncio.Task[None], _Inside] = {}
        self._refused = _Refused()
        self._tasks = Tasks(self._on_error, tasks)
        self._listen = next((stage for stage in first.stages if stage.listens() is not None), None)

    async def run(self) -> None:
        """Returns when there is nothing more to do. Raises StageError: of the last session, if nobody can listen, or if
        messages of any session have not arrived."""
        self._shared.keep = True
        try:
            if self._listen is not None:
                await self._serve(self._listen)
            else:
                await self._repeat()
        finally:
            await self._close_shared()
            await self._tasks.close()
        if self._incomplete is not None:
            raise self._incomplete

    async def _close_shared(self) -> None:
        """Closes what the sessions share, such as outputs, all at the same time; after a signal within STOP_TIMEOUT.
        Raises StageError."""
        closing = [self._tasks.begin(f"close {key}", close()) for key, close in self._shared.take_closers()]
        if not closing:
            return
        await self._tasks.until(self.interrupted, *closing)
        if not all(each.done() for each in closing):
            left = self._deadline - asyncio.get_running_loop().time()
            _, late = await asyncio.wait(closing, timeout=max(MIN_STOP_TIMEOUT, left))
            for each in late:
                each.cancel()  # an output tells then what it could not write
            await asyncio.wait(closing, timeout=CONCLUDE_TIMEOUT)
        names = [each.get_name() for each in closing if not each.done() or each.cancelled()]
        errors = [error for each in closing if each.done() and not each.cancelled() and (error := each.exception())]
        if errors:
            raise errors[0]
        if names:
            raise StageError(f"there was no time to {' and '.join(names)}: what had not been written is lost")

    def interrupt(self) -> None:
        """Ends all sessions, as a signal does."""
        self._deadline = min(self._deadline, asyncio.get_running_loop().time() + STOP_TIMEOUT)
        self.interrupted.set()
        for runner in self._runners:
            runner.interrupt()

    def end_input(self) -> None:
        """Starts no more sessions, and ends the input of those that run."""
        self.interrupted.set()
        for runner in self._runners:
            runner.end_input()

    def measure(self, metrics: Metrics) -> None:
        """Adds the metrics of connections that did not become sessions."""
        if self.acceptor is not None:
            self.acceptor.measure(metrics)

    async def _repeat(self) -> None:
        """Runs the session again and again, until one ends by itself."""
        damping = Damping()
        while not self.interrupted.is_set():
            pipeline = self._next()
            established: list[float] = []
            pipeline.bus.on([events.ESTABLISHED], partial(_note_time, established))
            try:
                await self._run(pipeline)
                return
            except SessionLost as error:
                if not any(stage.reconnects for stage in pipeline.stages):
                    raise
                if self.interrupted.is_set():
                    return
                wait = max(damping.failed(_since(established)), error.refuse_for)
                fields = session_fields(pipeline, _since(established), error)
                self._log.warning(f"{error}; next session in {wait:.0f} s", **fields)
                pipeline.emit(events.RECONNECT, error=error, values=(damping.failures,))
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self.interrupted.wait()

    async def _serve(self, first: Stage) -> None:
        """Runs a session for each peer that connects."""
        spec = first.listens()
        assert spec is not None
        try:
            acceptor: Acceptor | None = await self._tasks.unless(self.interrupted, "listen", spec.open())
        except (OSError, ValueError) as error:
            raise StageError(f"{first}: {explain_error(error)}") from error
        if acceptor is None:
            return
        acceptor.damps = spec.damp
        acceptor.on_arrival = partial(self._on_arrival, acceptor, spec)
        self.acceptor = acceptor
        acceptor.start(self._tasks)
        try:
            await self.interrupted.wait()
        finally:
            await acceptor.close()
            while self._running:
                await asyncio.wait(set(self._running))
        if self._lost:
            raise StageError(f"{self._lost} messages were lost at the end: they were not through in time")

    def _on_error(self, error: Exception) -> None:
        self._log.error(f"unexpected {type(error).__name__}: {error}")
        self._log.debug("unexpected error", exc_info=error)

    def _on_arrival(self, acceptor: Acceptor, spec: ListenSpec, arrival: Arrival) -> None:
        """Called when a peer has sent its OPEN."""
        if self.interrupted.is_set():
            arrival.refuse("stopping", "we are stopping", say(Notification.shutdown()))
            return
        here = [inside for inside in self._running.values() if inside.here]
        if arrival.first is not None and any(inside.same_peer(arrival) for inside in here):
            text = f"AS{arrival.first.asn} {arrival.first.bgp_id} has a session already (RFC 4271 section 6.8)"
            arrival.refuse("collision", text, say(Notification(CEASE, COLLISION)))
        elif (wait := self._refused_for(arrival)) > 0:
            arrival.refuse("limit", f"its last session has exceeded a limit, so it is refused for {wait:.0f} s")
        elif spec.most and sum(inside.known for inside in here) >= spec.most:
            arrival.refuse("full", f"{spec.most} sessions are up already")
        elif spec.again and here:
            arrival.refuse("full", "a session is up already")
        else:
            inside = _Inside(arrival, spec.exchanges(arrival.host))
            before = set(self._running) if spec.again else set()
            task = self._tasks.begin("session", self._session(acceptor, inside, before))
            self._running[task] = inside
            task.add_done_callback(self._running.pop)

    def _refused_for(self, arrival: Arrival) -> float:
        """Seconds for which a peer is still refused. Its last session may not have ended yet."""
        ending = (each for each in self._running.values() if _speaker(each.arrival) == _speaker(arrival))
        seconds = (_refusal(each.pipeline) for each in ending if each.pipeline is not None)
        return max(self._refused.wait(arrival), *seconds, 0.0)

    async def _session(self, acceptor: Acceptor, inside: _Inside, before: set[asyncio.Task[None]]) -> None:
        """Runs one session; its end does not affect others. before: sessions that must have ended."""
        arrival = inside.arrival

        def on_stop(event: Event) -> None:
            lost = [error for error in pipeline.errors if isinstance(error, SessionLost)]
            if established and lost:
                acceptor.lost(arrival.host, _since(established))
            if seconds := _refusal(pipeline):
                self._refused.add(arrival, seconds)

        log: Log = self._log
        established: list[float] = []
        try:
            if before:
                await asyncio.wait(before)
            if self.interrupted.is_set():
                return
            pipeline = self._next(inside.exchanged)
            log = pipeline.log
            inside.pipeline = pipeline
            pipeline.bus.on([events.ESTABLISHED], partial(_note_time, established))
            pipeline.bus.on([events.STOP], on_stop)
            for stage in pipeline.stages:
                if stage.listens() is not None:
                    stage.adopt(arrival)
                    break
            pipeline.on_kill = lambda reason: pipeline.fail(StageError(f"killed by {reason}", reason="killed"))
            await self._run(pipeline)
            log.info("session ended", **session_fields(pipeline, _since(established)))
        except StageError as error:
            tell = log.info if self.interrupted.is_set() else log.warning
            tell(f"session ended: {error}", **session_fields(pipeline, _since(established), error))
        except ConfigError as error:
            log.warning(f"session ended: {error}", peer=arrival.endpoint)
        except Exception as error:
            log.error(f"session ended: unexpected {type(error).__name__}: {error}")
            log.debug("unexpected error", exc_info=error)
        finally:
            if self.interrupted.is_set() and inside.pipeline is not None:
                self._lost += inside.pipeline.lost_messages
            arrival.abort()
            acceptor.leave(arrival)

    def _next(self, exchanged: bool = False) -> Pipeline:
        if exchanged:
            pipeline = self._make(exchanged=True, shared=self._shared)
        else:
            pipeline, self._first = self._first or self._make(shared=self._shared), None
        self.count += 1
        pipeline.number = self.count
        pipeline.log = self._log.bind(session=pipeline.number)
        return pipeline

    async def _run(self, pipeline: Pipeline) -> None:
        runner = Runner(pipeline, self._tasks)
        self._runners.add(runner)
        self.active[pipeline.number] = pipeline
        self.on_begin(pipeline)
        try:
            await runner.run()
        finally:
            self.on_end(pipeline)
            for error in pipeline.errors:
                if self._incomplete is None and isinstance(error, Incomplete):
                    self._incomplete = Incomplete(f"session {pipeline.number}: {error}")
            self._runners.discard(runner)
            del self.active[pipeline.number]


def _refusal(pipeline: Pipeline) -> float:
    """Seconds for which the peer of a session is refused because of what it has done, 0 if it is not."""
    return max((error.refuse_for for error in pipeline.errors if isinstance(error, SessionLost)), default=0.0)


def session_fields(pipeline: Pipeline, seconds: float, error: StageError | None = None) -> dict[str, Any]:
    """Fields for the log: both peers with their AS numbers, how long the session was established, and its end."""
    fields: dict[str, Any] = {}
    if error is not None:
        fields["reason"] = error.reason
        if error.side:
            fields["side"] = SIDES[error.side]
    for side, peer in peers(pipeline).items():
        if "remote" in peer:
            fields[side] = peer["remote"] + (f" AS{peer['peer']['asn']}" if "peer" in peer else "")
    fields["established_for"] = format_duration(round(seconds)) if seconds else "0s"
    return fields


def _note_time(times: list[float], event: Event) -> None:
    times.append(asyncio.get_running_loop().time())


def _since(times: list[float]) -> float:
    """Seconds since the first of these times, 0 if there is none."""
    return asyncio.get_running_loop().time() - times[0] if times else 0.0
