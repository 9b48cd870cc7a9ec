"""What another version of a list changes: prefixes under which routes are to be judged again, or AS numbers."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from ..wire.asn_ranges import AsnRanges
from ..wire.prefix import AFI_BITS, Prefix
from .prefix_lists import AsList, PrefixList

MOST_CHANGES: Final = 50_000
"""Entries. If more have changed, all routes are judged again: to look for those under the changes takes longer."""
PIECE: Final = 1 << 11
"""Entries that are compared at once."""


def changed_prefixes(old: PrefixList, new: PrefixList) -> list[Prefix] | None:
    """The prefixes of the entries that only one of two lists has: ascending, none inside another. None if they are too
    many."""
    found: list[Prefix] = []
    for afi, one, other in ((1, old.ipv4, new.ipv4), (2, old.ipv6, new.ipv6)):
        numbers = islice(_in_one(one, other), MOST_CHANGES + 1 - len(found))
        found += [Prefix(afi, number >> 24, number >> 16 & 0xFF) for number in numbers]
    return outermost(found) if len(found) <= MOST_CHANGES else None


def changed_asns(old: AsList, new: AsList) -> AsnRanges:
    """The AS numbers that only one of two lists has."""
    one, other = ({bound for low, high in each.ranges for bound in (low, high + 1)} for each in (old, new))
    bounds = iter(sorted(one ^ other))
    return AsnRanges((low, high - 1) for low, high in zip(bounds, bounds, strict=True))


def outermost(prefixes: Iterable[Prefix]) -> list[Prefix]:
    """The prefixes, ascending, without those that lie inside others."""
    left: list[Prefix] = []
    for prefix in sorted(set(prefixes)):
        last = left[-1] if left else None
        if last is None or last.afi != prefix.afi or not _covers(last, prefix):
            left.append(prefix)
    return left


def _covers(one: Prefix, other: Prefix) -> bool:
    """Whether a prefix covers another of the same AFI that is not shorter."""
    return (one.address ^ other.address) >> AFI_BITS[one.afi] - one.length == 0


def _in_one(one: Sequence[int], other: Sequence[int]) -> Iterator[int]:
    """The numbers that only one of two sorted sequences has."""
    if one == other:
        return
    longer = max(one, other, key=len)
    if len(longer) <= PIECE:
        yield from set(one) ^ set(other)
        return
    middle = longer[len(longer) // 2]
    first, second = bisect_left(one, middle), bisect_left(other, middle)
    yield from _in_one(one[:first], other[:second])
    yield from _in_one(one[first:], other[second:])
