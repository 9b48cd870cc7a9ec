"""Reads octets with a check of the length: a read gets as many octets as it asks for, or raises ShortError."""

from __future__ import annotations

from .errors import ShortError


class Cursor:
    """Reads `octets` from `pos` to `end`; a read past the end raises ShortError.

    All integers are unsigned and in network byte order.
    """

    __slots__ = ("end", "octets", "pos")

    def __init__(self, octets: bytes, pos: int = 0, end: int | None = None) -> None:
        self.octets = octets
        self.pos = pos
        self.end = len(octets) if end is None else end

    @property
    def left(self) -> int:
        """Octets not yet read."""
        return self.end - self.pos

    def take(self, n: int) -> bytes:
        """The next `n` octets."""
        pos = self.pos
        stop = pos + n
        if stop > self.end:
            raise ShortError(f"{n} octets expected, {self.end - pos} left", offset=pos)
        self.pos = stop
        return self.octets[pos:stop]

    def rest(self) -> bytes:
        """All octets that are left."""
        return self.take(self.end - self.pos)

    def u8(self) -> int:
        pos = self.pos
        if pos >= self.end:
            raise ShortError("1 octet expected, none left", offset=pos)
        self.pos = pos + 1
        return self.octets[pos]

    def u16(self) -> int:
        return int.from_bytes(self.take(2), "big")

    def u32(self) -> int:
        return int.from_bytes(self.take(4), "big")

    def u64(self) -> int:
        return int.from_bytes(self.take(8), "big")

    def sub(self, n: int) -> Cursor:
        """A cursor over the next `n` octets, which count as read here."""
        pos = self.pos
        if pos + n > self.end:
            raise ShortError(f"{n} octets expected, {self.end - pos} left", offset=pos)
        self.pos = pos + n
        return Cursor(self.octets, pos, pos + n)
