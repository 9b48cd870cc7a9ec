"""Which prefixes of a set cover an address or a prefix: longest match, and all of them."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from typing import Final

from ..wire.address import parse_address
from ..wire.prefix import Prefix, parse_prefix
from .prefixes import HOST, PrefixSet, number_of, prefix_of

_NONE: Final = -1


class Lookup:
    """An index of a set that finds what covers an address in some microseconds. It takes 4 octets a prefix more."""

    def __init__(self, prefixes: PrefixSet) -> None:
        self.prefixes = prefixes
        self._parents = {afi: _parents(prefixes.numbers(afi), afi) for afi in (1, 2)}

    def longest(self, target: Prefix | str) -> Prefix | None:
        """The longest prefix that covers an address or a prefix, None if none does. Raises TextError."""
        return next(self.covering(target), None)

    def covering(self, target: Prefix | str) -> Iterator[Prefix]:
        """All prefixes that cover an address or a prefix, itself included, the longest first. Raises TextError."""
        prefix = parse_target(target) if isinstance(target, str) else target
        afi, number = prefix.afi, number_of(prefix)
        numbers, parents, hosts = self.prefixes.numbers(afi), self._parents[afi], HOST[afi]
        place = bisect_right(numbers, number) - 1
        while place != _NONE:
            found = numbers[place]
            if number <= found | hosts[found & 0xFF]:  # it starts before, and so does it end behind
                yield prefix_of(found, afi)
            place = parents[place]


def parse_target(text: str) -> Prefix:
    """An address, as a prefix of full length, or a prefix. Raises TextError."""
    if "/" in text:
        return parse_prefix(text)
    octets = parse_address(text)
    return Prefix(1 if len(octets) == 4 else 2, int.from_bytes(octets, "big"), 8 * len(octets))


def _parents(numbers: Sequence[int], afi: int) -> array[int]:
    """For each of some sorted numbers the place of the longest one that covers it, _NONE if none does."""
    hosts = HOST[afi]
    parents = array("i", [_NONE]) * len(numbers)
    place, end = _NONE, -1
    """the last prefix that may cover what comes, and its last number"""
    for here, number in enumerate(numbers):
        while number > end and place != _NONE:
            place = parents[place]
            end = numbers[place] | hosts[numbers[place] & 0xFF] if place != _NONE else -1
        parents[here] = place
        place, end = here, number | hosts[number & 0xFF]
    return parents
