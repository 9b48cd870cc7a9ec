"""AS numbers as people write them: single ones, ranges, and `private`."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from .errors import TextError

MAX_ASN: Final = (1 << 32) - 1
PRIVATE: Final = ((64512, 65534), (4200000000, 4294967294))
"""AS numbers for private use (RFC 6996)."""
BOGON: Final = ((0, 0), (23456, 23456), (64496, 131071), (4200000000, MAX_ASN))
"""AS numbers that nobody has on the Internet: 0 (RFC 7607), AS_TRANS (RFC 6793), those for documentation (RFC 5398) and
for private use (RFC 6996), the last ones (RFC 7300), and 65552 to 131071, which IANA has reserved."""


class AsnRanges:
    """A set of AS numbers, as ranges with both ends included."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, ranges: Iterable[tuple[int, int]] = ()) -> None:
        merged: list[tuple[int, int]] = []
        for low, high in sorted(ranges):
            if merged and low <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(high, merged[-1][1])
            else:
                merged.append((low, high))
        self._starts = [low for low, _ in merged]
        self._ends = [high for _, high in merged]

    def __contains__(self, asn: int) -> bool:
        at = bisect_right(self._starts, asn) - 1
        return at >= 0 and asn <= self._ends[at]

    def __bool__(self) -> bool:
        return bool(self._starts)

    def __len__(self) -> int:
        """How many AS numbers are in it."""
        return sum(self._ends) - sum(self._starts) + len(self._starts)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The ranges in ascending order; none touches another."""
        return list(zip(self._starts, self._ends, strict=True))


def parse_as(text: str) -> int:
    """An AS number: `65001`, `AS65001`, or `1.10` (RFC 5396). Raises TextError."""
    digits = text[2:] if text[:2].upper() == "AS" else text
    high, dot, low = digits.partition(".")
    parts = [high, low] if dot else [high]
    if all(part.isascii() and part.isdigit() and len(part) <= 10 for part in parts):
        numbers = list(map(int, parts))
        if len(numbers) == 1 and numbers[0] <= MAX_ASN:
            return numbers[0]
        if len(numbers) == 2 and max(numbers) <= 0xFFFF:
            return numbers[0] << 16 | numbers[1]
    raise TextError(f"not an AS number: {text!r}")


def parse_ranges(words: Iterable[str]) -> list[tuple[int, int]]:
    """The ranges of `65001`, `65001-65010` and `private`. Raises TextError."""
    found: list[tuple[int, int]] = []
    for word in words:
        if word.lower() == "private":
            found += PRIVATE
            continue
        low, dash, high = word.partition("-")
        first = parse_as(low)
        last = parse_as(high) if dash else first
        if first > last:
            raise TextError(f"not a range of AS numbers: {word!r}")
        found.append((first, last))
    return found
