"""A live session must not die of a stage that waits for somebody: what is done when that takes too long.

Two things can go wrong. Nobody may make progress: then the partner is stalled, and its stage is told. And a KEEPALIVE
may be with a partner that gives it back late or never, or wait behind a line that is held: then, when the peer has
heard nothing for nearly a third of the hold time, it is sent a KEEPALIVE in its place. That is no lie: the peer at the
other end did send one, or is not let to because of us.
"""

from __future__ import annotations

import asyncio
import math
from typing import Final, Protocol

from ...pipeline.line import Line
from ...pipeline.pipeline import Pipeline

STEPS: Final = 6
"""How often one looks within the shortest time that counts."""
LEAST_HOLD_TIME: Final = 3.0
"""Seconds (RFC 4271 section 4.2); the session's may not be known yet."""


class Watched(Protocol):
    """The stage that is watched."""

    pipeline: Pipeline
    watched: str

    @property
    def waiting(self) -> int:
        """Something that changes when the partner takes what waits for it, 0 if nothing does."""

    @property
    def held(self) -> bool:
        """Whether the partner has to wait for us, so that it is not its fault."""

    @property
    def holding(self) -> bool:
        """Whether others have to wait for the partner."""

    def on_stall(self) -> None: ...

    def on_silence(self, direction: str) -> None:
        """The peer at the end of this line should hear a KEEPALIVE."""


class StallWatchdog:
    """timeout: seconds without progress that make a stall, 0 for never."""

    def __init__(self, stage: Watched, timeout: float) -> None:
        self._stage = stage
        self._timeout = timeout or math.inf
        self._loop = asyncio.get_running_loop()
        self._progress = self._loop.time()
        self._looked = self._progress
        self._waiting = 0
        self._answers = False
        """whether the partner has given a KEEPALIVE back, so that it is expected to"""
        self._asked = 0.0
        """since when a KEEPALIVE has been with the partner, 0 for none"""
        self._owed = {direction: _Owed(stage.pipeline.lines[direction]) for direction in stage.watched}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Something waits for the partner."""
        if self._timer is None:
            self._progress = self._looked = self._loop.time()
            self._timer = self._loop.call_later(self._step, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def on_keepalive(self, direction: str) -> None:
        """The partner is given one."""
        now = self._loop.time()
        self._asked = self._asked or now
        self._owed[direction].begin(now)

    def on_answer(self, *, keepalive: bool) -> None:
        """The partner has given something back."""
        self._progress = self._loop.time()
        if keepalive:
            self._answers = True
            self._asked = 0.0

    def on_change(self) -> None:
        """There is another partner, or none: it has all the time that there is."""
        self._progress = self._loop.time()
        self._answers, self._asked = False, 0.0

    @property
    def _silence(self) -> float:
        """Seconds after which a peer should hear something; infinity while there is no session."""
        tracker = self._stage.pipeline.tracker
        return tracker.hold_time / 3 if tracker.established and tracker.hold_time else math.inf

    @property
    def _step(self) -> float:
        return min(self._timeout, self._silence, LEAST_HOLD_TIME) / STEPS

    def _look(self) -> None:
        self._timer = None
        stage, now, silence = self._stage, self._loop.time(), self._silence
        if now - self._looked > 2 * self._step:
            self._progress = now  # we were held up ourselves: nobody else is to be blamed
        self._looked = now
        for direction, owed in self._owed.items():
            if stage.holding:
                owed.begin(now)
            if owed.since and owed.silent_for(now) >= silence - self._step:
                stage.on_silence(direction)
        waiting = stage.waiting
        if waiting != self._waiting or stage.held:
            self._waiting, self._progress = waiting, now
        since = max(self._progress, self._asked)
        if (waiting or (self._answers and self._asked)) and now - since >= self._timeout - self._step / 2:
            self.on_change()
            stage.on_stall()
        if stage.waiting or stage.holding or self._asked or any(owed.since for owed in self._owed.values()):
            self._timer = self._timer or self._loop.call_later(self._step, self._look)


class _Owed:
    """Whether the peer at the end of a line is owed a KEEPALIVE: nothing has come there since one was taken.

    since: seconds of the loop's clock, 0 if not.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._left = 0
        self.since = 0.0

    def begin(self, now: float) -> None:
        if not self.since or self._line.left != self._left:
            self.since, self._left = now, self._line.left

    def silent_for(self, now: float) -> float:
        """Seconds; with something that has come it is over."""
        if self._line.left != self._left:
            self.since = 0.0
            return 0.0
        return now - self.since
