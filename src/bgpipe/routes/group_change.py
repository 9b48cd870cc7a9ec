"""How the routes that a peer gets of lists with the same attributes differ from these lists: by its custom prefixes,
its exclusions, and the union of all of them.

Few custom prefixes and exclusions are worked out where they are. With many, all is worked out once, in spans of
addresses; from then on only what lies around a change.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from .. import accel
from . import policy
from .exclusion import touching
from .policy import Common, Custom, Subscription
from .prefixes import HOST, PrefixSet, compact, contains, merged, without
from .steps import Steps
from .union import union_of, united
from .united_lists import MANY, UnitedLists

STEP: Final = 4096
"""Prefixes that are worked out in one step, about: some milliseconds."""


class GroupChange(NamedTuple):
    """Sorted numbers that are in the lists of a group, but not announced by it, and the other way round."""

    gone: Sequence[int] = ()
    come: Sequence[int] = ()

    def then(self, gone: Sequence[int], come: Sequence[int], afi: int) -> GroupChange:
        """This change and then another one."""
        all_gone = without(merged((self.gone, without(gone, self.come))), come)
        all_come = merged((without(self.come, gone), without(come, self.gone)))
        return GroupChange(compact(all_gone, afi), compact(all_come, afi))

    def difference(self, other: GroupChange) -> Iterator[Sequence[int]]:
        """The numbers of which the two say something else."""
        for ours, theirs in zip(self, other, strict=True):
            if ours != theirs:
                yield from apart(ours, theirs)


NO_CHANGE: Final = GroupChange()


def apart(numbers: Sequence[int], others: Sequence[int]) -> tuple[Sequence[int], Sequence[int]]:
    """(what only the first has, what only the second has) of sorted numbers."""
    if accel.AVAILABLE and isinstance(numbers, array) and isinstance(others, array):
        ours, theirs = accel.prefix_sets.apart(numbers, others)
        return ours, theirs
    return without(numbers, others), without(others, numbers)


class Rules(NamedTuple):
    """What decides the routes of a group in one AFI. sources: sorted numbers of its lists, without what nobody is
    announced. sets: the same as they are parted. customs: its custom prefixes. union: whether all are united."""

    afi: int
    sources: tuple[Sequence[int], ...]
    sets: tuple[Sequence[int], ...]
    customs: tuple[PrefixSet, ...]
    subscription: Subscription
    common: Common
    union: bool

    @property
    def shortest(self) -> int:
        return self.subscription.guards.bounds(self.afi)[0]

    @property
    def exclusions(self) -> Sequence[int]:
        return self.subscription.exclusions.numbers(self.afi)

    @property
    def many(self) -> bool:
        """Whether there is so much that it is quicker to work out all, or what differs from before."""
        return len(self.exclusions) + sum(map(len, self.all_customs)) > MANY

    @property
    def all_customs(self) -> list[Sequence[int]]:
        """Of all groups of the peer."""
        return [each.prefixes.numbers(self.afi) for each in self.subscription.customs]

    def keys(self) -> list[int]:
        """The prefixes around which anything may differ from the lists, none in another one."""
        customs = policy.all_customs(self.subscription, self.common)
        return united(merged((self.exclusions, customs.numbers(self.afi))), self.afi, 0)

    def routes_in(self, first: int, last: int) -> Sequence[int]:
        """The routes from one number to another one: none of what they are made of may lie across these."""
        afi = self.afi
        within = self.subscription._replace(
            customs=tuple(
                Custom(of_family(part, afi), each.attributes)
                for each in self.subscription.customs
                if (part := _span(each.prefixes.numbers(afi), first, last))
            ),
            exclusions=of_family(_with_cover(self.exclusions, first, last, afi), afi),
        )
        common = self.common._replace(
            exclusions=of_family(_with_cover(self.common.exclusions.numbers(afi), first, last, afi), afi)
        )
        customs = (of_family(_span(each.numbers(afi), first, last), afi) for each in self.customs)
        prefixes = of_family(merged(_span(each, first, last) for each in self.sources), afi)
        return policy.refine(prefixes, tuple(customs), within, common).numbers(afi)


class Earlier(NamedTuple):
    """What a group was before. keys: sorted numbers of what differs since then in what its routes are made of."""

    change: GroupChange
    sets: tuple[Sequence[int], ...]
    keys: Sequence[int]


def around(rules: Rules, base: UnitedLists) -> GroupChange:
    """The change by a few custom prefixes and exclusions. base: the union of the lists."""
    afi, keys = rules.afi, rules.keys()
    change = GroupChange(base.gone, base.come)
    if not keys:
        return change
    own = [of_family(each.numbers(afi), afi) for each in rules.customs]
    while True:
        before = base.touching(keys)
        sources: Iterable[Sequence[int]]
        if rules.union:
            sources = (part for source in rules.sources for part in _inside(source, before, afi))
        else:
            sources = (touching(source, keys, afi) for source in rules.sources)
        raw = of_family(merged(sources), afi)
        after = policy.refine(raw, own, rules.subscription, rules.common).numbers(afi)
        come = without(after, before)
        beside = [each for each in _siblings(come, rules) if base.has(each) and not contains(before, each)]
        if not beside:
            return change.then(without(before, after), come, afi)
        keys = united(merged((keys, beside)), afi, 0)  # what is beside a custom prefix is united with it


def whole(rules: Rules) -> Steps[GroupChange]:
    """The change, worked out of all there is, in steps of some milliseconds."""
    afi = rules.afi
    everything = [*rules.sources, *rules.all_customs, rules.exclusions]
    after: list[int] = []
    first = 0
    for last in _bounds(everything, afi):
        after += rules.routes_in(first, last)
        first = last + 1
        yield
    routes: Sequence[int] = compact(after, afi)
    if rules.union:  # what lies on both sides of a bound
        routes = union_of(routes, afi, rules.shortest)
        yield
    base: Sequence[int] = compact(merged(rules.sets), afi)
    yield
    gone, come = apart(base, routes)
    return GroupChange(compact(gone, afi), compact(come, afi))


def since(rules: Rules, earlier: Earlier) -> Steps[GroupChange]:
    """The change, worked out of what it was before, where anything differs since then; in the same steps."""
    afi, hosts = rules.afi, HOST[rules.afi]
    before = UnitedLists(afi, None, earlier.sets, earlier.change.gone, earlier.change.come)
    regions = list(earlier.keys)
    made: dict[int, Sequence[int]] = {}
    grown = True
    while grown:
        regions = united(merged(([_widest(each, rules, before) for each in regions],)), afi, 0)
        grown = False
        for place, region in enumerate(regions):
            if region not in made:
                made[region] = rules.routes_in(region, region | hosts[region & 0xFF])
                if len(made) % 16 == 0:
                    yield
            length = region & 0xFF
            sibling = region ^ hosts[length - 1] ^ hosts[length] if length > rules.shortest else -1
            if rules.union and list(made[region]) == [region] and before.has(sibling):  # so both are one now
                regions[place] = (region & ~hosts[length - 1]) | length - 1
                grown = True
    yield
    routes = merged(made[each] for each in regions)
    base = merged(_span(each, region, region | hosts[region & 0xFF]) for region in regions for each in rules.sets)
    gone = merged((before.outside(earlier.change.gone, regions), without(base, routes)))
    yield
    come = merged((before.outside(earlier.change.come, regions), without(routes, base)))
    return GroupChange(compact(gone, afi), compact(come, afi))


def _widest(key: int, rules: Rules, before: UnitedLists) -> int:
    """The widest of what is around a prefix: of what routes are made of, and of the routes before; or itself."""
    hosts = HOST[rules.afi]
    runs = (*rules.sources, *rules.all_customs)
    for length in range(1, key & 0xFF):  # default routes are never among these
        wider = (key & ~hosts[length]) | length
        if before.has(wider) or any(contains(each, wider) for each in runs):
            return wider
    return key


def _bounds(runs: Sequence[Sequence[int]], afi: int) -> Iterator[int]:
    """The last numbers of spans, with about STEP numbers of some runs each. No prefix of them lies across one."""
    most = (1 << (41 if afi == 1 else 137)) - 1
    sample = sorted(number for run in runs for number in run[STEP // 16 :: STEP // 8])
    hosts, last = HOST[afi], -1
    for number in sample[8::8]:
        if number > last:
            wider = ((number & ~hosts[length]) | length for length in range(1, number & 0xFF))
            last = next((each for each in wider if any(contains(run, each) for run in runs)), number)
            last |= hosts[last & 0xFF]
            yield last
    if last < most:
        yield most


def _span(numbers: Sequence[int], first: int, last: int) -> Sequence[int]:
    """Those of some sorted numbers that are not below the first and not above the last one."""
    start = bisect_left(numbers, first)
    return numbers[start : bisect_right(numbers, last, start)]


def _with_cover(numbers: Sequence[int], first: int, last: int, afi: int) -> Sequence[int]:
    """The same, and what is around the prefix whose number the first one is; around any address, all addresses."""
    hosts = HOST[afi]
    wider = ((first & ~hosts[length]) | length for length in range(first & 0xFF or 1))
    cover = [each for each in wider if contains(numbers, each)]
    return [*cover, *_span(numbers, first, last)]


def _siblings(numbers: Iterable[int], rules: Rules) -> Iterator[int]:
    """The other halves of the prefixes that would be one with these."""
    hosts = HOST[rules.afi]
    for number in numbers:
        length = number & 0xFF
        if rules.union and length > rules.shortest:
            yield number ^ hosts[length - 1] ^ hosts[length]


def _inside(numbers: Sequence[int], blocks: Iterable[int], afi: int) -> Iterator[Sequence[int]]:
    """The runs of numbers that lie in some prefixes, which do not lie in each other."""
    hosts = HOST[afi]
    for block in blocks:
        yield _span(numbers, block, block | hosts[block & 0xFF])


def of_family(numbers: Sequence[int], afi: int) -> PrefixSet:
    return PrefixSet(numbers) if afi == 1 else PrefixSet((), numbers)
