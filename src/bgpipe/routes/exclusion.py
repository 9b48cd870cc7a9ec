"""Exact subtraction: what is left of prefixes when others are cut out of them, as of a /8 without one address."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from ..wire.prefix import AFI_BITS
from .prefixes import FEW, HOST, LENGTH_BITS, PrefixSet, common, cut_out, merged, without
from .union import united


def exclude(prefixes: PrefixSet, exclusions: PrefixSet) -> PrefixSet:
    """The prefixes without the addresses of the exclusions.

    A prefix inside an exclusion goes. One around it becomes the fewest prefixes that cover what is left of it. All
    others stay as they are, also those that lie inside each other.
    """
    return PrefixSet(excluded(prefixes.ipv4, exclusions.ipv4, 1), excluded(prefixes.ipv6, exclusions.ipv6, 2))


def excluded(numbers: Sequence[int], exclusions: Sequence[int], afi: int) -> Sequence[int]:
    """The same for sorted numbers of one AFI, in the time that it takes to go through both once."""
    cuts = united(exclusions, afi, 0)
    if not cuts or not numbers:
        return numbers
    if len(cuts) * FEW < len(numbers):
        kept, around = _apart_by_cuts(numbers, cuts, afi)
    else:
        kept, around = _apart_by_numbers(numbers, cuts, afi)
    if not around:
        return kept
    left: list[int] = []
    hosts, end = HOST[afi], -1
    for number in around:
        if number > end:  # what is left of a prefix inside the last one is a part of what is left of that
            end = number | hosts[number & 0xFF]
            left += remains(number, cuts[bisect_left(cuts, number) : bisect_right(cuts, end)], afi)
    return merged((kept, left))


def remains(number: int, cuts: Sequence[int], afi: int) -> list[int]:
    """What is left of one prefix without the prefixes `cuts`, which lie inside it and not in each other, sorted."""
    bits = AFI_BITS[afi]
    top = number & 0xFF
    left: list[int] = []
    address = number >> LENGTH_BITS
    end = address + (1 << bits - top)
    for cut in cuts:
        left += _range(address, cut >> LENGTH_BITS, bits)
        address = (cut | HOST[afi][cut & 0xFF]) + 1 >> LENGTH_BITS
    left += _range(address, end, bits)
    return left


def _range(start: int, stop: int, bits: int) -> list[int]:
    """The fewest prefixes that cover the addresses from `start` to before `stop`."""
    found: list[int] = []
    while start < stop:
        size = min((start & -start).bit_length() - 1 if start else bits, (stop - start).bit_length() - 1)
        found.append(start << LENGTH_BITS | bits - size)
        start += 1 << size
    return found


def _apart_by_cuts(numbers: Sequence[int], cuts: Sequence[int], afi: int) -> tuple[Sequence[int], list[int]]:
    """(numbers that no cut touches, numbers around a cut), looked up for each of a few cuts."""
    hosts = HOST[afi]
    spans = []
    place = 0
    for cut in cuts:
        place = bisect_left(numbers, cut, place)
        end = bisect_right(numbers, cut | hosts[cut & 0xFF], place)
        if place < end:
            spans.append((place, end))
            place = end
    kept = cut_out(numbers, spans) if spans else numbers
    wider = {(cut & ~hosts[length]) | length for cut in cuts for length in range(cut & 0xFF)}
    around = sorted(wider.intersection(kept))
    return without(kept, around) if around else kept, around


def _apart_by_numbers(numbers: Sequence[int], cuts: Sequence[int], afi: int) -> tuple[list[int], list[int]]:
    """The same in one pass over both."""
    hosts = HOST[afi]
    kept: list[int] = []
    around: list[int] = []
    rest = iter(cuts)
    beyond = 1 << AFI_BITS[afi] + LENGTH_BITS + 1
    start = next(rest)
    end = start | hosts[start & 0xFF]
    for number in numbers:
        while number > end:
            start = next(rest, beyond)
            end = start | hosts[start & 0xFF] if start != beyond else beyond
        if number < start:
            (kept if number | hosts[number & 0xFF] < start else around).append(number)
    return kept, around


def touching(numbers: Sequence[int], keys: Sequence[int], afi: int) -> list[int]:
    """The numbers that lie inside one of some prefixes, which do not lie in each other, or around one of them."""
    hosts = HOST[afi]
    found: list[int] = []
    wider: set[int] = set()
    for key in keys:
        place = bisect_left(numbers, key)
        found += numbers[place : bisect_right(numbers, key | hosts[key & 0xFF], place)]
        wider.update((key & ~hosts[length]) | length for length in range(key & 0xFF))
    return merged((found, common(sorted(wider), numbers)))
