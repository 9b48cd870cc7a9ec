"""Detects a stalled partner or output, so that a live session does not end because a stage waits for it.

Two things can go wrong. First, the partner may make no progress: it takes nothing of what waits for it, or it has got
an OPEN or a KEEPALIVE and gives nothing back. Then it is stalled, and its stage is told. Second, a KEEPALIVE may be
late: the partner gives it back late, or it waits before a line that is held. If the peer has got nothing for nearly a
third of the hold time, it is sent a KEEPALIVE in its place. This is correct, because the peer at the other end did send
one, or could not because of us. It does not go on for ever, because a partner that gives back no KEEPALIVE is stalled.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Final, Protocol

from ...pipeline.line import Line
from ...pipeline.pipeline_base import PipelineBase
from ...pipeline.scope import ScheduledCall
from ...pipeline.stage import Stage

STEPS: Final = 6
"""The number of checks within the shortest time that matters."""
LEAST_HOLD_TIME: Final = 3.0
"""Seconds (RFC 4271 section 4.2); the session's may not be known yet."""


class Watched(Protocol):
    """The stage that is watched."""

    pipeline: PipelineBase[Stage]
    watched: str

    @property
    def waiting(self) -> int:
        """Something that grows when the partner takes what waits for it, 0 if nothing waits."""

    @property
    def taken(self) -> int:
        """Octets that the partner has taken; 0 if the partner gives nothing back."""

    @property
    def held(self) -> bool:
        """Whether the partner has to wait for us. Then it is not stalled."""

    @property
    def holding(self) -> bool:
        """Whether senders have to wait for the partner."""

    def call_later(self, seconds: float, function: Callable[[], object]) -> ScheduledCall: ...

    def on_stall(self) -> None: ...

    def on_silence(self, direction: str) -> None:
        """Called when the peer at the end of this line should get a KEEPALIVE."""


class StallWatchdog:
    """timeout: seconds without progress that make a stall, 0 for never."""

    def __init__(self, stage: Watched, timeout: float) -> None:
        self._stage = stage
        self._timeout = timeout or math.inf
        self._loop = asyncio.get_running_loop()
        self._progress = self._loop.time()
        self._looked = self._progress
        self._waiting = 0
        self._asked = 0.0
        """since when an OPEN or KEEPALIVE has been with the partner, or waits for it; 0 for none"""
        self._place = 0
        """the number of octets that the partner will have taken together with that message"""
        self._answered = 0.0
        """when the partner has last given something back"""
        self._owed = {direction: _Owed(stage.pipeline.lines[direction]) for direction in stage.watched}
        self._timer: ScheduledCall | None = None

    def begin(self) -> None:
        """Called when something waits for the partner."""
        if self._timer is None:
            self._progress = self._looked = self._loop.time()
            self._timer = self._stage.call_later(self._step, self._look)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def on_given(self, direction: str, place: int, *, keepalive: bool) -> None:
        """An OPEN or a KEEPALIVE waits for the partner, which will have taken so many octets with it."""
        now = self._loop.time()
        if not self._asked:
            self._asked, self._place = now, place
        if keepalive:
            self._owed[direction].begin(now)

    def on_answer(self, *, session: bool) -> None:
        """The partner has given something back; `session`: an OPEN or a KEEPALIVE."""
        self._progress = self._answered = self._loop.time()
        if session:
            self._asked = 0.0

    def on_change(self) -> None:
        """Called when there is another partner, or none."""
        self._asked = 0.0

    def restart(self) -> None:
        """Starts to count anew, because the messages that waited are gone."""
        self._progress = self._loop.time()
        self._asked = 0.0

    @property
    def _longest(self) -> float:
        """Seconds after which a partner that gives back other messages, but no KEEPALIVE, is stalled."""
        tracker = self._stage.pipeline.tracker
        return max(self._timeout, tracker.hold_time if tracker.established else 0)

    @property
    def _silence(self) -> float:
        """Seconds after which a peer should get a message; infinity while there is no session."""
        tracker = self._stage.pipeline.tracker
        return tracker.hold_time / 3 if tracker.established and tracker.hold_time else math.inf

    @property
    def _step(self) -> float:
        return min(self._timeout, self._silence, LEAST_HOLD_TIME) / STEPS

    def _look(self) -> None:
        self._timer = None
        stage, now, silence = self._stage, self._loop.time(), self._silence
        if now - self._looked > 2 * self._step:
            self._progress = now  # the event loop itself was late, so the partner is not stalled
        self._looked = now
        for direction, owed in self._owed.items():
            if stage.holding:
                owed.begin(now)
            if owed.since and owed.silent_for(now) >= silence - self._step:
                stage.on_silence(direction)
        waiting = stage.waiting
        if not waiting or waiting > self._waiting or stage.held:
            self._progress = now
        self._waiting = waiting
        if self._asked and (stage.held or stage.taken < self._place):
            self._asked = now  # it has not got it yet
        if self._is_stalled(now + self._step / 2):
            self.restart()
            stage.on_stall()
        if stage.waiting or stage.holding or self._asked or any(owed.since for owed in self._owed.values()):
            self._timer = self._timer or self._stage.call_later(self._step, self._look)

    def _is_stalled(self, now: float) -> bool:
        if now - self._progress >= self._timeout:
            return True
        if not self._asked:
            return False
        return now - max(self._asked, self._answered) >= self._timeout or now - self._asked >= self._longest


class _Owed:
    """Whether the peer at the end of a line waits for a KEEPALIVE: nothing has come there since the partner took one.

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
