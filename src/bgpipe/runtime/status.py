"""The state of the pipelines of this process, as text, JSON and metrics."""

from __future__ import annotations

import os
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from .. import accel
from ..pipeline.explain import explain
from ..pipeline.lifecycle import StageState
from ..pipeline.measure import measure, slugs
from ..pipeline.metrics import Histogram, Metrics
from ..pipeline.options import format_duration
from ..pipeline.pipeline import Pipeline
from ..pipeline.stage import Stage
from ..version import __version__

if TYPE_CHECKING:
    from ..net.rpki.sources import RpkiSources

MAX_ENDED_SESSIONS: Final = 50
"""The most ended sessions that are shown."""


MAX_ENDED_PEERS: Final = 1000
"""The most peers without a session in the metrics."""


class Overview:
    """first: the pipeline that the command line has made."""

    def __init__(self, first: Pipeline) -> None:
        self.many = any((spec := stage.listens()) is not None and not spec.again for stage in first.stages)
        """whether there may be many sessions, so that none at all is no fault"""
        self.stopping = False
        self.explanation = explain(first)
        self.count = len([stage for stage in first.stages if not stage.hidden])
        self.lag = Histogram()
        self.others: list[Callable[[Metrics], object]] = []
        """called to add metrics that belong to no pipeline"""
        self._rpki: RpkiSources | None = None
        self._awaits_rpki = False
        self._first = first
        self._active: dict[int, tuple[Pipeline, float]] = {}
        self._ended: deque[dict[str, Any]] = deque(maxlen=MAX_ENDED_SESSIONS)
        self._totals = Metrics()
        self._last_ends: dict[tuple[tuple[str, str], ...], str] = {}
        """the reason why the last session with a peer ended, by the peer's labels; the oldest first"""
        self._started = time.time()
        self._clock = time.monotonic()

    def begin(self, pipeline: Pipeline) -> None:
        """Called when a pipeline starts to run."""
        self._active[pipeline.number] = pipeline, time.time()
        if ends(pipeline):
            self._totals.add("bgpipe_sessions_started_total", 1)

    def end(self, pipeline: Pipeline) -> None:
        """Called when a pipeline has ended. Its counters stay in the totals."""
        _, begun = self._active.pop(pipeline.number)
        metrics = Metrics()
        measure(pipeline, metrics)
        self._totals.add_lasting(metrics)
        if ends(pipeline):
            self._totals.add("bgpipe_sessions_ended_total", 1, reason=pipeline.outcome)
            for labels in peer_labels(pipeline):
                self._last_ends.pop(labels, None)
                self._last_ends[labels] = pipeline.outcome
            while len(self._last_ends) > MAX_ENDED_PEERS:
                del self._last_ends[next(iter(self._last_ends))]
            told = str(pipeline.error or pipeline.outcome)
            shown = {"session": pipeline.number, "began": iso(begun), "ended": iso(time.time()), "reason": told}
            self._ended.appendleft(shown | peers(pipeline))

    def watch_rpki(self, sources: RpkiSources, awaited: bool) -> None:
        """Shows the sources of --rpki. awaited: whether it is not ready without RPKI data."""
        self._rpki, self._awaits_rpki = sources, awaited
        self.others.append(sources.measure)

    # in words

    @property
    def uptime(self) -> str:
        """The time since the start, as Go writes it: 1m5s."""
        seconds = int(time.monotonic() - self._clock)
        return format_duration(seconds) if seconds else "0s"

    def why_not_ready(self) -> str:
        """Why /readyz is not ok; "" if it is."""
        if self.stopping:
            return "stopping"
        if self._awaits_rpki and self._rpki is not None and not self._rpki.rpki.ready:
            return "no RPKI data yet"
        if self.many:
            return ""
        if not self._active:
            return "no session"
        for pipeline, _ in self._active.values():
            for stage in pipeline.stages:
                if not stage.wait_for and pipeline.state(stage) in (StageState.WAITING, StageState.STARTING):
                    return f"{stage} is not up"
            if ends(pipeline) and not pipeline.tracker.established:
                return "the session is not established"
        return ""

    # as JSON

    def health(self) -> dict[str, Any]:
        shown: dict[str, Any] = {"status": "ok", "version": __version__, "stages": self.count, "uptime": self.uptime}
        stages = [stage for pipeline, _ in self._active.values() for stage in pipeline.stages if stage.trouble]
        trouble = {f"{stage}: {stage.trouble}" for stage in stages}
        if self._rpki is not None and self._rpki.trouble:
            trouble.add(self._rpki.trouble)
        if trouble:
            shown |= {"status": "degraded", "trouble": sorted(trouble)}
        return shown

    def rpki(self) -> dict[str, Any] | None:
        """The RPKI data that count, and the sources; None if no stage needs any."""
        if self._rpki is None:
            return None
        rpki = self._rpki.rpki
        return {
            "ready": rpki.ready,
            "vrps_ipv4": rpki.snapshot.count(1),
            "vrps_ipv6": rpki.snapshot.count(2),
            "aspa_entries": len(rpki.snapshot.aspas),
            "sources": [state._asdict() for state in self._rpki.states()],
        }

    def sessions(self) -> dict[str, Any]:
        """The sessions that run, and those that ended last."""
        active = [self._session(number) for number, (pipeline, _) in self._active.items() if ends(pipeline)]
        return {"sessions": active, "ended": list(self._ended)}

    def _session(self, number: int) -> dict[str, Any]:
        pipeline, begun = self._active[number]
        shown: dict[str, Any] = {"session": number, "state": state(pipeline), "since": iso(begun)}
        if pipeline.tracker.established:
            shown["established"] = iso(pipeline.tracker.since / 1e6)
        shown |= peers(pipeline)
        if stages := {
            slug: status for slug, stage in slugs(pipeline).items() if not stage.side and (status := stage.status())
        }:
            shown["stages"] = stages
        return shown | {"malformed": pipeline.malformed_messages}

    def stage(self, slug: str) -> dict[str, Any] | None:
        """The status of a stage, by the number of the session if there are many; None if there is no such stage."""
        if slug not in slugs(self._first):
            return None
        told = {number: slugs(pipeline)[slug].status() for number, (pipeline, _) in self._active.items()}
        return {"sessions": told} if self.many else next(iter(told.values()), {})

    def stages(self) -> list[tuple[int, str, str, str, str]]:
        """(number, name, command, direction, slug) of each."""
        return [
            (stage.index, stage.name, " ".join(stage.shown_words()), stage.directions, slug)
            for slug, stage in slugs(self._first).items()
        ]

    # as metrics

    def metrics(self) -> Metrics:
        metrics = Metrics()
        metrics.add_lasting(self._totals)
        for pipeline, _ in self._active.values():
            measure(pipeline, metrics)
        states = Counter(state(pipeline) for pipeline, _ in self._active.values() if ends(pipeline))
        for name in ("connecting", "connected", "established"):
            metrics.add("bgpipe_sessions", states[name], state=name)
        metrics.add("bgpipe_sessions_started_total", 0)
        self._measure_peers(metrics)
        metrics.add("bgpipe_ready", not self.why_not_ready())
        metrics.add("bgpipe_info", 1, version=__version__, accel="true" if accel.AVAILABLE else "false")
        metrics.add("bgpipe_uptime_seconds", round(time.monotonic() - self._clock, 3))
        metrics.add_histogram("bgpipe_loop_lag_seconds", self.lag)
        for measure_other in self.others:
            measure_other(metrics)
        add_process(metrics, self._started)
        return metrics

    def _measure_peers(self, metrics: Metrics) -> None:
        """Whether there is a session with each peer, and why the last one ended."""
        up: dict[tuple[tuple[str, str], ...], bool] = dict.fromkeys(self._last_ends, False)
        for pipeline, _ in self._active.values():
            for labels in peer_labels(pipeline):
                up[labels] = up.get(labels, False) or pipeline.tracker.established
        for labels, established in up.items():
            metrics.add("bgpipe_session_up", established, **dict(labels))
        for labels, reason in self._last_ends.items():
            metrics.add("bgpipe_session_last_end", 1, **dict(labels), reason=reason)


def peer_labels(pipeline: Pipeline) -> list[tuple[tuple[str, str], ...]]:
    """Side, address and AS number of each end whose peer has sent its OPEN."""
    found: list[tuple[tuple[str, str], ...]] = []
    for side, shown in peers(pipeline).items():
        if "peer" in shown and "remote" in shown:
            host = shown["remote"].rpartition(":")[0].strip("[]")
            found.append((("side", side), ("peer", host), ("asn", str(shown["peer"]["asn"]))))
    return found


def ends(pipeline: Pipeline) -> list[Stage]:
    """The ends of a pipeline that have peers, from left to right."""
    return sorted((stage for stage in pipeline.stages if stage.side), key=lambda stage: stage.side)


def state(pipeline: Pipeline) -> str:
    """The state of the session: connecting, connected or established."""
    if pipeline.tracker.established:
        return "established"
    return "connected" if all(end.connected for end in ends(pipeline)) else "connecting"


def peers(pipeline: Pipeline) -> dict[str, Any]:
    """The state of the ends of a pipeline, by side."""
    shown = {}
    for end in ends(pipeline):
        status = end.status()
        side = status.pop("side")
        shown[side] = {"stage": str(end)} | status
    return shown


def iso(seconds: float) -> str:
    """A time, in seconds since 1970, as RFC 3339 writes it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def add_process(metrics: Metrics, started: float) -> None:
    """Adds the usual metrics of a process for Prometheus, as far as the system provides them."""
    used = os.times()
    metrics.add("process_cpu_seconds_total", used.user + used.system)
    metrics.add("process_start_time_seconds", round(started, 2))
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            pages = int(file.read().split()[1])
        metrics.add("process_resident_memory_bytes", pages * os.sysconf("SC_PAGE_SIZE"))
        metrics.add("process_open_fds", len(os.listdir("/proc/self/fd")))
    except OSError:
        pass
