"""Limits how many octets of a partner are decoded in one go, so that other sessions get their turn in time."""

from __future__ import annotations

from collections.abc import Iterator
from time import thread_time
from typing import Final

LEAST: Final = 4 << 10
MOST: Final = 256 << 10
"""Octets of a piece, at most."""
SOON: Final = 0.005
LATE: Final = 0.02
"""Seconds of processor time for a piece: below the first one the next piece is twice as long, above the second one half
as long."""


class Pace:
    """Cuts octets into pieces, as long as the last one's time allows."""

    def __init__(self) -> None:
        self.size = 16 << 10

    def pieces(self, octets: bytes) -> Iterator[bytes]:
        """Cuts octets into pieces. The caller works on a piece, lets other tasks run, and then asks for the next."""
        at = 0
        while at < len(octets):
            piece = octets[at : at + self.size]  # all of it is no copy
            at += len(piece)
            start = thread_time()
            yield piece
            taken = thread_time() - start
            if taken > LATE:
                self.size = max(LEAST, self.size // 2)
            elif taken < SOON and len(piece) == self.size:
                self.size = min(MOST, self.size * 2)
