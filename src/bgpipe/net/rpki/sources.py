"""The sources of --rpki in their order of preference, and which of them counts (RFC 8210 section 10).

The first source that has data counts. The next one is asked only if all before it have none, or are about to lose
theirs; it is left again when a better one has data. What counts goes, after the local exceptions of --rpki-slurm, to
`Rpki`, from where stages have it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from ...pipeline import events
from ...pipeline.log import Log
from ...pipeline.metrics import Metrics
from ...rpki.current import Rpki, SourceState
from ...rpki.snapshot import EMPTY, Snapshot
from ...tasks import Tasks, Timer
from .exceptions import LocalExceptions
from .file import FileSource
from .rtr import RtrSource
from .settings import RpkiSettings
from .source import Source
from .url import UrlSource

PATIENCE: Final = 10.0
"""Seconds that a source may take for its first data before the next one is asked too."""
KINDS: Final[dict[str, type[Source]]] = {each.kind: each for each in (FileSource, UrlSource, RtrSource)}

OnEvent = Callable[[str, tuple[Any, ...], Exception | None], object]
"""Called with the name of an event, its values, and an error."""


class RpkiSources:
    """Keeps an Rpki up to date.

    live: whether a source that has nothing at the start is waited for. Otherwise, and if all are files, the first
    failure of all of them is final. on_event: is told what happens, besides the log.
    """

    def __init__(self, settings: RpkiSettings, rpki: Rpki, log: Log, *, live: bool = True) -> None:
        self.on_event: OnEvent = lambda name, values, error: None
        self.rpki = rpki
        self._settings = settings
        self._log = log
        self._live = live and any(spec.kind != "file" for spec in settings.sources)
        self._sources = [KINDS[spec.kind](spec, settings, log) for spec in settings.sources]
        self._exceptions = LocalExceptions(settings.slurm, log)
        self._running: dict[Source, asyncio.Task[None]] = {}
        self._started: dict[Source, float] = {}
        self._active: Source | None = None
        """the source whose data count"""
        self._accepted: Snapshot | None = None
        """the data that count, or are being made to, before local exceptions"""
        self._held: tuple[Source, int] | None = None
        """the source whose data are much fewer than before, and how often it had been heard then"""
        self._expired = False
        self._timer: Timer | None = None
        self._wake = asyncio.Event()
        rpki.sources = self.states

    def start(self, parent: Tasks) -> None:
        self._tasks = parent.child(self._on_error)
        for source in self._sources:
            source.on_change = self.evaluate
        self._tasks.spawn("rpki", self._work())
        self._tasks.spawn("rpki slurm", self._exceptions.watch(self._wake.set))
        self.evaluate()

    async def close(self) -> None:
        await self._tasks.close()

    def reload(self) -> None:
        """Called at SIGHUP: looks at files and URLs, and asks caches."""
        self._exceptions.look()
        for source in self._running:
            source.look()

    def _on_error(self, error: Exception) -> None:
        self._log.error(f"RPKI: unexpected {type(error).__name__}: {error}")
        self._log.debug("unexpected error", exc_info=error)

    # which source counts

    def evaluate(self) -> None:
        """Decides which source counts, and which are asked."""
        if self._tasks.closing:
            return
        chosen: Source | None = None
        needed: list[Source] = []
        for source in self._sources:
            needed.append(source)
            self._run(source)
            if source.usable:
                chosen = chosen or source
                if not source.weak:
                    break
            elif not source.tried and source.now < self._started[source] + PATIENCE:
                break
        if chosen is not None:
            self._choose(chosen)
        elif self._active is not None:
            self._expire()
        elif not self.rpki.ready and not self._live and all(source.tried for source in self._sources):
            self.rpki.fail("; ".join(source.error for source in self._sources if source.error) or "no RPKI data")
        for source in set(self._running) - set(needed):
            self._end(source)
        self._schedule(needed)

    def _run(self, source: Source) -> None:
        if source not in self._running:
            self._started[source] = source.now
            self._running[source] = self._tasks.begin(f"rpki {source}", self._guard(source))

    async def _guard(self, source: Source) -> None:
        """Runs a source; an error that nobody has foreseen is a failure of that source alone."""
        while True:
            try:
                await source.run()
            except Exception as error:
                self._on_error(error)
                source.fail(f"{source}: unexpected {type(error).__name__}")
                await asyncio.sleep(PATIENCE)

    def _end(self, source: Source) -> None:
        self._running.pop(source).cancel()
        del self._started[source]
        source.forget()

    def _schedule(self, needed: list[Source]) -> None:
        """Evaluates again when data become old, or a source has had its time to answer."""
        if self._timer is not None:
            self._timer.cancel()
        times = [self._started[source] + PATIENCE for source in needed if not source.tried]
        for source in needed:
            if source.expires is not None:
                times += [source.expires, source.expires - source.expire / 2]
        now = self._tasks.loop.time()
        if coming := [time for time in times if time > now]:
            self._timer = self._tasks.call_later("rpki", min(coming) - now + 0.001, self.evaluate)

    # its data

    def _choose(self, source: Source) -> None:
        snapshot = source.snapshot
        assert snapshot is not None
        self._expired = False
        if snapshot is self._accepted:
            self._set_active(source)
        elif self._is_plausible(source, snapshot):
            self._held = None
            self._accepted = snapshot
            self._set_active(source)
            self._wake.set()

    def _set_active(self, source: Source) -> None:
        if source is self._active:
            return
        before, self._active = self._active, source
        if before is not None:
            self._log.info("RPKI source changed", source=str(source), before=str(before))
        self._emit(events.RPKI_SOURCE, str(source), str(before or ""))

    def _is_plausible(self, source: Source, snapshot: Snapshot) -> bool:
        """Whether data may take the place of those that count. If there are much fewer, they may when the source says
        the same a second time."""
        before = self._accepted
        if before is None or self._settings.shrinks or not _shrinks(before, snapshot):
            return True
        if self._held is not None and self._held[0] is source:
            return source.fetches > self._held[1]
        self._held = source, source.fetches
        text = f"{len(snapshot)} VRPs and {len(snapshot.aspas)} ASPAs after {len(before)} and {len(before.aspas)}"
        advice = "they count when the source says so again, or with --rpki-shrink"
        self._log.warning(f"RPKI data have shrunk by more than half: {text}; {advice}", source=str(source))
        self._emit(events.RPKI_SHRINK, str(source), len(before), len(snapshot))
        self._tasks.call_later("rpki", source.retry, source.look)
        return False

    def _expire(self) -> None:
        """No source has data that are not too old."""
        if self._expired or (self._held is not None and self._held[0].usable):
            return
        self._expired = True
        what = "dropped: no route is found in them" if self._settings.drops_stale else "kept (--rpki-stale keep)"
        error = ValueError(f"RPKI data of {self._active} are too old, and are {what}")
        self._log.error(str(error))
        if self._settings.drops_stale:
            self._active, self._accepted = None, EMPTY
            self._wake.set()
        self._emit(events.RPKI_STALE, "drop" if self._settings.drops_stale else "keep", error=error)

    async def _work(self) -> None:
        """Makes what counts of data that are accepted."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            accepted = self._accepted
            if accepted is None:
                continue
            made = await self._exceptions.apply(accepted)
            if made is None:
                self.rpki.fail(self._exceptions.error)
            elif accepted is self._accepted and (not self.rpki.ready or made != self.rpki.snapshot):
                self._replace(made)

    def _replace(self, snapshot: Snapshot) -> None:
        counts = {"vrps4": snapshot.count(1), "vrps6": snapshot.count(2), "aspas": len(snapshot.aspas)}
        self._log.info("RPKI cache updated", **counts, source=str(self._active or "none"))
        self.rpki.replace(snapshot)
        self._emit(events.RPKI_UPDATE, *counts.values())

    def _emit(self, name: str, *values: object, error: Exception | None = None) -> None:
        self.on_event(name, values, error)

    # what is shown

    def states(self) -> list[SourceState]:
        return [source.state(source is self._active) for source in self._sources]

    @property
    def trouble(self) -> str:
        """What is wrong at the moment, for people; "" if nothing is."""
        if not self.rpki.ready:
            return "no RPKI data yet"
        if self._expired:
            return f"RPKI data are too old: {self._sources[0].error or 'no source has others'}"
        if self._held is not None:
            return f"RPKI data of {self._held[0]} have shrunk by more than half, and wait for a second fetch"
        return self._exceptions.error

    def measure(self, metrics: Metrics) -> None:
        snapshot = self.rpki.snapshot
        metrics.add("bgpipe_rpki_ready", self.rpki.ready)
        metrics.add("bgpipe_rpki_vrps_ipv4", snapshot.count(1))
        metrics.add("bgpipe_rpki_vrps_ipv6", snapshot.count(2))
        metrics.add("bgpipe_rpki_aspa_entries", len(snapshot.aspas))
        for state in self.states():
            labels = {"source": state.name}
            metrics.add("bgpipe_rpki_source_state", 1, **labels, kind=state.kind, state=state.state)
            metrics.add("bgpipe_rpki_source_active", state.active, **labels)
            metrics.add("bgpipe_rpki_source_vrps", state.vrps, **labels)
            metrics.add("bgpipe_rpki_source_aspas", state.aspas, **labels)
            metrics.add("bgpipe_rpki_source_errors_total", state.errors, **labels)
            for name in ("age", "version", "serial"):
                if (value := getattr(state, name)) is not None:
                    metrics.add(f"bgpipe_rpki_source_{name}{'_seconds' if name == 'age' else ''}", value, **labels)


def _shrinks(before: Snapshot, after: Snapshot) -> bool:
    """Whether VRPs or ASPAs have become fewer by more than half."""
    return len(after) * 2 < len(before) or len(after.aspas) * 2 < len(before.aspas)


async def load(settings: RpkiSettings, log: Log, timeout: float) -> Rpki:
    """What the sources say once, for a command that asks and ends. Its `error` says why there is nothing.

    timeout: seconds until there must be data.
    """
    rpki, tasks, ready = Rpki(), Tasks(), asyncio.Event()
    sources = RpkiSources(settings, rpki, log, live=False)
    sources.start(tasks)
    rpki.when_ready(ready.set)
    try:
        async with asyncio.timeout(timeout):
            await ready.wait()
    except TimeoutError:
        errors = [state.error or f"{state.name}: {state.state}" for state in sources.states()]
        rpki.fail(f"none within {timeout:g} s ({'; '.join(errors)})")
    finally:
        states = sources.states()
        rpki.sources = lambda: states  # as they were: a source that is closed forgets its data
        await sources.close()
        await tasks.close()
    return rpki
