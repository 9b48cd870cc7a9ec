"""Limits the rate of messages."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

ROUNDING: Final = 1e-9
"""The part of a token by which a caller that has waited long enough may still be early, by rounding."""


class TokenBucket:
    """Allows `rate` messages a second, and bursts of so many together.

    burst: one second's worth, rounded up, if it is not said. clock: seconds, from any start, never backwards.
    """

    __slots__ = ("_clock", "_full", "_seen", "_tokens", "rate")

    def __init__(self, rate: float, clock: Callable[[], float], burst: int = 0) -> None:
        self.rate = rate
        self._full = burst or math.ceil(rate)
        self._tokens = float(self._full)
        self._clock = clock
        self._seen = clock()

    def take(self) -> float:
        """Takes one token and returns 0, or leaves them and returns the seconds until there is one."""
        now = self._clock()
        self._tokens = min(self._full, self._tokens + (now - self._seen) * self.rate)
        self._seen = now
        if self._tokens >= 1 - ROUNDING:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate

    def take_many(self, wanted: int) -> tuple[int, float]:
        """Takes as many tokens as there are, at most `wanted`: how many, and if none the seconds until there is one."""
        if wait := self.take():
            return 0, wait
        more = min(wanted - 1, int(self._tokens))
        self._tokens -= more
        return 1 + more, 0.0
