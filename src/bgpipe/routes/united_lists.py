"""Lists with the same attributes as one union, told by what differs from each of them: none of them is copied.

When a few prefixes of a list change, only what lies around them is united again.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from . import exclusion
from .prefixes import HOST, compact, contains, cut_out, merged, without
from .steps import Steps, finish
from .union import union_changing, united

MANY: Final = 500
"""Changed prefixes, or exclusions, from which on it is quicker to look at all."""


class UnitedLists(NamedTuple):
    """sets: sorted numbers of one AFI, each united by itself. shortest: see union.united; None for no union at all.

    gone: numbers of the sets that are not in the union. come: numbers that are in the union and in no set.
    """

    afi: int
    shortest: int | None
    sets: tuple[Sequence[int], ...]
    gone: Sequence[int] = ()
    come: Sequence[int] = ()

    @classmethod
    def of(cls, sets: tuple[Sequence[int], ...], afi: int, shortest: int | None) -> UnitedLists:
        """sets: the sorted numbers of each list. shortest: bits of the shortest prefix that uniting may make; None:
        nothing is united."""
        return finish(cls.making(sets, afi, shortest))

    @classmethod
    def making(cls, sets: tuple[Sequence[int], ...], afi: int, shortest: int | None) -> Steps[UnitedLists]:
        """The same in steps of some milliseconds."""
        if shortest is None or len(sets) < 2:
            return cls(afi, shortest, sets)
        numbers = merged(sets)
        yield
        gone, come = yield from union_changing(numbers, afi, shortest)
        return cls(afi, shortest, sets, compact(sorted(gone), afi), compact(sorted(come), afi))

    def numbers(self) -> Sequence[int]:
        """All of the union."""
        return merged((without(merged(self.sets), self.gone), self.come))

    def has(self, number: int) -> bool:
        """Whether a prefix is in the union."""
        if contains(self.come, number):
            return True
        return any(contains(each, number) for each in self.sets) and not contains(self.gone, number)

    def touching(self, keys: Sequence[int]) -> Sequence[int]:
        """What lies inside some prefixes, none of which is in another one, or around them."""
        if len(keys) > MANY:
            return exclusion.touching(self.numbers(), keys, self.afi)
        hosts = HOST[self.afi]
        found: list[int] = []
        for key in keys:
            own = merged(self._inside(each, key) for each in self.sets)
            found += without(own, self._inside(self.gone, key))
            found += self._inside(self.come, key)
            found += filter(self.has, ((key & ~hosts[length]) | length for length in range(key & 0xFF)))
        return merged((found,))

    def changed(self, sets: tuple[Sequence[int], ...], touched: Sequence[int]) -> UnitedLists:
        """The union of sets that differ from these in some prefixes (sorted numbers)."""
        if self.shortest is None or len(sets) < 2:
            return self._replace(sets=sets)
        if self.is_much(touched):
            return UnitedLists.of(sets, self.afi, self.shortest)
        regions = self._regions(sets, touched, self.shortest)
        gone, come = self.gone, self.come
        own: list[int] = []
        made: list[int] = []
        for region in regions:
            numbers = merged(self._inside(each, region) for each in sets)
            own += numbers
            made += united(numbers, self.afi, self.shortest)
        gone = merged((self.outside(gone, regions), without(own, made)))
        come = merged((self.outside(come, regions), without(made, own)))
        return UnitedLists(self.afi, self.shortest, sets, compact(gone, self.afi), compact(come, self.afi))

    def is_much(self, touched: Sequence[int]) -> bool:
        """Whether so many changed prefixes make it quicker to unite all anew."""
        return self.shortest is not None and len(self.sets) > 1 and len(touched) > MANY

    def _regions(self, sets: tuple[Sequence[int], ...], touched: Iterable[int], shortest: int) -> list[int]:
        """Prefixes inside which the union may differ, and outside which it does not."""
        hosts = HOST[self.afi]
        around: list[int] = []
        for number in touched:
            wider = ((number & ~hosts[length]) | length for length in range(number & 0xFF))
            around.append(next(filter(self.has, wider), number))
        regions = united(merged((around,)), self.afi, 0)
        grown = True
        while grown:
            grown = False
            for place, region in enumerate(regions):
                length = region & 0xFF
                numbers = merged(self._inside(each, region) for each in sets)
                if length > shortest and united(numbers, self.afi, shortest) == [region]:
                    sibling = region ^ (hosts[length - 1] ^ hosts[length])
                    if self.has(sibling):  # so both are one now
                        regions[place] = (region & ~hosts[length - 1]) | length - 1
                        grown = True
            regions = united(merged((regions,)), self.afi, 0)
        return regions

    def _inside(self, numbers: Sequence[int], prefix: int) -> Sequence[int]:
        """Those of some sorted numbers that lie inside a prefix, itself included."""
        start = bisect_left(numbers, prefix)
        return numbers[start : bisect_right(numbers, prefix | HOST[self.afi][prefix & 0xFF], start)]

    def outside(self, numbers: Sequence[int], regions: Iterable[int]) -> list[int]:
        """Those of some sorted numbers that lie in none of some prefixes."""
        hosts = HOST[self.afi]
        spans = ((bisect_left(numbers, each), bisect_right(numbers, each | hosts[each & 0xFF])) for each in regions)
        return cut_out(numbers, spans)
