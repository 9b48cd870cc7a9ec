"""How long to stay idle after a session failed (DampPeerOscillations, RFC 4271 section 8.1.1).

The wait doubles with each failure. Reaching Established does not clear it: a peer that comes up, sends a fatal
message and comes back would never be damped. Only a session that stays up long enough does. So a peer that fails each
time has at most eight sessions in its first ten minutes, and three in ten minutes from then on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Damping:
    """Seconds throughout. `first`: the wait after one failure. `longest`: the most that it grows to.

    `stable`: a session that was established for so long clears the count.
    """

    first: float = 5.0
    longest: float = 240.0
    stable: float = 300.0
    failures: int = 0

    def failed(self, established_for: float = 0.0) -> float:
        """Notes a failure after a session was established for so long; returns how long to stay idle."""
        if established_for >= self.stable:
            self.failures = 0
        self.failures += 1
        return self.idle_hold

    @property
    def idle_hold(self) -> float:
        """Seconds to stay idle now."""
        if not self.failures:
            return 0.0
        return min(self.longest, self.first * 2.0 ** min(self.failures - 1, 32))
