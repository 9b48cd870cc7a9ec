"""Timers as deadlines. The owner has the clock, and asks which are due.

Times are seconds on any clock that only goes forward.
"""

from __future__ import annotations

from enum import StrEnum


class FsmTimer(StrEnum):
    """The timers of RFC 4271 section 8.1.3 and 10, and the SendHoldTimer of RFC 9687."""

    CONNECT_RETRY = "ConnectRetryTimer"
    DELAY_OPEN = "DelayOpenTimer"
    HOLD = "HoldTimer"
    IDLE_HOLD = "IdleHoldTimer"
    KEEPALIVE = "KeepaliveTimer"
    SEND_HOLD = "SendHoldTimer"


class Timers:
    """The running timers of one session."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[FsmTimer, float] = {}

    def start(self, timer: FsmTimer, deadline: float) -> None:
        """Starts a timer, or starts it again."""
        self._deadlines[timer] = deadline

    def postpone(self, timer: FsmTimer, deadline: float) -> None:
        """Moves the deadline of a running timer to this time, if that is later."""
        if timer in self._deadlines:
            self._deadlines[timer] = max(deadline, self._deadlines[timer])

    def stop(self, timer: FsmTimer) -> None:
        self._deadlines.pop(timer, None)

    def stop_all(self) -> None:
        self._deadlines.clear()

    def running(self, timer: FsmTimer) -> bool:
        return timer in self._deadlines

    @property
    def next(self) -> float | None:
        """The earliest deadline."""
        return min(self._deadlines.values(), default=None)

    def expire(self, now: float) -> FsmTimer | None:
        """Stops and returns the timer with the earliest deadline, if it is due."""
        due = min(self._deadlines.items(), key=lambda item: item[1], default=None)
        if due is None or due[1] > now:
            return None
        del self._deadlines[due[0]]
        return due[0]
