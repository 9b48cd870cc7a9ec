"""Waits for what has an end: entries of peers, lists, and lines of lists. It calls back when something is over."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from ..tasks import Tasks, Timer

DELAY: Final = 0.01
"""Seconds after an end at which it is told, so that it is over by every clock."""
LONGEST: Final = 3600.0
"""Seconds after which we look again, whatever is ahead: somebody may have set the clock of the machine."""


class Ends:
    """on_end: called with two times, after and up to which something may be over; it tells what else to watch.

    Times are seconds since 1970.
    """

    def __init__(self, on_end: Callable[[float, float], object], clock: Callable[[], float] = time.time) -> None:
        self._on_end = on_end
        self._clock = clock
        self._told = 0.0
        self._next = math.inf
        self._timer: Timer | None = None
        self._tasks: Tasks

    def start(self, tasks: Tasks) -> None:
        """Tells first of all that is over already."""
        self._tasks = tasks
        self._tell()

    def watch(self, ends: Iterable[float]) -> None:
        """These too. What does not end any more need not be taken back: nothing is over then, and nothing happens."""
        now = self._clock()
        end = min((each for each in ends if each > now), default=math.inf)
        if end < self._next:
            if self._timer is not None:
                self._timer.cancel()
            self._next = end
            self._timer = self._tasks.call_later("ends", min(end - now + DELAY, LONGEST), self._tell)

    def _tell(self) -> None:
        after, self._told = self._told, self._clock()
        self._next, self._timer = math.inf, None
        self._on_end(after, self._told)
