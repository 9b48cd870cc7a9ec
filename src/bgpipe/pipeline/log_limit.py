"""Limits log lines about what may happen without end: refused clients, errors, output of programs."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Final

WINDOW: Final = 60.0
"""Seconds in which a subject gets one line."""
MAX_LINES: Final = 20
"""Lines in a window, whatever they are about."""


class LogLimit:
    """Decides which events get a line in the log: one for each subject in a window, and MAX_LINES in all.

    clock: seconds, from any start. left_out: events without a line since the last one that got one.
    """

    def __init__(self, clock: Callable[[], float], *, window: float = WINDOW, most: int = MAX_LINES) -> None:
        self.left_out = 0
        self._clock = clock
        self._window = window
        self._most = most
        self._since = -window
        self._lines = 0
        self._subjects: set[Hashable] = set()
        self._waiting = 0

    def admit(self, subject: Hashable = None) -> bool:
        """Whether an event gets a line. subject: what it is about; None if each event is a subject of its own."""
        now = self._clock()
        if now - self._since >= self._window:
            self._since, self._lines = now, 0
            self._subjects.clear()
        if self._lines >= self._most or (subject is not None and subject in self._subjects):
            self._waiting += 1
            return False
        self._lines += 1
        if subject is not None:
            self._subjects.add(subject)
        self.left_out, self._waiting = self._waiting, 0
        return True
