"""Exact union: the shortest list of prefixes that covers the same addresses as a set of prefixes."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Final

from .. import accel
from ..wire.prefix import AFI_BITS
from .prefixes import HOST, LENGTH_BITS, PrefixSet
from .steps import Steps, finish

STEP: Final = 1 << 15
"""Prefixes that are united in one step: some milliseconds."""
SHORTEST: Final = 1
"""A default route is never made of its halves."""


def unite(prefixes: PrefixSet, shortest_ipv4: int = SHORTEST, shortest_ipv6: int = SHORTEST) -> PrefixSet:
    """The fewest prefixes that cover the same addresses.

    shortest_ipv4, shortest_ipv6: no prefix shorter than this is made; those that are shorter already stay.
    """
    return finish(uniting(prefixes, shortest_ipv4, shortest_ipv6))


def united(numbers: Iterable[int], afi: int, shortest: int = SHORTEST) -> list[int]:
    """The same for sorted numbers of one AFI. A million of them take a fifth of a second."""
    out: list[int] = []
    _unite(numbers, afi, shortest, out, -1)
    return out


def union_of(numbers: Sequence[int], afi: int, shortest: int = SHORTEST) -> Sequence[int]:
    """The same, by accel where it can."""
    if accel.AVAILABLE and isinstance(numbers, array):
        found: Sequence[int] = accel.prefix_sets.united(numbers, shortest)
        return found
    return united(numbers, afi, shortest)


def uniting(prefixes: PrefixSet, shortest_ipv4: int = SHORTEST, shortest_ipv6: int = SHORTEST) -> Steps[PrefixSet]:
    """The same as `unite`, in steps of some milliseconds."""
    found: dict[int, Sequence[int]] = {}
    for afi, shortest in ((1, shortest_ipv4), (2, shortest_ipv6)):
        numbers = prefixes.numbers(afi)
        if accel.AVAILABLE and isinstance(numbers, array):
            found[afi] = union_of(numbers, afi, shortest)
            yield
            continue
        out: list[int] = []
        found[afi] = out
        covered = -1
        for start in range(0, len(numbers), STEP):
            covered = _unite(numbers[start : start + STEP], afi, shortest, out, covered)
            yield
    return PrefixSet(found[1], found[2])


def _unite(numbers: Iterable[int], afi: int, shortest: int, out: list[int], covered: int) -> int:
    """Adds sorted numbers to a union of lower ones. covered, and the result: the last number that is covered."""
    hosts = HOST[afi]
    upper = _UPPER_HALVES[afi] if shortest == SHORTEST else _upper_halves(AFI_BITS[afi], shortest)
    for number in numbers:
        if number <= covered:
            continue
        covered = number | hosts[number & 0xFF]
        bit = upper[number & 0xFF]
        while number & bit and out and out[-1] == number ^ bit:
            number = out.pop() - 1  # the lower half: with a length of one less it is both
            bit = upper[number & 0xFF]
        out.append(number)
    return covered


def union_change(numbers: Sequence[int], afi: int, shortest: int = SHORTEST) -> tuple[list[int], set[int]]:
    """(which of the sorted numbers are not in their union, what is in it and not in them)."""
    return finish(union_changing(numbers, afi, shortest))


def union_changing(numbers: Sequence[int], afi: int, shortest: int = SHORTEST) -> Steps[tuple[list[int], set[int]]]:
    """The same in steps of some milliseconds."""
    hosts = HOST[afi]
    upper = _UPPER_HALVES[afi] if shortest == SHORTEST else _upper_halves(AFI_BITS[afi], shortest)
    out: list[int] = []
    gone: list[int] = []
    made: set[int] = set()
    covered = -1
    for place, number in enumerate(numbers, 1):
        if place % STEP == 0:
            yield
        if number <= covered:
            gone.append(number)
            continue
        covered = number | hosts[number & 0xFF]
        bit = upper[number & 0xFF]
        if number & bit and out and out[-1] == number ^ bit:
            halves = [number]
            while number & bit and out and out[-1] == number ^ bit:
                number = out.pop() - 1
                halves.append(number + 1)
                bit = upper[number & 0xFF]
            gone += [half for half in halves if half not in made]
            made.difference_update(halves)
            made.add(number)
        out.append(number)
    return gone, made


@lru_cache(maxsize=256)
def _upper_halves(bits: int, shortest: int) -> tuple[int, ...]:
    """By length, the bit of a number that is set in the upper one of two siblings; 0 where they shall not be united."""
    return tuple(1 << bits - length + LENGTH_BITS if shortest < length <= bits else 0 for length in range(256))


_UPPER_HALVES: Final = {afi: _upper_halves(bits, SHORTEST) for afi, bits in AFI_BITS.items()}
