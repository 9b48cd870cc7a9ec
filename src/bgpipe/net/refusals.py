"""Logs refused clients at a bounded rate, and counts all of them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol

from ..pipeline.log_limit import LogLimit


class _Log(Protocol):
    def warning(self, text: str, /, **fields: Any) -> None: ...


class RefusalLog:
    """Counts refusals, and writes some of them to a log. now: seconds.

    counts: refusals so far, by reason.
    """

    def __init__(self, log: _Log, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._limit = LogLimit(now)

    def note(self, reason: str, text: str, host: str, remote: str = "", *, subject: str = "", **fields: Any) -> None:
        """reason: in one word, for counting. text: the line. host: who is refused; remote: the same with a port.
        subject: what gets one line for a host, the reason if it is not given."""
        self.counts[reason] += 1
        if not self._limit.admit((subject or reason, host)):
            return
        if self._limit.left_out:
            fields["more_refused"] = self._limit.left_out
        self._log.warning(text, remote=remote or host, **fields)
