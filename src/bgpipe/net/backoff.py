"""Waits between attempts."""

from __future__ import annotations

import random
from typing import Final

MAX_DELAY: Final = 60.0
"""Seconds between two attempts, at most."""
STABLE_AFTER: Final = 60.0
"""Seconds after which a connection counts as one that has worked: the next attempt is a first one again."""


def backoff(attempt: int) -> float:
    """Seconds to wait after so many attempts that have failed, from 1: more each time, and never the same for many."""
    return min(MAX_DELAY, float(attempt**2)) * random.uniform(0.5, 1.0)
