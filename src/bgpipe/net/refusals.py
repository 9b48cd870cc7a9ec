"""Refused clients in the log: each kind is told, and a flood of them doesn't flood the log."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

WINDOW: Final = 60.0
"""Seconds in which a client is named once for the same reason."""
MAX_LINES: Final = 20
"""Lines in a window, whoever they are about."""


class _Log(Protocol):
    def warning(self, text: str, /, **fields: Any) -> None: ...


class RefusalLog:
    """Counts refusals, and writes some of them to a log. now: seconds.

    counts: refusals so far, by reason.
    """

    def __init__(self, log: _Log, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self._log = log
        self._now = now
        self._since = -WINDOW
        self._named: set[tuple[str, str]] = set()
        self._unnamed = 0

    def note(self, reason: str, text: str, host: str, remote: str = "", **fields: Any) -> None:
        """reason: in one word, for counting. text: the line. host: who is refused; remote: the same with a port."""
        self.counts[reason] += 1
        now = self._now()
        if now - self._since >= WINDOW:
            self._since = now
            self._named.clear()
        if (reason, host) in self._named or len(self._named) >= MAX_LINES:
            self._unnamed += 1
            return
        self._named.add((reason, host))
        if self._unnamed:  # those before this line that had none
            fields["more_refused"] = self._unnamed
            self._unnamed = 0
        self._log.warning(text, remote=remote or host, **fields)
